"""Read a config without running it: what is written as plain values, and which values are computed."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rtmo_plugin.apis.data_configs import check_data_config
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.files import parse_json, read_text

COMPUTED = "computed"  # stands for a value that only running the config would tell
_DELETE_KEY, _BASE = "_delete_", "_base_"
_MAX_DEPTH = 20  # of configs that build on each other


def read_static_config(path: Path) -> dict[str, Any]:
    """Return the variables of a config and of those that it builds on.

    Args:
        path: A config in Python, YAML or JSON.

    Returns:
        Values by name; ``COMPUTED`` in place of those that are neither literals nor names of others.

    Raises:
        MissingFileError: The config, or one that it builds on, does not exist.
        ConfigError: It is not valid, or builds on itself.
    """
    return _read(path, 0)


def _read(path: Path, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise ConfigError(
            f"The config {path} cannot be read: it builds on itself, or on more than {_MAX_DEPTH} others."
        )
    if path.suffix.lower() != ".py":
        check_data_config(path)
        content = parse_json(read_text(path), str(path)) if path.suffix == ".json" else yaml.safe_load(read_text(path))
        own = content if isinstance(content, dict) else {}
        return _merge(_read_bases(path, own.pop(_BASE, []), depth), own)
    text = read_text(path)
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"The config {path} cannot be read: {' '.join(str(error).split())}.") from error
    reader = _ValueReader()
    for statement in statements:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in (each for each in targets if isinstance(each, ast.Name)):
                value = reader.visit(statement.value)
                if target.id == _BASE:
                    reader.base = _read_bases(path, value, depth)
                else:
                    reader.own[target.id] = value
    return _merge(reader.base, reader.own)


def _read_bases(path: Path, names: Any, depth: int) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in names if isinstance(names, (list, tuple)) else [names]:
        if isinstance(name, str) and name != COMPUTED and "::" not in name:
            merged = _merge(merged, _read(path.parent / name, depth + 1))
    return merged


class _ValueReader(ast.NodeVisitor):
    """Reads expressions of literals, names and ``dict(...)``; nothing is called.

    Attributes:
        own: Variables of the config so far.
        base: Variables of the configs that it builds on.
    """

    def __init__(self) -> None:
        self.own: dict[str, Any] = {}
        self.base: dict[str, Any] = {}

    def generic_visit(self, node: ast.AST) -> Any:
        return COMPUTED

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = self.visit(node.operand)
        return -value if isinstance(node.op, ast.USub) and isinstance(value, (int, float)) else COMPUTED

    def visit_List(self, node: ast.List) -> Any:
        return [self.visit(each) for each in node.elts]

    def visit_Tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.visit(each) for each in node.elts)

    def visit_Dict(self, node: ast.Dict) -> Any:
        pairs = [(key and self.visit(key), self.visit(value)) for key, value in zip(node.keys, node.values)]
        return _join((key, value) for key, value in pairs if key is None or isinstance(key, (str, int)))

    def visit_Call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name) or node.func.id != "dict":
            return COMPUTED
        start = [(None, self.visit(each)) for each in node.args]
        return _join([*start, *((each.arg, self.visit(each.value)) for each in node.keywords)])

    def visit_Name(self, node: ast.Name) -> Any:
        return copy.deepcopy(self.base if node.id == _BASE else self.own.get(node.id, COMPUTED))

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        parent = self.visit(node.value)
        return parent.get(node.attr, COMPUTED) if isinstance(parent, dict) else COMPUTED


def _join(pairs: Any) -> dict[Any, Any]:
    """Return a dict of pairs; those without a key are dicts that are taken in."""
    joined: dict[Any, Any] = {}
    for key, value in pairs:
        if key is not None:
            joined[key] = value
        elif isinstance(value, dict):
            joined |= value
    return joined


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
