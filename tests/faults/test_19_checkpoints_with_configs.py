"""A checkpoint is used without a config beside it, and the config inside it is read as data."""

import copy
import math

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from rtmo_plugin import Pose
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.embedded import parse_assignments, read_embedded_config
from rtmo_plugin.errors import CheckpointError, ConfigError
from tests.conftest import run_command
from tests.oracle import OUR_CONFIGS
from tests.tiny_runs import make_tiny

RECIPES = sorted(path.stem for path in OUR_CONFIGS.glob("*.py"))


@pytest.fixture(scope="module")
def recipe(data_root):
    cfg = make_tiny("rtmo-t_coco")
    cfg.merge_from_dict({"model.test_cfg.score_thr": 0.0})
    return cfg


def write(path, cfg, text=None, **notes):
    torch.manual_seed(0)
    init_default_scope("mmpose")
    model = MODELS.build(cfg.model)
    model.init_weights()
    torch.save({"state_dict": model.state_dict(), "meta": {"cfg": text or cfg.pretty_text, **notes}}, path)
    return path


@pytest.fixture(scope="module")
def checkpoint(recipe, tmp_path_factory):
    return write(tmp_path_factory.mktemp("work_dirs") / "epoch_6.pth", recipe)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (80, 96, 3), np.uint8))
    return path


def test_commands_need_no_config(checkpoint, photo, data_root, tmp_path, capsys):
    code, out, err = run_command(capsys, "predict", checkpoint, photo, "--out", tmp_path / "found", "--score-thr", 0)
    assert (code, err) == (0, ""), err
    assert list((tmp_path / "found").iterdir())
    code, out, err = run_command(
        capsys, "eval", checkpoint, "--data-root", data_root, "--work-dir", tmp_path / "test", "--json"
    )
    assert (code, '"coco/AP"' in out) == (0, True), err
    assert run_command(capsys, "info", checkpoint)[0] == 0
    code, out, err = run_command(capsys, "export", checkpoint, "--out", tmp_path / "x.onnx", "--size", "64x64")
    assert (code, (tmp_path / "x.onnx").is_file()) == (0, True), err


def test_same_people_as_with_the_config(checkpoint, recipe, photo, tmp_path):
    recipe.dump(tmp_path / "config.py")
    alone, beside = (Pose(checkpoint, config=config, score_thr=0.0)(photo) for config in (None, tmp_path / "config.py"))
    assert len(alone) > 0
    np.testing.assert_array_equal(alone.keypoints, beside.keypoints)


@pytest.mark.parametrize("name", RECIPES)
def test_text_of_every_recipe_is_read_as_it_is(name):
    cfg = Config.fromfile(OUR_CONFIGS / f"{name}.py")
    values = parse_assignments(cfg.pretty_text, ValueError)
    assert values == cfg.to_dict()


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_in_a_checkpoint_builds(tmp_path, name):
    cfg = Config.fromfile(OUR_CONFIGS / f"{name}.py")
    path = tmp_path / "x.pth"
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": {"cfg": cfg.pretty_text}}, path)
    found = load_config(path)
    assert found.model.head == cfg.model.head
    assert "custom_hooks" not in found
    assert "Pretrained" not in str(found.model)


def test_training_from_a_config_in_a_checkpoint_is_one_sentence(checkpoint, capsys):
    code, _, printed = run_command(capsys, "train", checkpoint)
    assert code == 2
    assert printed.startswith(f"error: {checkpoint} is a checkpoint: name a config, and the checkpoint after --resume")


def test_checkpoint_without_config_says_so(tmp_path, photo, capsys, recipe):
    path = tmp_path / "bare.pth"
    init_default_scope("mmpose")
    torch.save(MODELS.build(recipe.model).state_dict(), path)
    code, _, printed = run_command(capsys, "predict", path, photo)
    assert code == 2
    assert printed == f"error: {path} does not carry its config: name the config too (rtmo predict: --config).\n"


