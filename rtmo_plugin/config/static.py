"""Read a config without running it: what is written as plain values, and which values are computed."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rtmo_plugin.config.plain_files import MAX_CONFIG_BYTES, MAX_CONFIG_FILES, make_circle_error, read_data_config
from rtmo_plugin.errors import ConfigError, UserError
from rtmo_plugin.files import read_text
from rtmo_plugin.literals import TEXT_ERRORS, LiteralReader

COMPUTED = "computed"  # stands for a value that only running the config would tell
_DELETE_KEY, _BASE = "_delete_", "_base_"


def read_static_config(path: Path) -> dict[str, Any]:
    """Return the variables of a config and of those that it builds on.

    Args:
        path: A config in Python, YAML or JSON.

    Returns:
        Values by name; ``COMPUTED`` in place of those that are neither literals nor names of others.

    Raises:
        MissingFileError: The config, or one that it builds on, does not exist.
        ConfigError: It is not valid, is nested too deeply, or builds on itself.
        DataError: It is not valid YAML or JSON.
    """
    return _read(path, iter(range(MAX_CONFIG_FILES)))


def _read(path: Path, budget: Iterator[int]) -> dict[str, Any]:
    """Return the variables of one config with those of its bases; each file takes one item of the budget."""
    if next(budget, None) is None:
        raise make_circle_error(path)
    if path.suffix.lower() != ".py":
        content = read_data_config(path)
        own = content if isinstance(content, dict) else {}
        return _merge(_read_bases(path, own.pop(_BASE, []), budget), own)
    text, reader = read_text(path, MAX_CONFIG_BYTES), _ValueReader()
    try:
        for statement in ast.parse(text).body:
            if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in (each for each in targets if isinstance(each, ast.Name)):
                    value = reader.read(statement.value)
                    if target.id == _BASE:
                        reader.base = _read_bases(path, value, budget)
                    else:
                        reader.own[target.id] = value
    except UserError:  # of a base
        raise
    except TEXT_ERRORS as error:
        raise ConfigError(f"The config {path} cannot be read: {' '.join(str(error).split())}.") from error
    return _merge(reader.base, reader.own)


def _read_bases(path: Path, names: Any, budget: Iterator[int]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in names if isinstance(names, (list, tuple)) else [names]:
        if isinstance(name, str) and name != COMPUTED and "::" not in name:
            merged = _merge(merged, _read(path.parent / name, budget))
    return merged


class _ValueReader(LiteralReader):
    """Reads literals and variables; every other expression is ``COMPUTED``.

    Attributes:
        own: Variables of the config so far.
        base: Variables of the configs that it builds on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.own: dict[str, Any] = {}
        self.base: dict[str, Any] = {}

    def read_other(self, node: ast.expr) -> Any:
        """Return the value of a variable, or ``COMPUTED``."""
        match node:
            case ast.Name(id=name):
                return copy.deepcopy(self.base if name == _BASE else self.own.get(name, COMPUTED))
            case ast.Attribute():
                parent = self.read(node.value)
                return parent.get(node.attr, COMPUTED) if isinstance(parent, dict) else COMPUTED
        return COMPUTED

    def take_in(self, node: ast.expr) -> dict[Any, Any]:
        """Return the entries, as far as they are known."""
        value = self.read(node)
        return value if isinstance(value, dict) else {}


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``own`` merged into ``base`` as MMEngine does: dicts are merged, everything else is replaced."""
    merged = dict(base)
    for name, value in own.items():
        if isinstance(value, dict):
            is_replaced = value.get(_DELETE_KEY) is True or not isinstance(merged.get(name), dict)
            plain = {key: each for key, each in value.items() if key != _DELETE_KEY}
            merged[name] = _merge({} if is_replaced else merged[name], plain)
        else:
            merged[name] = value
    return merged
