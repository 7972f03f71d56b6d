"""Literals in the Python text of a config, read without running it."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# What parsing and reading raise for text that is not Python, is nested too deeply, or has a list as a key.
TEXT_ERRORS = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)
_SEQUENCES: Mapping[type, Callable[[Iterable[Any]], Any]] = {ast.List: list, ast.Tuple: tuple, ast.Set: set}
_CONSTANTS = {"inf": math.inf, "nan": math.nan}


class LiteralReader:
    """Reads expressions of literals and ``dict(...)``; nothing is called, and everything else is refused.

    Args:
        refuse: Function that makes an error from the end of a sentence.
    """

    def __init__(self, refuse: Callable[[str], Exception] = ValueError) -> None:
        self._refuse = refuse

    def read(self, node: ast.expr) -> Any:  # noqa: PLR0911  (one for each kind of expression)
        """Return the value of an expression."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in _CONSTANTS:
                return _CONSTANTS[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                number = self.read(operand)
                if isinstance(number, (int, float)):
                    return -number
            case ast.List() | ast.Tuple() | ast.Set():
                return _SEQUENCES[type(node)](self.read(each) for each in node.elts)
            case ast.Dict():
                return self._join(zip(node.keys, node.values))
            case ast.Call(func=ast.Name(id="dict")):
                joined: dict[Any, Any] = {}
                for each in node.args:  # MMEngine writes dict({'a.b': 1}, c=2) where a key is not an identifier
                    joined |= self.read(each) if isinstance(each, ast.Dict) else self.take_in(each)
                return joined | self._join((each.arg and ast.Constant(each.arg), each.value) for each in node.keywords)
        return self.read_other(node)

    def read_other(self, node: ast.expr) -> Any:
        """Refuse what is not a literal."""
        raise self._refuse(f"line {node.lineno} is not a literal")

    def take_in(self, node: ast.expr) -> dict[Any, Any]:
        """Return the entries of ``**node``, or of ``dict(node)`` where they are not written there."""
        entries: dict[Any, Any] = self.read_other(node)
        return entries

    def _join(self, pairs: Iterable[tuple[Any, ast.expr]]) -> dict[Any, Any]:
        joined: dict[Any, Any] = {}
        for key, value in pairs:
            joined |= self.take_in(value) if key is None else {self.read(key): self.read(value)}
        return joined
