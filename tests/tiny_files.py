"""Files of a tiny model, and the checkpoint that they are compared with."""

import numpy as np
import pytest
import torch

from rtmo_plugin.api import export
from rtmo_plugin.pose.checkpoint_model import CheckpointModel
from tests.export.conftest import build_tiny
from tests.made_once import make_once
from tests.tiny_runs import make_tiny


def make_image(width=150, height=70, seed=0):
    """Return an image with structure at several scales."""
    random = np.random.default_rng(seed)
    coarse = np.kron(random.integers(0, 256, (-(-height // 10), -(-width // 10), 3)), np.ones((10, 10, 1)))
    return (coarse[:height, :width] * 0.8 + random.integers(0, 50, (height, width, 3))).astype(np.uint8)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Return a config for inputs of 96 x 64 pixels, and a checkpoint whose scores lie around the threshold."""

    def make(folder):
        cfg = make_tiny("rtmo-t_coco")
        for step in cfg.test_dataloader.dataset.pipeline:
            if "input_size" in step:
                step.input_size = (96, 64)
        cfg.dump(folder / "tiny.py")
        torch.save({"state_dict": build_tiny().state_dict()}, folder / "tiny.pth")
        return folder / "tiny.py", folder / "tiny.pth"

    return make_once(tmp_path_factory, "tiny_model", make)


@pytest.fixture(scope="session")
def files(tiny_model, tmp_path_factory):
    """Return a file of each cut, with different inputs."""
    options = {
        "end2end": {"dynamic": "batch,size"},
        "decoded": {"input": "uint8", "top_k": 30},
        "fused": {"top_k": 30},
        "raw": {"dynamic": "none"},
    }

    def make(folder):
        for cut, others in options.items():
            export(*tiny_model, folder / f"{cut}.onnx", cut=cut, **others)
        return {cut: folder / f"{cut}.onnx" for cut in options}

    return make_once(tmp_path_factory, "files", make)


@pytest.fixture(scope="session")
def tiny_file(tiny_model, tmp_path_factory):
    """Return an exported file for inputs of 96 x 64 pixels, whose scores lie around the threshold."""

    def make(folder):
        export(*tiny_model, folder / "tiny.onnx")
        return folder / "tiny.onnx"

    return make_once(tmp_path_factory, "tiny_file", make)


@pytest.fixture(scope="session")
def trained_file(config, trained, tmp_path_factory):
    """Return the file of the trained model that finds up to 20 people with any score, and their deviations."""

    def make(folder):
        path = folder / "trained.onnx"
        export(config, trained.checkpoint, path, score_thr=0.0, max_people=20, uncertainty=True)
        return path

    return make_once(tmp_path_factory, "trained_file", make)


@pytest.fixture(scope="session")
def checkpoint_model(tiny_model):
    return CheckpointModel(*tiny_model, device="cpu", score_thr=0.0)
