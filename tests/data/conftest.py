"""Configs of data sets find MMPose's transforms without a prefix, as in its own runs."""

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True, scope="package")
def _scope() -> None:
    init_default_scope("mmpose")
