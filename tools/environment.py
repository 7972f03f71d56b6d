"""Imported first by every tool: where the packages are missing, one sentence names the interpreter that has them.

Only the standard library is used, in words that older Pythons know too.
"""

import os
import shlex
import sys
from importlib.util import find_spec

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = ("rtmo_plugin", "numpy")  # numpy: PYTHONPATH may name a clone where nothing is installed


def show(path: str) -> str:
    """Return a path as a shell takes it: from the current folder where it is inside, else whole."""
    relative = os.path.relpath(path)
    return shlex.quote(path if relative.startswith(os.pardir) else relative)


def write_advice(missing: str) -> str:
    """Return a sentence on what to run in place of a command whose interpreter has no package ``missing``."""
    venv = os.path.join(ROOT, ".venv")
    python = os.path.join(venv, "bin", "python")
    is_made = os.path.exists(python) and not os.path.samefile(sys.prefix, venv)
    setup = "" if is_made else f"`make -C {show(ROOT)} setup`, then ".replace("make -C . ", "make ")
    command = " ".join([show(python), *map(shlex.quote, sys.argv)])
    return f"{sys.executable} has no package {missing}: run {setup}`{command}`, or activate {show(venv)}."


for name in PACKAGES:
    if find_spec(name) is None:
        print(f"error: {write_advice(name)}", file=sys.stderr)
        raise SystemExit(2)
