"""The eleven official recipes and ours resolve to the same values, key by key.

A key of MMPose's config is found in ours under the same name, or under the one that ``RENAMED``
gives, or its reason to be missing stands in ``DIFFERENT``; a key of ours that MMPose's config does
not have stands in ``ADDED`` with the value it must have.  A value that our config leaves out is the
default of the class that reads it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import mmpose
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.datasets.transforms import BottomupRandomAffine
from mmpose.engine.hooks import ExpMomentumEMA
from mmpose.models.task_modules import assigners as their_assigners
from mmpose.registry import MODELS

from rtmo_plugin.models.assigners import SimOTAAssigner
from rtmo_plugin.models.heads import DynamicCoordinateClassifier, RTMOHead, RTMOHeadModule
from rtmo_plugin.models.losses import IoULoss
from rtmo_plugin.models.necks import HybridEncoder

OURS = Path(__file__).parents[2] / "configs"
OFFICIAL = Path(mmpose.__file__).parent / ".mim/configs/body_2d_keypoint/rtmo"
RECIPES = {
    "rtmo-s_coco": "coco/rtmo-s_8xb32-600e_coco-640x640",
    "rtmo-m_coco": "coco/rtmo-m_16xb16-600e_coco-640x640",
    "rtmo-l_coco": "coco/rtmo-l_16xb16-600e_coco-640x640",
    "rtmo-s_crowdpose": "crowdpose/rtmo-s_8xb32-700e_crowdpose-640x640",
    "rtmo-m_crowdpose": "crowdpose/rtmo-m_16xb16-700e_crowdpose-640x640",
    "rtmo-l_crowdpose": "crowdpose/rtmo-l_16xb16-700e_crowdpose-640x640",
    "rtmo-t_body7": "body7/rtmo-t_8xb32-600e_body7-416x416",
    "rtmo-s_body7": "body7/rtmo-s_8xb32-600e_body7-640x640",
    "rtmo-m_body7": "body7/rtmo-m_16xb16-600e_body7-640x640",
    "rtmo-l_body7": "body7/rtmo-l_16xb16-600e_body7-640x640",
    "rtmo-l_body7-crowdpose": "crowdpose/rtmo-l_16xb16-700e_body7-crowdpose-640x640",
}
Values = dict[str, Any]

# What a run reads; the other top-level names are variables of the config file.
RUN_KEYS = {*inspect.signature(Runner).parameters, "custom_imports", "backend_args"}

STAGES = "model.head.stages"
FINISH = "default_hooks.training_stages.schedule.finish"
SWITCH = r"custom_hooks\.1\.epoch_attributes\.(\d+)"
METAFILE = "configs/_base_/datasets/{}.py"
KEYPOINTS = {17: "coco", 14: "crowdpose", METAFILE.format("coco"): "coco", METAFILE.format("crowdpose"): "crowdpose"}
CENTERS = {True: "keypoints", False: "box"}


def keep(value: Any, official: Values) -> Any:
    return value


def count_from_start(value: int, official: Values) -> int:
    return official["train_cfg.max_epochs"] - value


# MMPose's key; our key; the value as we write it.
RENAMED: list[tuple[str, str, Any]] = [
    # Two hooks that fire at one epoch each became one that follows the epoch.
    (r"custom_hooks\.0\.new_train_pipeline\.(.+)", FINISH + r".pipeline.\1", keep),
    (r"custom_hooks\.0\.new_train_dataset\.(?!pipeline)(.+)", FINISH + r".dataset.\1", keep),
    (r"custom_hooks\.0\.num_last_epochs", FINISH + ".begin", count_from_start),
    (r"custom_hooks\.[01]\.priority", "default_hooks.training_stages.priority", keep),
    (SWITCH + r"\.proxy_target_cc", STAGES + ".refine.proxy_target", lambda v, _: {True: "dcc"}.get(v)),
    (SWITCH + r"\.overlaps_power", STAGES + ".refine.class_target_power", keep),
    (SWITCH + r"\.loss_(\w+)\.loss_weight", STAGES + r".refine.weights.\2", keep),
    (r"custom_hooks\.2\.priority", "custom_hooks.0.priority", keep),
    (r"custom_hooks\.3\.(.+)", r"custom_hooks.1.\1", keep),
    # neck
    (r"model\.(neck|head|head\.assigner)\.type", r"model.\1.type", lambda v, _: f"rtmo_plugin.{v}"),
    (r"model\.neck\.hidden_dim", "model.neck.hidden_channels", keep),
    (r"model\.neck\.encoder_cfg\.\w+\.embed_dims", "model.neck.hidden_channels", keep),
    (r"model\.neck\.encoder_cfg\.self_attn_cfg\.num_heads", "model.neck.num_heads", keep),
    (r"model\.neck\.encoder_cfg\.ffn_cfg\.feedforward_channels", "model.neck.ffn_channels", keep),
    (r"model\.neck\.encoder_cfg\.(self_attn_cfg\.dropout|ffn_cfg\.ffn_drop)", "model.neck.dropout", keep),
    (r"model\.neck\.output_indices", "model.neck.out_levels", lambda v, _: [index + 3 for index in v]),
    # head
    (r"model\.head\.(num_keypoints|.+\.metainfo)", "model.head.keypoints", lambda v, _: KEYPOINTS.get(v)),
    (r"model\.head\.(featmap_strides|prior_generator\.strides)", "model.head.strides", keep),
    (r"model\.head\.head_module_cfg\.(num_classes|widen_factor)", r"model.head.\1", keep),
    (r"model\.head\.head_module_cfg\.cls_feat_channels", "model.head.head_module.feat_channels", keep),
    (r"model\.head\.head_module_cfg\.(channels_per_group|stacked_convs)", r"model.head.head_module.\1", keep),
    (r"model\.head\.dcc_cfg\.(feat_channels|num_bins)", r"model.head.dcc.\1", keep),
    (r"model\.head\.dcc_cfg\.spe_channels", "model.head.dcc.encoding_channels", keep),
    (r"model\.head\.dcc_cfg\.gau_cfg\.s", "model.head.dcc.attention_channels", keep),
    (r"model\.head\.dcc_cfg\.gau_cfg\.expansion_factor", "model.head.dcc.expansion", keep),
    (r"model\.head\.assigner\.dynamic_k_indicator", "model.head.assigner.dynamic_k", keep),
    (r"model\.head\.assigner\.use_keypoints_for_center", "model.head.assigner.center", lambda v, _: CENTERS[v]),
    # Loss weights belong to the stages.
    (r"model\.head\.overlaps_power", STAGES + ".warmup.class_target_power", keep),
    (r"model\.head\.loss_bbox_aux\.loss_weight", STAGES + ".finish.weights.bbox_aux", keep),
    (r"model\.head\.loss_(\w+)\.loss_weight", STAGES + r".warmup.weights.\1", keep),
    (r"model\.head\.loss_bbox\.mode", "model.head.loss_bbox.mode", keep),
]

DERIVED = "follows from widen_factor or keypoints; test_parameters_are_the_same compares all shapes"
FIXED = "not an option here; the module's own tests compare its numbers with MMPose's"
# MMPose's key; why there is none here.
DIFFERENT: list[tuple[str, str]] = [
    (r"custom_hooks\.[01]\.type", "one hook for all stages; MMPose's two count epochs differently, by one"),
    (r"custom_hooks\.0\.new_train_dataset\.pipeline\..+", "MMPose's hook replaces it before any use"),
    (r"custom_hooks\.2\.type", "SyncNormHook fails and hides it; MMEngine's SyncBuffersHook does what it should"),
    (r".+\.backend_args", "None is the default of LoadImage"),
    (r"model\.neck\.(in_channels|projector\.(in|out)_channels)", DERIVED),
    (r"model\.head\.(head_module_cfg\.(in|pose_vec)_channels|dcc_cfg\.in_channels)", DERIVED),
    (r"model\.neck\.projector\.(type|kernel_size|act_cfg|norm_cfg\.type|num_outs)", FIXED),
    (r"model\.neck\.encoder_cfg\.ffn_cfg\.act_cfg\.type", FIXED),
    (r"model\.head\.head_module_cfg\.(norm|act)_cfg\..+", FIXED),
    (r"model\.head\.dcc_cfg\.gau_cfg\.(dropout_rate|drop_path|act_fn|pos_enc)", FIXED),
    (r"model\.head\.prior_generator\.(type|centralize_points)", FIXED),
    (r"model\.head\.assigner\.oks_calculator\.type", FIXED),
    (r"model\.head\.loss_\w+\.(type|reduction|use_target_weight|eps)", FIXED),
    (r"model\.test_cfg\.input_size", "nothing reads it: each image's metainfo maps its predictions back"),
]


def read_switch_epoch(official: Values) -> int:
    (epoch,) = {int(match[1]) for match in map(re.compile(SWITCH).match, official) if match}
    return epoch


def default_of(reader: Any, parameter: str) -> Any:
    return inspect.signature(reader).parameters[parameter].default


def default_probability(official: Values) -> float:
    (value,) = {default_of(BottomupRandomAffine, f"{what}_prob") for what in ("shift", "rotate", "scale")}
    return value


# Our key where MMPose's config has none; the value it must have, or a function that finds it.
ADDED: list[tuple[str, Any]] = [
    (r"custom_imports\.imports", ["rtmo_plugin"]),
    (r"custom_imports\.allow_failed_imports", False),
    (r"default_hooks\.training_stages\.type", "rtmo_plugin.TrainingStageHook"),
    (r"default_hooks\.training_stages\.schedule\.warmup\.begin", 0),
    (r"default_hooks\.training_stages\.schedule\.refine\.begin", read_switch_epoch),
    (r"custom_hooks\.0\.type", "SyncBuffersHook"),
    # Written out, though it is the default of MMPose's class.
    (r"custom_hooks\.1\.gamma", lambda _: default_of(ExpMomentumEMA, "gamma")),
    (re.escape(FINISH) + r"\.pipeline\.1\.(shift|rotate|scale)_prob", default_probability),
    (
        r"model\.head\.assigner\.center",
        lambda _: CENTERS[default_of(their_assigners.SimOTAAssigner, "use_keypoints_for_center")],
    ),
    # Attributes of MMPose's head that only its hooks change.
    (r"model\.head\.stages\.warmup\.proxy_target", "truth"),
    (r"model\.head\.stages\.warmup\.weights\.bbox_aux", 0.0),
]

# Who reads a section: the source of the values that it leaves out.
READERS = {
    "model.neck": HybridEncoder,
    "model.head": RTMOHead,
    "model.head.head_module": RTMOHeadModule,
    "model.head.dcc": DynamicCoordinateClassifier,
    "model.head.assigner": SimOTAAssigner,
    "model.head.loss_bbox": IoULoss,
    FINISH + ".pipeline.1": BottomupRandomAffine,
}


def flatten(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys and the values of a config, entering dicts and lists of dicts."""
    if isinstance(value, dict) and value:
        for name, child in value.items():
            yield from flatten(child, f"{key}.{name}".lstrip("."))
    elif isinstance(value, (list, tuple)) and any(isinstance(child, dict) for child in value):
        for index, child in enumerate(value):
            yield from flatten(child, f"{key}.{index}")
    else:
        yield key, _to_lists(value)


