"""Messages of other libraries are not printed, and those of a run are printed as sentences."""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from rtmo_plugin.api import train
from tests.conftest import ROOT

_END = "-- end of a command --"


_RENAMED = """
    import torch
    from rtmo_plugin import workarounds
    workarounds.apply()
    from mmpose.models.backbones.csp_darknet import SPPBottleneck
    from mmpose.models.utils.csp_layer import ChannelAttention

    with torch.no_grad():
        ChannelAttention(4).eval()(torch.zeros(1, 4, 8, 8))
        SPPBottleneck(4, 4, act_cfg=dict(type="ReLU")).eval()(torch.zeros(1, 4, 8, 8))
"""
_FOUND = """
    from mmengine.config import Config
    from mmengine.utils import get_installed_path, is_installed
    import mmpose.apis
    assert is_installed("mmpose") and get_installed_path("mmpose")
    print("pkg_resources" in sys.modules)
"""
_WARNED = """
    import warnings
    warnings.warn("`torch.cuda.amp.GradScaler(args...)` is deprecated.", FutureWarning)
"""


def split(done, number):
    """Return what each of ``number`` parts of a process printed to stdout, and to stderr."""
    assert done.returncode == 0, done.stderr
    outputs, errors = (text.split(f"{_END}\n") for text in (done.stdout, done.stderr))
    assert (len(outputs), outputs.pop(), errors.pop()) == (number + 1, "", "")
    return list(zip(outputs, errors, strict=True))


@pytest.fixture(scope="module")
def imported():
    """Return what each part prints in an interpreter that shows the warnings that Python shows by default."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    end = f"for stream in (sys.stdout, sys.stderr):\n    print({_END!r}, file=stream, flush=True)\n"
    code = "import sys\n" + "".join(textwrap.dedent(part) + end for part in (_RENAMED, _FOUND, _WARNED))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    return split(done, 3)


def test_layers_of_mmpose_do_not_warn_of_what_pytorch_will_rename(imported):
    assert imported[0] == ("", "")


def test_packages_are_found_without_pkg_resources(imported):
    """Its import prints that it is deprecated, or fails."""
    assert imported[1] == ("False\n", "")


def test_warnings_of_others_are_still_shown(imported):
    assert "FutureWarning: `torch.cuda.amp.GradScaler" in imported[2][1]


@pytest.fixture(scope="module")
def printed(config, data_root, tmp_path_factory):
    """Return what training, testing and analyzing print, one after the other in a process, by what was done."""
    folder = tmp_path_factory.mktemp("printed")
    code = f"""
        import json, sys
        from rtmo_plugin.cli.main import main
        for command in json.loads(sys.argv[1]):
            main([*command, "--data-root", {str(data_root)!r}])
            for stream in (sys.stdout, sys.stderr):
                print("{_END}", file=stream, flush=True)
    """
    commands = {
        "train": ["train", str(config), "--work-dir", str(folder / "run"), "--from-scratch"],
        "eval": ["eval", str(config), str(folder / "run/epoch_3.pth"), "--work-dir", str(folder / "test")],
        "analyze": ["analyze", str(config), str(folder / "run/epoch_3.pth"), "--out", str(folder / "page.html")],
    }
    commands["analyze"] += ["--work-dir", str(folder / "analyzed")]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), json.dumps([*commands.values()])],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    return {name: output + error for name, (output, error) in zip(commands, split(done, 3), strict=True)}


@pytest.mark.parametrize("name", ["train", "eval", "analyze"])
def test_commands_print_sentences_and_no_log_lines(printed, name):
    text = printed[name]
    assert "mmengine" not in text
    assert not re.search(r"^\d\d/\d\d \d\d:\d\d:\d\d", text, re.MULTILINE)
    assert "Warning" not in text
    assert "deprecated" not in text
    assert ("Epoch(train) [3][2/2]" in text) is (name == "train")
    assert "Epoch(test)" not in text
    assert "Load checkpoint" not in text


def test_warnings_of_the_run_begin_with_the_word(config, data_root, tmp_path, capsys):
    short = {"train_cfg.max_epochs": 1, "train_cfg.val_interval": 1}
    result = train(config, work_dir=tmp_path, data_root=data_root, from_scratch=True, cfg_options=short)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("warning: Training stage 'refine' begins at epoch 1") for line in lines)
    (log,) = tmp_path.glob("*/*.log")  # which has time and level
    assert re.search(r"mmengine - WARNING - Training stage 'refine'", log.read_text())
    assert result.checkpoint.is_file()
