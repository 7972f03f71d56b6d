"""The commands that a page of the documentation shows, to run them."""

import re
import shlex

from tests.conftest import ROOT

NAMES = {"eval": "test"}  # commands whose tool has another name


def read_guide(name):
    """Return the text of a page."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def list_commands(text):
    """Return the tool and the arguments of each command in the code of a page."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    assert all(each[0] in ("python", "rtmo") for each in words if each)
    tools = [each[1].removeprefix("tools/").removesuffix(".py") for each in words if each]
    return [(NAMES.get(tool, tool), each[2:]) for tool, each in zip(tools, filter(None, words))]
