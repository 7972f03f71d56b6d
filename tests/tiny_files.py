"""Files of a tiny model, and the checkpoint that they are compared with."""

import numpy as np
import pytest
import torch

from rtmo_plugin.api import export
from rtmo_plugin.pose.checkpoint_model import CheckpointModel
from tests.export.conftest import build_tiny
from tests.tiny_runs import make_tiny


def make_image(width=150, height=70, seed=0):
    """Return an image with structure at several scales."""
    random = np.random.default_rng(seed)
    coarse = np.kron(random.integers(0, 256, (-(-height // 10), -(-width // 10), 3)), np.ones((10, 10, 1)))
    return (coarse[:height, :width] * 0.8 + random.integers(0, 50, (height, width, 3))).astype(np.uint8)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Return a config for inputs of 96 x 64 pixels, and a checkpoint whose scores lie around the threshold."""
    folder = tmp_path_factory.mktemp("trained")
    cfg = make_tiny("rtmo-t_coco")
    for step in cfg.test_dataloader.dataset.pipeline:
        if "input_size" in step:
            step.input_size = (96, 64)
    cfg.dump(folder / "tiny.py")
    torch.save({"state_dict": build_tiny().state_dict()}, folder / "tiny.pth")
    return folder / "tiny.py", folder / "tiny.pth"


@pytest.fixture(scope="session")
def files(tiny_model, tmp_path_factory):
    """Return a file of each cut, with different inputs."""
    folder = tmp_path_factory.mktemp("files")
    options = {
        "end2end": {"dynamic": "batch,size"},
        "decoded": {"input": "uint8", "top_k": 30},
        "fused": {"top_k": 30},
        "raw": {"dynamic": "none"},
    }
    for cut, others in options.items():
        export(*tiny_model, folder / f"{cut}.onnx", cut=cut, **others)
    return {cut: folder / f"{cut}.onnx" for cut in options}


@pytest.fixture(scope="session")
def tiny_file(tiny_model, tmp_path_factory):
    """Return an exported file for inputs of 96 x 64 pixels, whose scores lie around the threshold."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    export(*tiny_model, path)
    return path


@pytest.fixture(scope="session")
def checkpoint_model(tiny_model):
    return CheckpointModel(*tiny_model, device="cpu", score_thr=0.0)
