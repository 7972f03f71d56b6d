"""Weights by name, address or path, for --load-from and for the backbone: one way to get them, none that runs code."""

import os

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from rtmo_plugin.api import train
from rtmo_plugin.checkpoints.reading import locate_checkpoint, read_checkpoint
from rtmo_plugin.checkpoints.zoo import CATALOGUE
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.pretrained import drop_pretrained, fetch_pretrained
from rtmo_plugin.errors import CheckpointError, MissingFileError
from tests.edited import edit_copy
from tests.hostile_server import NOWHERE, cache, server  # noqa: F401  (fixtures)
from tests.oracle import OUR_CONFIGS

pytestmark = pytest.mark.usefixtures("cache")
NAME = "yolox-m"  # the one checkpoint whose hash is not known, so that tests can make another
FILE = CATALOGUE[NAME].file
GONE = f"{NOWHERE}/yolox-4592a793.pth"


class Attack:
    """Runs a program when a careless reader loads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def publish(server, tmp_path, monkeypatch):  # noqa: F811
    """Return a function that puts a checkpoint on a mirror, in place of the published one."""

    def save(content):
        torch.save(content, tmp_path / "saved.pth")
        server.files[FILE] = (tmp_path / "saved.pth").read_bytes()

    monkeypatch.setenv("RTMO_MIRRORS", server.url)
    return save


def ask_for(config, checkpoint):
    """Return a config whose backbone starts from ``checkpoint``."""
    cfg = load_config(config)
    cfg.model.backbone.init_cfg = {"type": "Pretrained", "checkpoint": checkpoint, "prefix": "backbone."}
    return cfg


def test_checkpoint_can_be_a_name_of_the_zoo_or_its_address(publish, cache):  # noqa: F811
    publish({"state_dict": {"weight": torch.ones(2)}})
    path = locate_checkpoint(NAME)
    assert path == locate_checkpoint(CATALOGUE[NAME].url) == cache / FILE
    assert read_checkpoint(path)["state_dict"]["weight"].tolist() == [1, 1]


def test_file_comes_before_a_name_and_a_name_before_a_folder(publish, cache, tmp_path, monkeypatch):  # noqa: F811
    publish({"state_dict": {"weight": torch.ones(2)}})
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir()
    assert locate_checkpoint(NAME) == cache / FILE
    (tmp_path / "rtmo-s_coco").touch()
    assert locate_checkpoint("rtmo-s_coco").resolve() == tmp_path / "rtmo-s_coco"


def test_name_that_is_none_is_answered_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        MissingFileError, match=r"The checkpoint file rtmo-s_cocoo does not exist: did you mean rtmo-s_coco\?"
    ):
        locate_checkpoint("rtmo-s_cocoo")
    with pytest.raises(CheckpointError, match="rtmo-s_body7-onnx is an exported file, and a checkpoint is needed"):
        locate_checkpoint("rtmo-s_body7-onnx")


def test_hostile_checkpoint_from_the_zoo_is_refused_by_name_and_not_run(publish, config, data_root, tmp_path, cache):  # noqa: F811
    publish({"state_dict": {"weight": torch.ones(1)}, "meta": Attack(tmp_path / "attacked")})
    for start in ({"load_from": NAME}, {}):
        cfg = ask_for(config, CATALOGUE[NAME].url)
        with pytest.raises(CheckpointError, match=rf"{FILE} cannot be loaded as a checkpoint: it refers to \w+\.mkdir"):
            train(cfg, work_dir=tmp_path / "run", data_root=data_root, **start)
    assert (cache / FILE).is_file()
    assert not (tmp_path / "attacked").exists()


def test_file_that_is_not_the_published_one_is_refused(config, data_root, tmp_path, cache):  # noqa: F811
    cache.mkdir(parents=True)
    torch.save({"state_dict": {"weight": torch.ones(1)}}, cache / CATALOGUE["rtmo-s_body7"].file)
    with pytest.raises(CheckpointError, match="is not the published file: its SHA-256 begins with"):
        train(config, work_dir=tmp_path / "run", data_root=data_root, load_from="rtmo-s_body7")


def test_pretrained_backbone_can_be_a_name_and_reaches_the_model(publish, config, server):  # noqa: F811
    cfg = ask_for(config, NAME)
    init_default_scope("mmpose")
    weights = MODELS.build(edit_copy(drop_pretrained, cfg).model).state_dict()
    publish({"state_dict": {name: torch.full_like(value, 3) for name, value in weights.items()}})
    model = MODELS.build(edit_copy(fetch_pretrained, cfg).model)
    model.init_weights()
    assert all((value == 3).all() for value in model.backbone.state_dict().values())
    assert len(server.requests) == 1
    assert cfg.model.backbone.init_cfg.checkpoint == NAME


def test_pretrained_backbone_goes_where_a_program_told_torch_to_look(publish, config, tmp_path, monkeypatch):
    publish({"state_dict": {"backbone.weight": torch.ones(2)}})
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path / "elsewhere"))
    edit_copy(fetch_pretrained, ask_for(config, NAME))
    assert (tmp_path / "elsewhere/checkpoints" / FILE).is_file()


def test_pretrained_backbone_that_cannot_be_had_says_where_to_put_it(config, data_root, cache, tmp_path):  # noqa: F811
    with pytest.raises(MissingFileError) as error:
        train(ask_for(config, GONE), work_dir=tmp_path / "run", data_root=data_root)
    assert str(error.value).startswith(f"{GONE} cannot be downloaded (")
    assert str(error.value).endswith(
        f"put the file at {cache / 'yolox-4592a793.pth'}, or pass --from-scratch to begin with random weights."
    )
    assert not (tmp_path / "run").exists()


def test_published_backbone_that_cannot_be_had_says_where_to_put_it(config, cache):  # noqa: F811
    name = CATALOGUE["yolox-s"].file
    with pytest.raises(MissingFileError) as error:
        edit_copy(fetch_pretrained, ask_for(config, "yolox-s"))
    assert str(error.value).endswith(
        f"put the file at {cache / name}, or name a mirror in RTMO_MIRRORS, "
        "or pass --from-scratch to begin with random weights."
    )


def test_pretrained_path_must_exist(config, tmp_path):
    with pytest.raises(MissingFileError, match=r"yolox\.pth do not exist"):
        edit_copy(fetch_pretrained, ask_for(config, str(tmp_path / "yolox.pth")))


def test_dropping_keeps_every_other_initialization():
    cfg = load_config(OUR_CONFIGS / "rtmo-s_coco.py")
    cfg.model.neck.init_cfg = [{"type": "Pretrained", "checkpoint": GONE}, {"type": "Constant", "val": 1}]
    dropped = edit_copy(drop_pretrained, cfg).model
    assert "init_cfg" not in dropped.backbone
    assert dropped.neck.init_cfg == [{"type": "Constant", "val": 1}]
    assert dropped.init_cfg.type == "Kaiming"
    assert cfg.model.backbone.init_cfg.type == "Pretrained"