def test_eval_of_a_config_alone_is_one_sentence(capsys):
    code, _, printed = run_command(capsys, "eval", "rtmo-s_coco")
    assert (code, "No model is named" in printed) == (2, True)
    with pytest.raises(ConfigError):
        load_config(Config({"a": 1}))


PROGRAMS = [
    "import os",
    "model = __import__('os').system('touch {mark}')",
    "model = open('{mark}', 'w')",
    "model = dict(open('{mark}', 'w'))",
    "model = dict([], a=open('{mark}', 'w'))",
    "model = dict(a=open('{mark}', 'w'))",
    "model = [x for x in range(3)]",
    "model = dict(a=(lambda: 1))",
    "model = f'{1}'",
    "model = 'a' * 10**9",
    "model = dict(**{})",
    "model.a = 3",
    "for x in (): pass",
    "a = b = 1",
    "model = x",
    "model = {[]: 1}",
    "model = {1, [2]}",
    "model = (((",
    "model = " + "-" * 50_000 + "1",
    "model = " + "[" * 150 + "]" * 150 + "\nother = " + "(" * 5000,
    "model = 3",
    "model = -'a'",
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text[:30])
def test_text_that_is_more_than_data_is_refused_and_not_run(tmp_path, program):
    path = tmp_path / "x.pth"
    text = program.replace("{mark}", str(tmp_path / "mark"))
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": {"cfg": text}}, path)
    with pytest.raises(CheckpointError, match=r"^The config inside .*x\.pth is not used, because .*: name a config"):
        read_embedded_config(path)
    assert not (tmp_path / "mark").exists()


HOSTILE = {
    "model.backbone.type": ["os.system", "mmengine.load", "subprocess.Popen", "builtins.eval", "torch.load", 3, "load",
                            "mmengine.fileio.load", "mmpose.registry.MODELS.build", "Runner", "rtmo_plugin.api.train"],
    "test_evaluator.type": ["DumpResults", "mmengine.DumpResults", "os.system"],
    "test_dataloader.dataset.ann_file": ["x.pkl", "http://host/x.json", "s3://a/b.json", "X.PICKLE"],
    "test_dataloader.dataset.metainfo": [{"from_file": "/tmp/evil.py"}, {"classes": "/tmp/classes.pkl"}],
    "test_dataloader.collate_fn": [{"type": "os.system", "command": "true"}],
    "default_scope": ["os", 3],
    "model.neck.norm_cfg": [{"type": "os.system"}],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in HOSTILE.items() for value in values])
def test_config_that_leads_to_code_is_refused(tmp_path, recipe, key, value):
    cfg = copy.deepcopy(recipe)
    *path, last = key.split(".")
    section = cfg._cfg_dict
    for name in path:
        section = section[name]
    dict.__setitem__(section, last, value)
    file = tmp_path / "x.pth"
    torch.save({"state_dict": {"a": torch.ones(1)}, "meta": {"cfg": Config(cfg.to_dict()).pretty_text}}, file)
    with pytest.raises(CheckpointError, match=r"is not used, because it"):
        read_embedded_config(file)


def test_what_writes_or_asks_servers_is_left_out(tmp_path, recipe):
    cfg = copy.deepcopy(recipe)
    cfg.test_evaluator.outfile_prefix = "/etc/x"
    cfg.test_dataloader.dataset.metainfo = {"from_file": "configs/_base_/datasets/coco.py"}
    found = read_embedded_config(write(tmp_path / "x.pth", recipe, cfg.pretty_text))
    assert "outfile_prefix" not in found.test_evaluator
    assert found.test_dataloader.dataset.metainfo.from_file.endswith("mmpose/.mim/configs/_base_/datasets/coco.py")


def test_literals_are_read():
    text = "a = dict(b={'x': -1.5, 2: (True, None)}, c=[inf, 'y'], d={1}, e=b'z')"
    assert parse_assignments(text, ValueError) == {
        "a": {"b": {"x": -1.5, 2: (True, None)}, "c": [math.inf, "y"], "d": {1}, "e": b"z"}
    }
