"""Every module of the package can be the first one that a process imports.

Python imports the rooms above a module before the module. So a cycle of imports is entered at the same place from
everywhere if it lies within one room, whose own file takes part in it. A cycle across rooms is entered where the
process happens to begin, and works from some modules only.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping

from tests.conftest import ROOT

PACKAGE = ROOT / "rtmo_plugin"


def list_imports(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """Yield the modules, and the names in modules, that statements import when they run; functions run later."""
    for each in statements:
        if isinstance(each, ast.Import):
            yield from (alias.name for alias in each.names)
        elif isinstance(each, ast.ImportFrom):
            yield str(each.module)
            yield from (f"{each.module}.{alias.name}" for alias in each.names)
        elif not isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
            is_for_types = isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING"
            blocks = ("orelse",) if is_for_types else ("body", "orelse", "handlers", "finalbody")
            yield from list_imports(inner for block in blocks for inner in getattr(each, block, []))


def read_graph() -> dict[str, set[str]]:
    """Return the modules that each module of the package imports first, with the rooms above both."""
    paths = [path for path in PACKAGE.rglob("*.py") if "_configs" not in path.parts]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    graph = {}
    for name, path in names.items():
        imported = {name, *list_imports(ast.parse(path.read_text(encoding="utf-8")).body)}
        rooms = {each.rsplit(".", depth)[0] for each in imported & names.keys() for depth in range(each.count(".") + 1)}
        graph[name] = rooms & names.keys() - {name}
    return graph


def find_cycles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the largest sets of modules of which each imports, over others, each of the set."""
    reached = {name: set(imported) for name, imported in graph.items()}
    for middle, beyond in reached.items():
        for name, imported in reached.items():
            if middle in imported:
                reached[name] = imported | beyond
    cycles = {frozenset(other for other in each if name in reached[other]) for name, each in reached.items()}
    return [set(cycle) for cycle in cycles if len(cycle) > 1]


def find_cycles_across_rooms(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the cycles without a room that all their other modules are in."""
    return [
        cycle
        for cycle in find_cycles(graph)
        if not any(all(each == room or each.startswith(f"{room}.") for each in cycle) for room in cycle)
    ]


def test_imports_are_read_where_they_run():
    source = """
import a
from b import c
if TYPE_CHECKING:
    import types_only
try:
    import d
except ImportError:
    import e
class C:
    import f
def later():
    import g
"""
    assert list(list_imports(ast.parse(source).body)) == ["a", "b", "b.c", "d", "e", "f"]


def test_cycles_are_found():
    within = {"room": {"room.a"}, "room.a": {"room", "room.b"}, "room.b": {"room"}}
    across = {"one": set(), "one.a": {"one", "two"}, "two": {"two.b"}, "two.b": {"two", "one.a"}}
    assert find_cycles(within) == [{"room", "room.a", "room.b"}]
    assert find_cycles_across_rooms(within) == []
    assert find_cycles_across_rooms(across) == [{"one.a", "two", "two.b"}]


def test_no_cycle_goes_across_rooms():
    graph = read_graph()
    assert "rtmo_plugin.models" in graph["rtmo_plugin.models.heads.rtmo_head"]
    assert find_cycles_across_rooms(graph) == []


def test_the_compiler_is_not_imported_for_what_does_not_compile():
    """The import of ``torch._inductor`` takes seconds."""
    slow = ("torch._inductor", "torch._dynamo")
    assert list(list_imports(ast.parse("if True:\n    from torch import _inductor").body)) == ["torch", slow[0]]
    for path in PACKAGE.rglob("*.py"):
        imported = list_imports(ast.parse(path.read_text(encoding="utf-8")).body)
        assert not [each for each in imported if each.startswith(slow)], path


# Each in a process of its own, which begins with PyTorch: the import of that takes longest.
_IMPORT_FIRST = """
import importlib, os, sys
import torch
for name in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(name)
        sys.exit()
    assert os.wait()[1] == 0, name
"""


def test_engine_is_imported_first():
    command = [sys.executable, "-c", _IMPORT_FIRST, "rtmo_plugin.engine.runner", "rtmo_plugin.engine.console"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
