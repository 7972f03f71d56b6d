"""``--logger``: the numbers of a run in TensorBoard, W&B, MLflow and CSV files, on this machine alone."""

import csv
import importlib.util
import json

import pytest

from rtmo_plugin.config.edits import add_loggers, read_loggers
from rtmo_plugin.engine.log_backends import CsvBackend
from rtmo_plugin.errors import ConfigError, MissingPackageError
from tests.edited import edit_copy
from tests.faults.toy_training import describe, run


def run_logged(folder, **options):
    cfg = describe(max_epochs=2, visualizer={"type": "Visualizer", "vis_backends": [{"type": "LocalVisBackend"}]})
    cfg.default_hooks.logger = {"type": "LoggerHook", "interval": 2}
    return run(folder, cfg, **options)


def read_entries(result):
    """Return the log of a run: its training entries and its validations."""
    lines = map(json.loads, (result.log_dir / "vis_data/scalars.json").read_text().splitlines())
    entries = list(lines)
    return [each for each in entries if "epoch" in each], [each for each in entries if "epoch" not in each]


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_files_have_the_numbers_of_the_log(tmp_path):
    result = run_logged(tmp_path, logger="csv")
    for name, expected in zip(("training", "validation"), read_entries(result)):
        rows = read_csv(result.log_dir / f"vis_data/{name}.csv")
        assert len(rows) == len(expected) == {"training": 4, "validation": 1}[name]
        assert [{key: float(value) for key, value in row.items()} for row in rows] == expected


def test_a_csv_file_gets_new_columns(tmp_path):
    backend = CsvBackend(str(tmp_path / "new"))
    backend.add_scalars({"epoch": 1, "loss": 2.0}, step=1)
    backend.add_scalars({"epoch": 1, "loss_new, of a stage": 4.0}, step=2)
    backend.add_scalar("coco/AP", 0.5, step=1)
    assert read_csv(tmp_path / "new/training.csv") == [
        {"step": "1", "epoch": "1.0", "loss": "2.0", "loss_new, of a stage": ""},
        {"step": "2", "epoch": "1.0", "loss": "", "loss_new, of a stage": "4.0"},
    ]
    assert (tmp_path / "new/validation.csv").read_text() == "step,coco/AP\n1,0.5\n"


def test_tensorboard_has_the_numbers_of_the_log(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the package tensorboard is not installed"
    )
    result = run_logged(tmp_path, logger="tensorboard")
    events = accumulator.EventAccumulator(str(result.log_dir / "vis_data")).Reload()
    training, (validation,) = read_entries(result)
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    assert found == [(each["step"], pytest.approx(each["loss"])) for each in training]
    assert events.Scalars("toy/AP")[0].value == pytest.approx(validation["toy/AP"])


def test_wandb_keeps_the_run_here_without_a_login(tmp_path, monkeypatch, capsys):
    pytest.importorskip("wandb", reason="the package wandb is not installed")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    result = run_logged(tmp_path / "run", logger="wandb")
    (folder,) = (result.log_dir / "vis_data/wandb").glob("offline-run-*")
    assert list(folder.glob("*.wandb"))
    assert not list(folder.glob("files/code/**/*.py"))
    assert f"the run is kept in {folder}; `wandb sync {folder}` uploads it" in capsys.readouterr().out


def test_mlflow_has_the_numbers_of_the_log(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="the package mlflow is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = run_logged(tmp_path, logger="mlflow")
    client = mlflow.MlflowClient(mlflow.get_tracking_uri())
    assert str(result.log_dir) in mlflow.get_tracking_uri()
    (found,) = client.search_runs([client.get_experiment_by_name("rtmo").experiment_id])
    training, (validation,) = read_entries(result)
    losses = client.get_metric_history(found.info.run_id, "loss")
    assert [(each.step, each.value) for each in losses] == [(each["step"], each["loss"]) for each in training]
    assert found.data.metrics["toy/AP"] == validation["toy/AP"]
    assert found.data.params["train_cfg.max_epochs"] == "2"
    assert found.info.status == "FINISHED"


def test_names_are_checked_before_anything_is_done(tmp_path, monkeypatch):
    with pytest.raises(
        ConfigError, match="--logger 'tensorbord' is unknown: choose among tensorboard, wandb, mlflow, csv"
    ):
        run_logged(tmp_path / "run", logger="csv,tensorbord", dry_run=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = r"--logger mlflow needs the package mlflow, which is not installed: pip install \".*\[mlflow\]\""
    with pytest.raises(MissingPackageError, match=message):
        run_logged(tmp_path / "run", logger="mlflow")
    assert not (tmp_path / "run").exists()


def test_loggers_join_those_of_the_config():
    cfg = edit_copy(add_loggers, describe(), read_loggers("csv,csv"))
    assert [each["type"] for each in cfg.visualizer["vis_backends"]] == ["LocalVisBackend", "rtmo_plugin.CsvBackend"]
    assert edit_copy(add_loggers, cfg, ["rtmo_plugin.CsvBackend"]).visualizer == cfg.visualizer


def test_a_dry_run_sends_nothing(tmp_path):
    assert run_logged(tmp_path, logger="csv", dry_run=True).num_steps > 0
    assert not list(tmp_path.glob("**/*.csv"))
