"""A run of MMPose's RTMO, taken over by ours in the middle, ends as if MMPose had gone on."""

from __future__ import annotations

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from rtmo_plugin.data.synthetic.coco_folder import write_coco_folder
from rtmo_plugin.data.synthetic.synthetic_people import SyntheticPeople
from rtmo_plugin.engine.hooks.memory_format import CHANNELS_LAST_HOOK
from rtmo_plugin.engine.runner import build_runner
from tests.oracle import IDLE, load_official, load_ours

SIZE_WH = (128, 128)
NUM_EPOCHS = 4  # of one step each
PIPELINE = [  # nothing random
    {"type": "LoadImage"},
    {
        "type": "BottomupRandomAffine",
        "input_size": SIZE_WH,
        "shift_prob": 0.0,
        "rotate_prob": 0.0,
        "scale_prob": 0.0,
        "scale_type": "long",
        "bbox_keep_corner": False,
    },
    {"type": "GenerateTarget", "encoder": {"type": "YOLOXPoseAnnotationProcessor", "input_size": SIZE_WH}},
    {"type": "PackPoseInputs"},
]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    people = SyntheticPeople(num_images=3, seed=1, size_wh=(128, 128), num_people=(2, 3))
    list(write_coco_folder(people, folder, "people"))
    return folder


def make_config(recipe, data_root, work_dir, max_epochs, **options):
    """Return a short run of a recipe's model with the official optimizer and moving average."""
    model = copy.deepcopy(recipe.model)
    model.backbone.init_cfg = None
    model.data_preprocessor.batch_augments = None
    dataset = {
        "type": "CocoDataset",
        "data_mode": "bottomup",
        "data_root": str(data_root),
        "ann_file": "annotations/person_keypoints_people.json",
        "data_prefix": {"img": "people/"},
        "pipeline": PIPELINE,
    }
    loader = {"batch_size": 3, "num_workers": 0, "sampler": {"type": "DefaultSampler", "shuffle": False}}
    schedule = {"type": "CosineAnnealingLR", "T_max": 4, "by_epoch": True, "convert_to_iter_based": True}
    return Config(
        {
            "default_scope": "mmpose",
            "model": model,
            "train_dataloader": {**loader, "dataset": dataset},
            "optim_wrapper": load_official("rtmo-t_body7").optim_wrapper,
            "param_scheduler": [schedule],
            "custom_hooks": [h for h in load_official("rtmo-t_body7").custom_hooks if h.type == "EMAHook"],
            "train_cfg": {"by_epoch": True, "max_epochs": max_epochs},
            "default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 3}},
            "work_dir": str(work_dir),
            "experiment_name": work_dir.name,
            "randomness": {"seed": 0},
            "log_level": "WARNING",
            **options,
        }
    )


@pytest.fixture(scope="module")
def official_run(data_root, tmp_path_factory):
    """Folder of two epochs of MMPose's RTMO-t, of two steps each."""
    work_dir = tmp_path_factory.mktemp("theirs")
    init_default_scope("mmpose")
    Runner.from_cfg(make_config(load_official("rtmo-t_body7"), data_root, work_dir, NUM_EPOCHS)).train()
    return work_dir


def load(path):
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.parametrize("is_usual", [False, True], ids=["MMPose's runner and optimizer", "ours"])
def test_resumed_run_equals_mmposes(official_run, data_root, tmp_path, is_usual):
    """Weights, their moving average and the schedule, one AdamW step after the change of hands.

    Ours has channels-last weights and a fused step, which reads them and the optimizer's state in memory order.
    """
    ours = make_config(
        load_ours("rtmo-t_body7"),
        data_root,
        tmp_path,
        NUM_EPOCHS,
        load_from=str(official_run / "epoch_3.pth"),
        resume=True,
    )
    if is_usual:
        ours.optim_wrapper = load_ours("rtmo-t_body7").optim_wrapper
        ours.custom_hooks.append({"type": CHANNELS_LAST_HOOK})
        runner = build_runner(ours)
    else:
        runner = Runner.from_cfg(ours)
    runner.train()
    before, expected, got = map(
        load, (official_run / "epoch_3.pth", official_run / "epoch_4.pth", tmp_path / "epoch_4.pth")
    )
    assert got["meta"]["iter"] == expected["meta"]["iter"] == NUM_EPOCHS
    assert got["param_schedulers"] == expected["param_schedulers"]
    for kind, prefix in (("state_dict", ""), ("ema_state_dict", "module.")):
        for name in got["state_dict"]:
            if name not in IDLE:
                assert_same_step(*(state[kind][prefix + name] for state in (before, expected, got)), name)


def assert_same_step(before, expected, got, name):
    """Compare how far a tensor went with how far MMPose's went.

    The worst is 4e-4, from rounding in the gradient; without MMPose's optimizer state it is about 1.
    """
    step, difference = (expected - before).double().norm(), (got - expected).double().norm()
    assert difference <= 5e-3 * step, f"{name}: {difference:.1e} apart after a step of {step:.1e}"
