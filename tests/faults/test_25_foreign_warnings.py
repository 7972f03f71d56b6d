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


def run(code):
    """Run ``code`` in an interpreter that shows the warnings that Python shows by default."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


def test_layers_of_mmpose_do_not_warn_of_what_pytorch_will_rename():
    code = """
        import torch
        from rtmo_plugin import workarounds
        workarounds.apply()
        from mmpose.models.backbones.csp_darknet import SPPBottleneck
        from mmpose.models.utils.csp_layer import ChannelAttention

        with torch.no_grad():
            ChannelAttention(4).eval()(torch.zeros(1, 4, 8, 8))
            SPPBottleneck(4, 4, act_cfg=dict(type="ReLU")).eval()(torch.zeros(1, 4, 8, 8))
    """
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_warnings_of_others_are_still_shown():
    code = """
        import warnings
        from rtmo_plugin import workarounds
        workarounds.apply()
        warnings.warn("`torch.cuda.amp.GradScaler(args...)` is deprecated.", FutureWarning)
    """
    assert "FutureWarning: `torch.cuda.amp.GradScaler" in run(code).stderr


def test_packages_are_found_without_pkg_resources():
    """Its import prints that it is deprecated, or fails."""
    code = """
        import sys
        from rtmo_plugin import workarounds
        workarounds.apply()
        from mmengine.config import Config
        from mmengine.utils import get_installed_path, is_installed
        import mmpose.apis
        assert is_installed("mmpose") and get_installed_path("mmpose")
        print("pkg_resources" in sys.modules)
    """
    done = run(code)
    assert (done.stdout, done.stderr) == ("False\n", "")


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
    assert done.returncode == 0, done.stderr
    outputs, errors = (text.split(f"{_END}\n") for text in (done.stdout, done.stderr))
    assert (len(outputs), outputs.pop(), errors.pop()) == (4, "", "")
    return {name: output + error for name, output, error in zip(commands, outputs, errors, strict=True)}


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
