"""A tiny config of drawn people, which needs no data."""

from importlib.util import find_spec

import pytest

from tests.tiny_runs import make_tiny

needs_tune = pytest.mark.skipif(
    find_spec("ray") is None or find_spec("pydantic") is None, reason="no Ray Tune, which the extra `ray` has"
)


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    """Return the file of a tiny RTMO on four drawn images, with three epochs."""
    cfg = make_tiny("rtmo-t_synthetic")
    for name, num_images in (("train_dataloader", 4), ("val_dataloader", 2), ("test_dataloader", 2)):
        cfg[name].dataset.num_images = num_images
    path = tmp_path_factory.mktemp("configs") / "tiny.py"
    cfg.dump(path)
    return path
