"""The page of functions that programs call."""

import subprocess
import sys

import pytest

from rtmo_plugin import api
from rtmo_plugin.errors import ConfigError
from tests.conftest import ROOT


def test_its_import_loads_no_heavy_library():
    heavy = {"torch", "mmengine", "mmpose", "cv2", "numpy", "jinja2", "matplotlib", "onnxruntime"}
    code = f"import sys, rtmo_plugin.api; print({heavy!r} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"load_from": "a.pth", "transfer_from": "b.pth"}, "--load-from and --transfer-from name two checkpoints"),
        ({"resume": "a.pth", "load_from": "b.pth"}, "--resume and --load-from name two checkpoints"),
        ({"resume": "a.pth", "transfer_from": "b.pth"}, "--resume and --load-from name two checkpoints"),
    ],
)
def test_two_starts_of_a_training_are_refused(start, words):
    with pytest.raises(ConfigError, match=words):
        api.train("rtmo-t_synthetic", **start)
