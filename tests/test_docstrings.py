"""The examples in docstrings are run, so that they stay true."""

import doctest
import importlib
from pathlib import Path

import pytest

import rtmo_plugin

PACKAGE = Path(rtmo_plugin.__file__).parent
WITH_EXAMPLES = sorted(path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text())


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_examples(path):
    module = importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    failed, attempted = doctest.testmod(module)
    assert failed == 0
    assert attempted > 0


@pytest.mark.parametrize("room", ["structures.py", "ops/geometry.py", "ops/nms.py", "ops/encoding.py"])
def test_there_are_examples(room):
    assert PACKAGE / room in WITH_EXAMPLES
