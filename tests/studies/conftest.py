"""What the tests of studies share."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _leave_configs_unformatted():
    """Spare yapf, which MMEngine runs on the config for every log and checkpoint: most of a tiny run's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmengine.config.config.FormatCode", lambda text, **_: (text, False))
        yield
