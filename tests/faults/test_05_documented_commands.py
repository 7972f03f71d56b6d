"""Every documented command can be read, and names files that a user has, makes, or is told where to find."""

import argparse
import itertools
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from benchmarks import inference_sides
from benchmarks.subjects import COMMAND as COMPARISONS
from rtmo_plugin.checkpoints.zoo import CATALOGUE
from rtmo_plugin.cli.main import COMMANDS, find_command
from rtmo_plugin.errors import MissingFileError
from rtmo_plugin.shipped_configs import list_configs
from tests.conftest import ROOT

_PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))]
_CODE = re.compile(r"^```(?:bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CALLS = re.compile(r"^(?:\$ )?(?:torchrun .*? )?((?:python tools/\w+\.py|tools/\w+\.py|rtmo) .+)$", re.MULTILINE)


def find_calls(page):
    """Return the calls of our programs in a page, each as a list of words."""
    code = "\n".join(_CODE.findall((ROOT / page).read_text(encoding="utf-8"))).replace("\\\n", " ")
    code = re.sub(r"(?<!\$)\$\((.*?)\)", "", code)
    words = [shlex.split(line.partition(" > ")[0], comments=True) for line in _CALLS.findall(code)]
    words = [call[1:] if call[0] == "python" else call for call in words]
    return [call for call in words if "..." not in call and call[1:] != ["--version"]]


CALLS = [(page, tuple(call)) for page in _PAGES for call in find_calls(page)]


class _ParsedError(Exception):
    """The arguments were read, and nothing is to be done with them."""


def test_calls_are_found():
    assert len(CALLS) > 60
    assert {call[0] for _, call in CALLS} >= {"rtmo", "tools/train.py", "tools/make_robots.py"}


@pytest.mark.parametrize(("page", "call"), sorted(set(CALLS)), ids=lambda value: " ".join([*value][:4]))
def test_documented_call_can_be_read(monkeypatch, page, call):
    program, *arguments = call
    if program == "rtmo":
        parser = find_command(arguments[0]).make_parser(f"rtmo {arguments[0]}")
        if arguments[1:] != ["--help"]:
            parser.parse_args(arguments[1:])
        return
    read = argparse.ArgumentParser.parse_args

    def stop(parser, *given, **options):
        raise _ParsedError(read(parser, *given, **options))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    if arguments == ["--help"]:
        with pytest.raises(SystemExit, match="0"):
            runpy.run_path(str(ROOT / program), run_name="__main__")
    else:
        with pytest.raises(_ParsedError):
            runpy.run_path(str(ROOT / program), run_name="__main__")


@pytest.mark.parametrize("page", sorted({page for page, _ in CALLS}))
def test_files_of_a_page_are_there_or_made_or_explained(page):
    """Explained: in the table of docs/examples.md, or in the page's own words."""
    told = set(re.findall(r"`([^`\n]+)`", (ROOT / "docs/examples.md").read_text()))
    told |= set(re.findall(r"`([^`\n]+)`", _CODE.sub("", (ROOT / page).read_text())))
    told = {name.rstrip("/") for name in told} | {*CATALOGUE, *list_configs()}
    made: list[str] = []
    for call in find_calls(page):
        for before, word in itertools.pairwise(call):
            writes_second = "make_" in call[0] or not {"convert", "split", "publish"}.isdisjoint(call)
            is_fitted = before in ("--calibration", "--uncertainty-calibration") and call[1] == "analyze"
            if writes_second or is_fitted or before in ("--out", "--fix", "--work-dir"):
                made.append(word.rstrip("/"))  # the second of two names, and harmless for the first
                continue
            is_file = re.fullmatch(r"[\w./*-]*(/|\.(pth|onnx|xml|json|jpg|mp4|txt|py|html))[\w*.]*", word)
            if not is_file or word.startswith("-"):
                continue
            name = word.rstrip("/")
            below = any(name.startswith((f"{each}/", f"{each}*")) for each in [*made, *told])
            left_by_run = name.startswith("work_dirs/")
            assert name in told or name in made or below or left_by_run or (ROOT / name).exists(), (page, word)


def walk_actions(parser):
    for action in parser._actions:
        yield parser, action
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from walk_actions(each)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_default_is_a_folder_that_users_do_not_have(name):
    for parser, action in walk_actions(find_command(name).make_parser(f"rtmo {name}")):
        text = f"{action.default} {action.help}"
        assert not re.search(r"\.\./|\bshared\b|(?<![\w.:/])/(home|root|mnt|tmp|work)\b", text), text
        if isinstance(action.default, (str, Path)) and "/" in str(action.default):
            assert str(action.default).startswith("work_dirs/"), (parser.prog, action.default)


def test_benchmark_of_inference_takes_published_weights(monkeypatch, tmp_path):
    assert COMPARISONS.make_parser("x").parse_args(["infer"]).peers is None
    monkeypatch.setattr(inference_sides, "fetch", lambda weights, **_: tmp_path / weights.name)
    found = inference_sides.locate_peers(None)
    assert [path.name for path in found] == ["rtmo-s_body7", "rtmo-s_body7-onnx"]


def test_folder_of_peers_without_them_is_one_sentence(tmp_path):
    (tmp_path / inference_sides.WEIGHTS).touch()
    with pytest.raises(
        MissingFileError, match=r".*mmdeploy.*onnx does not exist: --peers names a folder with .*downloaded"
    ):
        inference_sides.locate_peers(tmp_path)
