"""Help texts stand alone: each begins with a noun or a verb, names its default, and says the same in all commands."""

import argparse
import re

import pytest

from rtmo_plugin.cli.command import HelpFormatter
from rtmo_plugin.cli.main import COMMANDS, find_command

# First words of half a sentence, which need the line before them.
FRAGMENTS = set(
    re.findall(
        r"\w+",
        """a an the this that these those it its their ours of as for with without to from in on at by after before
        whether how what when where which who whose why if and or but such so is are was""",
    )
)
# Options that mean another thing in another command, such as the file or folder that each writes.
DIFFERENT = {
    "--out", "--images", "--annotations", "--calibration", "--keypoints", "--json", "--batch-size", "--size",
    "--overwrite", "--resume", "--runtime", "--graphs", "--no-graphs", "--uncertainty", "--uncertainty-calibration",
    "--half", "--int8-images",
}  # fmt: skip


def list_actions(parser, called):
    """Yield the command and each of its arguments, also of the commands within it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from list_actions(inner, f"{called} {name}")
        elif action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction):
            yield called, action


PARSERS = {name: find_command(name).make_parser(f"rtmo {name}") for name in COMMANDS}
ACTIONS = [each for name, parser in PARSERS.items() for each in list_actions(parser, name)]
NAMES = [f"{called} {(*action.option_strings, action.dest)[0]}" for called, action in ACTIONS]


def explain(action):
    """Return the help text as it is printed."""
    return HelpFormatter("rtmo")._expand_help(action) if action.help else ""


def test_the_rule_itself():
    assert len(ACTIONS) > 100
    assert {"of", "whether", "for", "it"} <= FRAGMENTS
    add = argparse.ArgumentParser().add_argument
    assert explain(add("--n", default=3, help="number of images")) == "number of images (default: 3)"
    assert explain(add("--m", default=3, help="number of images (default: all)")) == "number of images (default: all)"
    assert explain(add("--size", nargs=2, default=(3, 2), help="image size")) == "image size (default: 3 2)"
    assert explain(add("--all", action="store_true", help="take all")) == "take all"


@pytest.mark.parametrize(("called", "action"), ACTIONS, ids=NAMES)
def test_help_begins_with_a_noun_or_a_verb_and_names_the_default(called, action):
    text = explain(action)
    assert re.match(r"[A-Za-z]", text), "it needs a help text"
    assert re.match(r"[\w'-]+", text)[0].lower() not in FRAGMENTS
    assert not text.endswith(".")
    has_default = action.nargs != 0 and action.default not in (None, (), argparse.SUPPRESS)
    assert not has_default or "default: " in text


def test_an_option_of_several_commands_says_the_same_in_each():
    texts = {}
    for _, action in ACTIONS:
        for option in action.option_strings:
            texts.setdefault(option, set()).add(explain(action).partition(" (")[0])
    assert {option for option, found in texts.items() if len(found) > 1} == DIFFERENT


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_begins_with_a_verb_and_fits_a_line(name):
    summary = find_command(name).summary
    assert summary.split()[0].rstrip(",") not in FRAGMENTS
    assert summary[0].islower()
    assert not summary.endswith(".")
    assert len(summary) <= 107  # 13 columns before it