def _to_lists(value: Any) -> Any:
    return [_to_lists(child) for child in value] if isinstance(value, (list, tuple)) else value


@cache
def load(path: Path) -> Values:
    """Return what a run reads of a config file, by dotted key."""
    config = Config.fromfile(path)._cfg_dict.to_dict()
    return dict(flatten({name: value for name, value in config.items() if name in RUN_KEYS}))


def load_pair(recipe: str) -> tuple[Values, Values]:
    return load(OURS / f"{recipe}.py"), load(OFFICIAL / f"{RECIPES[recipe]}.py")


@cache
def find_row(table: str, key: str) -> int | None:
    """Return the number of the first row of a table that covers ``key``."""
    rows = {"RENAMED": RENAMED, "DIFFERENT": DIFFERENT, "ADDED": ADDED}[table]
    return next((number for number, row in enumerate(rows) if re.fullmatch(row[0], key)), None)


def translate(key: str, value: Any, official: Values) -> tuple[str, Any]:
    """Return our name for a key of MMPose's config, and the value it must have."""
    row = find_row("RENAMED", key)
    if row is None:
        return key, value
    pattern, name, write = RENAMED[row]
    return re.fullmatch(pattern, key).expand(name), _to_lists(write(value, official))


def read_value(ours: Values, key: str) -> Any:
    """Return a value of our config, or the default of its reader; ``KeyError`` if nobody reads it."""
    if key in ours:
        return ours[key]
    section, _, name = key.rpartition(".")
    return _to_lists(default_of(READERS[section], name))


