"""Checks of configs before MMEngine reads them: no circle of files, and plain data of a limited size in YAML and JSON.

MMEngine's reader of YAML makes any Python object that a tag names, and copies what aliases repeat: a config of one
kilobyte could run code or fill any memory.
"""

from __future__ import annotations

import ast
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.files import parse_json, read_text
from rtmo_plugin.literals import TEXT_ERRORS, LiteralReader

MAX_CONFIG_BYTES = 2 * 10**6
MAX_CONFIG_VALUES = 100_000  # with every alias counted as what it repeats
MAX_CONFIG_FILES = 100  # of a config with all that it builds on
_SUFFIXES = (".yaml", ".yml", ".json")
_PLAIN = "tag:yaml.org,2002:"


def check_config_files(path: Path) -> None:
    """Check that a config does not build on itself, and that those in YAML or JSON are plain data.

    MMEngine would open a file for every turn of a circle, until the process may open no more.

    Raises:
        MissingFileError: The file does not exist.
        ConfigError: It builds on itself, is too large, repeats too much by aliases, or names Python objects.
        DataError: It is not valid YAML or JSON.
    """
    waiting, number = [path], 0
    while waiting:
        each = waiting.pop()
        number += 1
        if number > MAX_CONFIG_FILES:
            raise make_circle_error(path)
        bases = _find_bases(each)
        names = bases if isinstance(bases, (list, tuple)) else [bases]
        waiting += [each.parent / name for name in names if isinstance(name, str) and (each.parent / name).is_file()]


def make_circle_error(path: Path) -> ConfigError:
    """Return the error for a config that builds on itself."""
    return ConfigError(
        f"The config {path} cannot be read: it builds on itself, or on more than {MAX_CONFIG_FILES} others."
    )


def _find_bases(path: Path) -> Any:
    """Return what a config names in ``_base_``, or nothing if it is Python that cannot be read: MMEngine says why."""
    if path.suffix.lower() in _SUFFIXES:
        content = read_data_config(path)
        return content.get("_base_") if isinstance(content, dict) else None
    try:
        for statement in ast.parse(read_text(path, MAX_CONFIG_BYTES)).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="_base_")], value=value):
                    return LiteralReader().read(value)
    except TEXT_ERRORS:
        return None
    return None


def read_data_config(path: Path) -> Any:
    """Return the content of a config in YAML or JSON, without those that it inherits from.

    Raises:
        MissingFileError: The file does not exist.
        ConfigError: It is too large, has too many values, or has one that only Python can make.
        DataError: It is not valid YAML or JSON.
    """
    text, name = read_text(path, MAX_CONFIG_BYTES), str(path)
    if path.suffix.lower() == ".json":
        return parse_json(text, name)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            count = _count_values(root, name, {})
            if count > MAX_CONFIG_VALUES:
                raise ConfigError(f"{name} has more than {MAX_CONFIG_VALUES:,} values with its aliases, the limit.")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{name} is not valid YAML: {reason}.") from None
    except RecursionError:
        raise DataError(f"{name} is nested too deeply.") from None
    except ValueError as error:  # such as a date that does not exist
        if isinstance(error, ConfigError):
            raise
        raise DataError(f"{name} cannot be read as YAML: {error}.") from None


def _count_values(node: yaml.Node, name: str, known: dict[Hashable, int]) -> int:
    """Return the number of values of a node with everything below it, each alias counted in full."""
    if id(node) in known:
        if known[id(node)] < 0:
            raise ConfigError(f"{name} has an alias within what it repeats, at line {node.start_mark.line + 1}.")
        return known[id(node)]
    if not node.tag.startswith(_PLAIN) or node.tag.startswith(f"{_PLAIN}python/"):
        raise ConfigError(
            f"{name} has a value with the tag {node.tag}, at line {node.start_mark.line + 1}; only plain data are read."
        )
    known[id(node)] = -1
    values = node.value if isinstance(node, (yaml.SequenceNode, yaml.MappingNode)) else []
    parts = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    known[id(node)] = min(1 + sum(_count_values(part, name, known) for part in parts), 10 * MAX_CONFIG_VALUES)
    return known[id(node)]
