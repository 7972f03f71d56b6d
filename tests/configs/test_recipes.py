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
from mmpose.registry import MODELS

from rtmo_plugin.models.heads.stages import DEFAULT_STAGES
from tests.configs.recipe_tables import ADDED, DIFFERENT, READERS, RECIPES, RENAMED, Values, default_of

OURS = Path(__file__).parents[2] / "configs"
OFFICIAL = Path(mmpose.__file__).parent / ".mim/configs/body_2d_keypoint/rtmo"
TABLES = {"RENAMED": RENAMED, "DIFFERENT": DIFFERENT, "ADDED": ADDED}
# What a run reads; the other top-level names are variables of the config file.
RUN_KEYS = {*inspect.signature(Runner).parameters, "custom_imports", "backend_args"}


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
    cfg = Config.fromfile(path)
    if path.is_relative_to(OURS):  # a default of nested dicts, of which a config overrides a part
        stages = Config({"stages": DEFAULT_STAGES})
        stages.merge_from_dict({"stages": cfg.model.head.get("stages", {})})
        cfg.model.head.stages = stages.stages
    config = cfg._cfg_dict.to_dict()
    return dict(flatten({name: value for name, value in config.items() if name in RUN_KEYS}))


def load_pair(recipe: str) -> tuple[Values, Values]:
    return load(OURS / f"{recipe}.py"), load(OFFICIAL / f"{RECIPES[recipe]}.py")


@cache
def find_row(table: str, key: str) -> int | None:
    """Return the number of the first row of a table that covers ``key``."""
    return next((number for number, row in enumerate(TABLES[table]) if re.fullmatch(row[0], key)), None)


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


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_needed(table):
    pairs = [load_pair(recipe) for recipe in RECIPES]
    keys = {key for ours, official in pairs for key in (ours if table == "ADDED" else official)}
    assert {find_row(table, key) for key in keys} - {None} == set(range(len(TABLES[table])))


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
