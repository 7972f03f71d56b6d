"""Trials on Ray Tune, started here: a real tuning, a trial that fails, Ctrl-C and resuming."""

import secrets
import signal
import subprocess
import sys
import time

import pytest

from rtmo_plugin.cli.main import main
from rtmo_plugin.cli.tune import list_resumed_tuning
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.files import read_json
from rtmo_plugin.tuning.ray_trials import _share_resources, choose_rungs, import_tune, make_scheduler
from rtmo_plugin.tuning.trial_records import OUTCOME, REPORTS, Outcome, TrialRecord, locate_trial, read_reports
from tests.tuning.conftest import needs_tune


@pytest.fixture
def quiet_ray(tmp_path, monkeypatch):
    """Let Ray make no file in the home folder, and wait for a busy machine."""
    (tmp_path / "token").write_text(secrets.token_hex())
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "200")


@needs_tune
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
def test_asha_knows_the_reports_of_earlier_trials():
    earlier = [TrialRecord(number, {}, {3: number / 10}, Outcome.DONE) for number in range(1, 7)]
    trial = TrialRecord(9, {}, {})
    decisions = []
    for known in ((), earlier):
        scheduler = make_scheduler(import_tune(), 27, known)
        scheduler.on_trial_add(None, trial := type("Trial", (), {"trial_id": "new"}))
        decisions.append(scheduler.on_trial_result(None, trial, {"epoch": 3, "metric": 0.2}))
    assert decisions == ["CONTINUE", "STOP"]


def test_trials_are_compared_after_a_ninth_and_a_third_of_the_epochs():
    assert [choose_rungs(epochs) for epochs in (1, 3, 9, 30, 100)] == [1, 1, 1, 3, 11]


def test_trials_share_the_machine():
    assert _share_resources({"CPU": 16, "GPU": 2}, 4) == {"cpu": 4, "gpu": 0.5}
    assert _share_resources({"CPU": 3}, None) == {"cpu": 3, "gpu": 0.0}


def test_the_command_that_goes_on():
    assert list_resumed_tuning(["a.py", "--resume", "--trials", "3"]) == ["a.py", "--trials", "3", "--resume"]


@needs_tune
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
def test_a_tuning_with_a_trial_that_fails_is_usable_by_the_next_command(
    config, tmp_path, monkeypatch, capsys, quiet_ray
):
    monkeypatch.chdir(tmp_path)
    main(
        [
            "tune",
            str(config),
            "--trials",
            "3",
            "--knob",
            "train_dataloader.dataset.num_images=-1000,6",
            "--work-dir",
            "t",
        ]
    )
    out = capsys.readouterr().out
    outcomes = [read_json(locate_trial(tmp_path / "t", number) / OUTCOME)["outcome"] for number in (1, 2, 3)]
    assert outcomes[0] == "done"
    assert "failed" in outcomes
    assert all(f"trial {number} failed: " in out for number, each in enumerate(outcomes, start=1) if each == "failed")
    assert sorted(read_reports(locate_trial(tmp_path / "t", 1) / REPORTS)) == [1, 2, 3]
    assert [path.name for path in locate_trial(tmp_path / "t", 1).glob("*.pth")] in (["best.pth"], [])
    main(["train", "t/best.py", "--work-dir", "full"])
    assert load_config("t/best.py").train_dataloader.dataset.num_images == 4


@needs_tune
@pytest.mark.slow
def test_ctrl_c_names_the_command_that_goes_on(config, tmp_path, quiet_ray):
    command = [
        sys.executable,
        "-m",
        "rtmo_plugin",
        "tune",
        str(config),
        "--trials",
        "2",
        "--knob",
        "lr",
        "--work-dir",
        "t",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    first = locate_trial(tmp_path / "t", 1) / REPORTS
    while not first.is_file() and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    message = process.communicate(timeout=300)[1]
    assert process.returncode == 130
    assert "of 2 trials ended" in message
    assert f"to go on: rtmo tune {config} --trials 2 --knob lr --work-dir t --resume" in message
    done = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "best:           trial" in done.stdout