def find_differences(ours: Values, official: Values) -> list[str]:
    """Compare two configs through the tables, in both directions."""
    keys = [key for key in official if find_row("DIFFERENT", key) is None]
    wanted = [translate(key, official[key], official) for key in keys]
    rows = {key: find_row("ADDED", key) for key in {key for key, _ in wanted} | ours.keys()}
    problems = [f"{ADDED[row][0]}: missing" for row in set(range(len(ADDED))) - set(rows.values())]
    for key in ours.keys() - {key for key, _ in wanted}:
        if rows[key] is None:
            problems.append(f"{key}: nothing in MMPose's config, nothing in ADDED")
        else:
            value = ADDED[rows[key]][1]
            wanted.append((key, value(official) if callable(value) else value))
    return sorted(problems + [problem for key, value in wanted for problem in check_value(ours, key, value)])


def check_value(ours: Values, key: str, value: Any) -> list[str]:
    try:
        found = read_value(ours, key)
    except KeyError:
        return [f"{key}: missing, should be {value!r}"]
    return [] if found == value else [f"{key}: {found!r} should be {value!r}"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_is_official(recipe):
    assert find_differences(*load_pair(recipe)) == []


def test_all_official_recipes_are_here():
    found = {str(path.relative_to(OFFICIAL).with_suffix("")) for path in OFFICIAL.rglob("*.py")}
    assert found == set(RECIPES.values())


@pytest.mark.parametrize("table", ["RENAMED", "DIFFERENT", "ADDED"])
def test_every_row_is_needed(table):
    pairs = [load_pair(recipe) for recipe in RECIPES]
    keys = {key for ours, official in pairs for key in (ours if table == "ADDED" else official)}
    rows = {"RENAMED": RENAMED, "DIFFERENT": DIFFERENT, "ADDED": ADDED}[table]
    assert {find_row(table, key) for key in keys} - {None} == set(range(len(rows)))


class Wrong:
    """Equal to nothing."""


@pytest.mark.parametrize("recipe", ["rtmo-s_coco", "rtmo-t_body7", "rtmo-l_body7-crowdpose"])
def test_any_wrong_value_is_found(recipe):
    ours, official = load_pair(recipe)
    unnoticed = [key for key in ours if not find_differences({**ours, key: Wrong()}, official)]
    assert unnoticed == []


@pytest.mark.parametrize("recipe", ["rtmo-s_coco", "rtmo-t_body7", "rtmo-l_body7-crowdpose"])
def test_any_missing_key_is_found(recipe):
    ours, official = load_pair(recipe)
    kept = {key: {name: value for name, value in ours.items() if name != key} for key in ours}
    unnoticed = [key for key in ours if not find_differences(kept[key], official)]
    assert [key for key in unnoticed if read_value(kept[key], key) != ours[key]] == []


@pytest.mark.parametrize("recipe", ["rtmo-s_coco", "rtmo-t_body7", "rtmo-l_body7-crowdpose"])
def test_any_other_official_value_is_found(recipe):
    ours, official = load_pair(recipe)
    compared = [key for key in official if find_row("DIFFERENT", key) is None]
    changed = {key: {**official, key: change(official[key])} for key in compared}
    assert [key for key in compared if not find_differences(ours, changed[key])] == []


def change(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"not {value}"
    if isinstance(value, (int, float)):
        return value + 1
    return [*value, 1] if isinstance(value, list) else Wrong()


@pytest.mark.parametrize("recipe", RECIPES)
def test_parameters_are_the_same(recipe):
    """Names and shapes, in MMPose's order; buffers that need not exist here are the exception."""
    init_default_scope("mmpose")
    ours, official = OURS / f"{recipe}.py", OFFICIAL / f"{RECIPES[recipe]}.py"
    with torch.device("meta"):
        models = [MODELS.build(Config.fromfile(path).model) for path in (ours, official)]
    mine, wanted = ([(name, p.shape) for name, p in model.named_parameters()] for model in models)
    assert mine == wanted
