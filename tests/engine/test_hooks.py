"""Hooks can be named in configs."""

import importlib
import inspect
import pkgutil

import pytest
from mmengine.hooks import Hook

import rtmo_plugin.engine.hooks as room
from rtmo_plugin.registry import HOOKS

MODULES = [importlib.import_module(f"{room.__name__}.{module.name}") for module in pkgutil.iter_modules(room.__path__)]
NAMES = [
    name
    for module in MODULES
    for name, value in vars(module).items()
    if inspect.isclass(value) and issubclass(value, Hook) and value.__module__ == module.__name__
]


def test_all_hooks_were_found():
    assert {"TrainingStageHook", "PictureHook", "FirstBatchHook", "DivergenceHook"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_hook_is_registered_and_exported(name):
    assert HOOKS.get(f"rtmo_plugin.{name}") is getattr(room, name)


def test_plot_hook_from_a_config(tmp_path):
    hook = HOOKS.build({"type": "rtmo_plugin.PictureHook", "out_dir": str(tmp_path), "score_thr": 0.5})
    assert isinstance(hook, Hook)
