"""Sizes of functions and files, names that are used once, and the rules that ruff, mypy and import-linter check.

Code lines are lines with a token that is neither a comment nor part of a docstring, counted from
``def`` to the end of the body; a function within a function counts in both.
"""

import ast
import io
import re
import statistics
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = sorted(path for room in ("rtmo_plugin", "benchmarks", "studies") for path in (ROOT / room).rglob("*.py"))
ROOMS = [path for path in PACKAGE if path.is_relative_to(ROOT / "rtmo_plugin") and "_configs" not in path.parts]
TOOLS = sorted((ROOT / "tools").glob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LAYOUT = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
RULES = ("ruff check --no-cache .", "ruff format --check --no-cache .", "lint-imports --no-cache --no-logo", "mypy")


def measure_functions(source: str) -> dict[str, int]:
    """Return the code lines of every function of a module, by ``line name``."""
    tree = ast.parse(source)
    lines = find_code_lines(source) - find_docstring_lines(tree)
    nodes = [node for node in ast.walk(tree) if isinstance(node, FUNCTION)]
    return {
        f"{node.lineno} {node.name}": len(lines.intersection(range(node.lineno, node.end_lineno + 1))) for node in nodes
    }


def find_code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that hold more than layout and comments."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    spans = [(token.start[0], token.end[0]) for token in tokens if token.type not in LAYOUT]
    return {line for start, end in spans for line in range(start, end + 1)}


def find_docstring_lines(tree: ast.Module) -> set[int]:
    """Return the numbers of the lines of all docstrings."""
    owners = [node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTION))]
    docs = [owner.body[0] for owner in owners if ast.get_docstring(owner, clean=False) is not None]
    return {line for doc in docs for line in range(doc.lineno, doc.end_lineno + 1)}


def measure_all() -> dict[str, int]:
    """Return the code lines of every function of the package and the tools, by ``file:line name``."""
    return {
        f"{path.relative_to(ROOT)}:{name}": size
        for path in PACKAGE + TOOLS
        for name, size in measure_functions(path.read_text(encoding="utf-8")).items()
    }


def count_lines(paths: list[Path]) -> dict[str, int]:
    """Return the number of lines of each file."""
    return {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}


def select_over(sizes: dict[str, int], limit: int) -> dict[str, int]:
    """Return what is larger than ``limit``."""
    return {name: size for name, size in sizes.items() if size > limit}


def test_the_measure_itself():
    source = '''
def outer(a,
          b):
    """Two lines
    of words."""
    # a comment

    text = """not a docstring,
    but two lines of code"""

    def inner():
        return text

    return inner
'''
    assert measure_functions(source) == {"2 outer": 7, "11 inner": 2}


def test_no_function_is_long():
    assert select_over(measure_all(), 50) == {}


def test_most_functions_are_short():
    sizes = sorted(measure_all().values())
    assert statistics.median(sizes) <= 10
    assert statistics.quantiles(sizes, n=10)[-1] <= 30


def test_no_file_is_long():
    assert select_over(count_lines(PACKAGE + TOOLS + TESTS), 500) == {}


def list_public_names(source: str) -> list[str]:
    """Return the names of the functions and classes at the top level of a module that do not begin with ``_``."""
    nodes = [node for node in ast.parse(source).body if isinstance(node, (ast.ClassDef, *FUNCTION))]
    return [node.name for node in nodes if not node.name.startswith("_")]


def find_twins(names: list[tuple[str, Path]]) -> dict[str, list[str]]:
    """Return the names that are used in more than one file of the package, with these files."""
    places: dict[str, set[str]] = {}
    for name, path in names:
        places.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return {name: sorted(files) for name, files in places.items() if len(files) > 1}


def test_twins_are_found():
    one, other = ROOT / "one.py", ROOT / "other.py"
    assert find_twins([("a", one), ("b", one), ("a", other), ("b", one)]) == {"a": ["one.py", "other.py"]}


def test_no_public_name_is_used_twice():
    names = [(name, path) for path in ROOMS for name in list_public_names(path.read_text(encoding="utf-8"))]
    assert len(names) > 500
    assert find_twins(names) == {}


def test_no_module_name_is_used_twice():
    twins = find_twins([(path.stem, path) for path in ROOMS if path.stem != "__init__"])
    twins = {name: files for name, files in twins.items() if not is_command(name, files)}
    assert twins == {}


def is_command(name: str, files: list[str]) -> bool:
    """Return whether the second of two modules is the command of that name, ``rtmo NAME``."""
    return len(files) == 2 and f"rtmo_plugin/cli/{name}.py" in files


def test_tools_are_arguments_in_and_one_call_out():
    assert select_over(count_lines(TOOLS), 60) == {}


def test_make_check_runs_what_continuous_integration_runs():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^check: ([a-z ]+)", makefile, re.MULTILINE)[1].split())
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"run: make (\w+)", workflow)) == targets
    assert set(re.findall(r"^make (\w+)", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)) <= targets
    lint = makefile.partition("\nlint:")[2].partition("\n\n")[0]
    for command in RULES:
        program, *arguments = [word for word in command.split() if not word.startswith("--no-")]
        assert f"@.venv/bin/{' '.join([program, *arguments])}\n" in f"{lint}\n"


@pytest.mark.parametrize("command", RULES)
def test_rules_hold(command):
    if command == "mypy" and not torch.__version__.startswith("2.13."):
        pytest.skip("types are checked against the pinned torch, whose annotations differ from older ones")
    program, *arguments = command.split()
    program = Path(sys.executable).with_name(program)
    if not program.exists():
        pytest.skip(f"no {program.name} beside this Python; the extra `dev` has it")
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
