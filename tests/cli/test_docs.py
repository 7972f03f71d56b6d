"""The commands that the guides show can be read by the parsers of the commands."""

import re
import shlex

import pytest

from rtmo_plugin.cli.main import COMMANDS, find_command
from tests.conftest import ROOT

GUIDES = ("docs/command.md", "docs/first-ten-minutes.md", "docs/large-sets.md", "docs/tuning.md", "README.md")


def find_lines():
    """Return the commands of the guides' code, but for those that only ask for help."""
    text = "\n".join((ROOT / guide).read_text(encoding="utf-8") for guide in GUIDES)
    code = "\n".join(re.findall(r"^```(?:bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    return sorted(set(re.findall(r"^(?:\$ )?(rtmo (?!--).+)$", code, re.MULTILINE)))


@pytest.mark.parametrize("line", find_lines())
def test_command_of_a_guide_can_be_read(line):
    _, name, *arguments = shlex.split(line.partition(" > ")[0], comments=True)
    assert vars(find_command(name).make_parser(f"rtmo {name}").parse_args(arguments))


def test_every_command_is_in_the_guide():
    shown = {line.split()[1] for line in find_lines()}
    assert shown >= set(COMMANDS)
