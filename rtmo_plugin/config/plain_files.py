"""Checks of YAML and JSON configs before MMEngine reads them: plain data of a limited size.

MMEngine's reader of YAML makes any Python object that a tag names, and copies what aliases repeat: a config of one
kilobyte could run code or fill any memory.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.files import parse_json, read_text

MAX_CONFIG_BYTES = 2 * 10**6
MAX_CONFIG_VALUES = 100_000  # with every alias counted as what it repeats
MAX_CONFIG_FILES = 100  # of a config with all that it builds on
_SUFFIXES = (".yaml", ".yml", ".json")
_PLAIN = "tag:yaml.org,2002:"


def check_data_config(path: Path) -> None:
    """Check a config in YAML or JSON and those that it inherits from; Python configs pass unread.

    Raises:
        MissingFileError: The file does not exist.
        ConfigError: It is too large, repeats too much by aliases, inherits from itself, or names Python objects.
        DataError: It is not valid YAML or JSON.
    """
    waiting, number = [path], 0
    while waiting:
        each = waiting.pop()
        if each.suffix.lower() not in _SUFFIXES:
            continue
        number += 1
        if number > MAX_CONFIG_FILES:
            raise ConfigError(f"The config {path} inherits from itself, or from more than {MAX_CONFIG_FILES} files.")
        content = read_data_config(each)
        bases = content.get("_base_", []) if isinstance(content, dict) else []
        names = [bases] if isinstance(bases, str) else bases if isinstance(bases, list) else []
        waiting += [each.parent / name for name in names if isinstance(name, str) and (each.parent / name).exists()]


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
