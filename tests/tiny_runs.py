"""A tiny model, a tiny COCO folder, and one short run through all training stages that tests share."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from rtmo_plugin.api import train
from rtmo_plugin.data.synthetic.coco_folder import write_coco_folder
from rtmo_plugin.data.synthetic.synthetic_people import SyntheticPeople
from rtmo_plugin.engine.train_result import TrainResult
from tests.made_once import make_once
from tests.oracle import load_ours
from tests.tiny import shrink

INPUT_SIZE = (64, 64)


def resize(section):
    """Set every input size in a config to that of the tests."""
    for key, value in section.items() if isinstance(section, dict) else enumerate(section):
        if key in ("input_size", "img_scale"):
            section[key] = INPUT_SIZE
        elif isinstance(value, (dict, list)):
            resize(value)


def make_tiny(recipe: str) -> Config:
    """Return a recipe with a narrow model and three epochs of one stage each, on small images without workers."""
    cfg = load_ours(recipe)
    cfg.model = shrink(cfg.model)
    simplify_data(cfg)
    cfg.train_cfg = {"by_epoch": True, "max_epochs": 3, "val_interval": 3}
    schedule = cfg.default_hooks.training_stages.schedule
    schedule.refine.begin, schedule.finish.begin = 1, 2
    cfg.param_scheduler = [{"type": "ConstantLR", "factor": 1.0, "by_epoch": True, "begin": 0, "end": 3}]
    return cfg


def simplify_data(cfg: Config) -> None:
    """Make a config read small images, two at a time, without workers, and save every epoch."""
    cfg.model.data_preprocessor.batch_augments = None
    resize(cfg._cfg_dict)
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        cfg[name].update(num_workers=0, persistent_workers=False, pin_memory=False)
        cfg[name].dataset.serialize_data = False
    cfg.train_dataloader.batch_size = 2
    cfg.default_hooks.checkpoint.interval = 1


@pytest.fixture(scope="session", autouse=True)
def _leave_configs_unformatted():
    """Spare yapf, which MMEngine runs on the config for every log and checkpoint: most of a tiny run's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmengine.config.config.FormatCode", lambda text, **_: (text, False))
        yield


@pytest.fixture
def algorithms_kept(monkeypatch):
    """Undo what a deterministic run sets for the whole process."""
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    kinds = [kind for kind in ("flash", "mem_efficient", "cudnn", "math") if hasattr(cuda, f"enable_{kind}_sdp")]
    enabled = {kind: getattr(cuda, f"{kind}_sdp_enabled")() for kind in kinds}
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    monkeypatch.setattr(cudnn, "deterministic", cudnn.deterministic)
    monkeypatch.setattr(cudnn, "benchmark", cudnn.benchmark)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", os.environ.get("CUBLAS_WORKSPACE_CONFIG", ":4096:8"))
    yield
    torch.use_deterministic_algorithms(is_deterministic, warn_only=warns)
    for kind, is_enabled in enabled.items():
        getattr(cuda, f"enable_{kind}_sdp")(is_enabled)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory) -> Path:
    """Return a folder laid out like COCO's, with four images to train on and three to evaluate on."""

    def make(folder: Path) -> Path:
        for seed, (split, num_images) in enumerate({"train2017": 4, "val2017": 3}.items()):
            people = SyntheticPeople(num_images=num_images, seed=seed, size_wh=(96, 80), num_people=(1, 3))
            list(write_coco_folder(people, folder / "coco", split))
        return folder

    return make_once(tmp_path_factory, "data", make)


@pytest.fixture(scope="session")
def config(tmp_path_factory) -> Path:
    """Return the file of a tiny RTMO on COCO, whose data root does not exist."""

    def make(folder: Path) -> Path:
        make_tiny("rtmo-t_coco").dump(folder / "tiny.py")
        return folder / "tiny.py"

    return make_once(tmp_path_factory, "config", make)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, config, data_root) -> TrainResult:
    """Return the result of a short training through all stages."""
    options = {"data_root": data_root, "seed": 0}
    return make_once(tmp_path_factory, "run", lambda folder: train(config, work_dir=folder, **options))
