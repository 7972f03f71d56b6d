"""Read a config file and change single values of it, refusing keys that nothing reads."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rtmo_plugin.config.embedded import carries_config, read_embedded_config
from rtmo_plugin.config.keys import find_owner, find_parameters, find_runner_parameters
from rtmo_plugin.config.numbers import check_numbers
from rtmo_plugin.config.plain_files import check_config_files
from rtmo_plugin.errors import ConfigError, UnknownKeyError
from rtmo_plugin.shipped_configs import locate_config

# What the Python in a config may raise.
_CONFIG_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
)
_NUM_KEYS_LISTED = 8
_DELETE_KEY = "_delete_"  # MMEngine's way to replace a section instead of merging into it
_OF_WORKERS = ("persistent_workers", "prefetch_factor", "multiprocessing_context")  # of PyTorch's DataLoader


def load_config(config: str | Path | Config) -> Config:
    """Read a config file or the config inside a checkpoint, or copy a config that was read already.

    Args:
        config: Path, name of a shipped config such as ``rtmo-s_coco``, checkpoint that carries its config, or
            MMEngine's ``Config``.

    Raises:
        MissingFileError: The file or name does not exist; the message has the nearest name.
        ConfigError: The file is not a config that MMEngine can read, or has no ``model``.
        CheckpointError: A checkpoint cannot be read, or its config is not used, see ``read_embedded_config``.
    """
    if isinstance(config, Config):
        cfg = copy.deepcopy(config)
    elif carries_config(config):
        cfg = read_embedded_config(config)
    else:
        cfg = _read_config(locate_config(config))
    if not isinstance(cfg.get("model"), Mapping):
        raise ConfigError(f"{cfg.filename or 'The config'} describes no model: pass one of the files in configs/.")
    return cfg


def _read_config(path: Path) -> Config:
    check_config_files(path)
    try:
        return Config.fromfile(str(path))
    except RecursionError as error:
        raise ConfigError(
            f"The config {path} cannot be read: a function in it calls itself without end, or a file leads back to it."
        ) from error
    except SystemExit as error:  # a config is a program
        raise ConfigError(f"The config {path} cannot be read: it ends the program.") from error
    except _CONFIG_ERRORS as error:
        raise ConfigError(f"The config {path} cannot be read: {type(error).__name__}: {_join_lines(error)}") from error


def _join_lines(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def set_options(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Set the values of ``--cfg-options``.

    A key must exist in the config, or be a parameter of the class that its section builds, so that
    a misspelt key is not silently without effect. A loader without workers loses the options that only workers use.

    Args:
        cfg: Config to edit.
        options: Values by dotted key, for example ``{"train_cfg.max_epochs": 3}``.

    Raises:
        UnknownKeyError: A key that nothing reads; the message names the nearest existing ones.
        ConfigError: A number in the options or the config is outside its range.
    """
    for key in options or {}:
        _check_key(cfg, key)
    try:
        cfg.merge_from_dict(dict(options or {}))
    except (TypeError, KeyError) as error:
        raise ConfigError(f"--cfg-options cannot be applied: {_join_lines(error)}") from error
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        loader = cfg.get(name) or {}
        if loader.get("num_workers") == 0:  # PyTorch refuses what only workers could use
            cfg[name] = {key: value for key, value in loader.items() if key not in _OF_WORKERS}
    check_numbers(cfg)


def _check_key(cfg: Config, key: str) -> None:
    """Raise ``UnknownKeyError`` unless every part of the dotted ``key`` exists or is a parameter."""
    parts = key.split(".")
    if parts[0] in cfg and parts[0] not in find_runner_parameters():
        raise UnknownKeyError(
            f"--cfg-options {key}: {parts[0]} is a variable of the config file, and what was computed from it would "
            "not follow; set the keys that use it instead."
        )
    if owner := find_owner(key):
        raise UnknownKeyError(f"--cfg-options {key}: {parts[-1]} follows from {owner}: set that instead.")
    section: Any = cfg
    for depth, part in enumerate(parts):
        allowed = _list_keys(section, parts[:depth])
        if part not in allowed:
            raise UnknownKeyError(_describe_unknown_key(key, parts[:depth], part, allowed))
        section = section[int(part)] if isinstance(section, (list, tuple)) else section.get(part)
        if section is None:
            if not find_parameters({}, parts[: depth + 1]):  # left to its default: its class checks it
                return
            section = {}


def _list_keys(section: Any, path: list[str]) -> list[str]:
    """Return the keys that may follow ``path``: those in the config first, then possible ones."""
    if isinstance(section, (list, tuple)):
        return [str(index) for index in range(len(section))]
    if not isinstance(section, (dict, Config)):
        return []
    if not path:
        return sorted(find_runner_parameters(), key=lambda name: name not in section)
    present = list(section)
    return present + [name for name in find_parameters(section, path) if name not in present] + [_DELETE_KEY]


def _describe_unknown_key(key: str, path: list[str], part: str, allowed: list[str]) -> str:
    where = ".".join(path)
    if not allowed:
        return f"--cfg-options {key}: {where} is a single value, so {part!r} cannot be set in it."
    near = get_close_matches(part, allowed, n=3)
    listed = [".".join([*path, name]) for name in near or allowed[:_NUM_KEYS_LISTED] if name != _DELETE_KEY]
    introduction = "the nearest" if near else "there are"
    return f"--cfg-options {key}: no key {part!r} in {where or 'the config'}; {introduction}: {', '.join(listed)}."
