"""A key that follows from another one is refused by name, on the command line and in a config."""

import pytest
from mmengine.config import Config

from rtmo_plugin.config.config_files import set_options
from rtmo_plugin.errors import UnknownKeyError
from rtmo_plugin.models.heads.rtmo_head import OWNED_OPTIONS, RTMOHead
from tests.conftest import run_command
from tests.edited import edit_copy
from tests.oracle import OUR_CONFIGS

OWNED = [(part, name) for part, owners in OWNED_OPTIONS.items() for name in owners]


@pytest.fixture(scope="module")
def cfg():
    return Config.fromfile(OUR_CONFIGS / "rtmo-s_coco.py")


@pytest.mark.parametrize(("part", "name"), OWNED)
def test_owned_key_is_refused_with_its_owner(cfg, part, name):
    owner = OWNED_OPTIONS[part][name]
    with pytest.raises(UnknownKeyError, match=rf"{part}\.{name}: {name} follows from model\.head\.{owner}: set that"):
        edit_copy(set_options, cfg, {f"model.head.{part}.{name}": 2})
    with pytest.raises(ValueError, match=rf"^head\.{part}\.{name} follows from head\.{owner}: set that instead\.$"):
        RTMOHead(**{part: {name: 2}})


def test_owners_can_be_set(cfg):
    options = {"model.head.keypoints": "crowdpose", "model.head.head_module": {"stacked_convs": 1}}
    changed = edit_copy(set_options, cfg, options)
    head = RTMOHead(**{name: value for name, value in changed.model.head.items() if name != "type"})
    assert head.dcc.num_keypoints == 14


@pytest.mark.parametrize("key", ["model.head.dcc.box_padding", "model.head.box_padding"])
def test_box_padding_is_the_classifiers_and_has_an_earlier_name(cfg, key):
    changed = edit_copy(set_options, cfg, {key: 1.5})
    options = {name: value for name, value in changed.model.head.items() if name != "type"}
    assert RTMOHead(**options).dcc.box_padding == 1.5
    with pytest.raises(ValueError, match=r"^head\.box_padding is an earlier name of head\.dcc\.box_padding"):
        RTMOHead(box_padding=1.5, dcc={"box_padding": 1.5})


def test_command_says_it_in_one_sentence(capsys, tmp_path):
    code, _, printed = run_command(
        capsys, "train", "rtmo-t_synthetic", "--work-dir", tmp_path, "--cfg-options", "model.head.dcc.num_keypoints=4"
    )
    assert code == 2
    assert printed.splitlines()[-1].endswith(
        "model.head.dcc.num_keypoints: num_keypoints follows from model.head.keypoints: set that instead."
    )
