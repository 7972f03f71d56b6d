"""Every number of every option: one that cannot be is one sentence and exit code 2, in commands, tools and configs."""

import argparse
import importlib.util
import math

import pytest

from rtmo_plugin.cli.ablate import COMMAND as ABLATE
from rtmo_plugin.cli.main import COMMANDS, find_command
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.export.options import parse_size
from rtmo_plugin.number_ranges import NumberRange
from tests.conftest import ROOT

TEXTS = ("nan", "inf", "-inf", "-1", "0", "1e20", "99999999999999999999", "", " ", "1,5", "0x10", "--")
TOOLS = [path.stem for path in (ROOT / "tools").glob("*.py") if "def make_parser" in path.read_text()]
# Options that may be 0, and nothing else of TEXTS.
ZERO_IS_FINE = {
    "--score-thr", "--nms-thr", "--seed", "--port", "--cache-gb", "--examples", "--num-worst", "--local-rank",
    "--num-people", "--occlusion", "--clutter",
}  # fmt: skip


def load_tool(name):
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_parser()


def list_parsers():
    """Yield the name and the parser of every command, tool and command within a command."""
    parsers = {name: find_command(name).make_parser(f"rtmo {name}", f"rtmo {name}") for name in COMMANDS}
    parsers |= {"ablate": ABLATE.make_parser("ablate", "ablate"), **{name: load_tool(name) for name in TOOLS}}
    for name, parser in parsers.items():
        found = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
        yield name, parser
        for action in found:
            yield from ((f"{name} {inner}", child) for inner, child in action.choices.items())


CASES = [(name, parser, action) for name, parser in list_parsers() for action in parser._actions]
NUMERIC = [case for case in CASES if isinstance(case[2].type, NumberRange)]
EACH_NUMBER = pytest.mark.parametrize(
    ("name", "parser", "action"), NUMERIC, ids=[f"{name} {action.option_strings[0]}" for name, _, action in NUMERIC]
)


def test_every_number_has_a_range():
    assert {action.type for _, _, action in CASES} <= {None, *(action.type for *_, action in NUMERIC)}
    assert len(NUMERIC) > 30
    assert len(TOOLS) >= 4
    untyped = {action.option_strings[0] for *_, action in CASES if action.option_strings and action.type is None}
    for word in ("num", "size", "batch", "rounds", "seed", "thr", "max", "threads", "streams", "count", "port"):
        assert not {name for name in untyped if word in name} - {"--size", "--no-memory"}, word


@EACH_NUMBER
def test_numbers_that_cannot_be_are_refused(name, parser, action, capsys):
    required = build_rest(parser, action)
    for text in TEXTS:
        values = [text] * (action.nargs or 1)
        if text == "0" and action.option_strings[0] in ZERO_IS_FINE:
            found = getattr(parser.parse_args([*required, action.option_strings[0], *values]), action.dest)
            assert found in (0, [0] * len(values))
            continue
        with pytest.raises(SystemExit) as stopped:
            parser.parse_args([*required, action.option_strings[0], *values])
        assert stopped.value.code == 2, text
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"argument {'/'.join(action.option_strings)}: " in line
        assert "Traceback" not in line


def build_rest(parser, skipped):
    """Return arguments for what a parser requires beside one option."""
    words = []
    for action in parser._actions:
        if action is skipped or not (action.required or not action.option_strings):
            continue
        value = next(iter(action.choices)) if action.choices else "x"
        words += [*action.option_strings[:1], value]
    return [word for word in words if word != "==SUPPRESS=="]


@EACH_NUMBER
def test_defaults_and_bounds_are_accepted(name, parser, action):
    defaults = action.default if isinstance(action.default, (tuple, list)) else [action.default]
    assert all(value is None or value in action.type for value in defaults)
    assert action.type(repr(action.type.most)) == action.type.most
    with pytest.raises(argparse.ArgumentTypeError):
        action.type(repr(action.type.most + 1))


@pytest.mark.parametrize("text", [*TEXTS, "0x0", "-32x32", "nanxnan", "64x64x64"])
def test_sizes_are_read_or_refused(text):
    from rtmo_plugin.export.options import check_size

    with pytest.raises(ConfigError):
        check_size(parse_size(text))


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 1e20, None, "1", True, 10**400])
def test_a_range_holds_for_python_as_well(value):
    assert value not in NumberRange(0, 1, is_whole=False)
    with pytest.raises(ConfigError, match=r"^x must be a whole number from 1 to 5, got .*\.$"):
        NumberRange(1, 5).check("x", value)
