"""Files of a tuning: what is known of each trial, the table, the best config, and what resuming reads."""

import csv
import io

import pytest
from PIL import Image

from rtmo_plugin.api import tune
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.errors import ConfigError, DataError, StoppedError
from rtmo_plugin.files import read_json
from rtmo_plugin.tuning import tuning_run
from rtmo_plugin.tuning.knobs import Knob
from rtmo_plugin.tuning.trial_records import (
    OUTCOME,
    REPORTS,
    FailureNote,
    Outcome,
    TrialRecord,
    locate_trial,
    note_end,
    read_reports,
    read_trial,
)
from rtmo_plugin.tuning.tuning_result import PLOT, TABLE, TuningResult, count_outcomes, format_trials
from rtmo_plugin.tuning.tuning_run import PLAN

KNOBS = [Knob("lr", 1e-4, 1e-2, 1e-3, {})]


def make_record(number, reports, outcome=Outcome.DONE, error=None):
    return TrialRecord(number, {"lr": number / 1000}, reports, outcome, error)


def write_reports(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORTS).write_text(text)


def test_reports_survive_a_kill_and_an_epoch_that_was_trained_twice(tmp_path):
    lines = '{"epoch": 2, "metric": 0.5}\n{"epoch": 1, "metric": 0.25}\n{"epoch": 2, "metric": 0.75}\n{"epoch": 3, "me'
    (tmp_path / "a").write_text(lines)
    assert list(read_reports(tmp_path / "a").items()) == [(1, 0.25), (2, 0.75)]
    assert read_reports(tmp_path / "b") == {}


@pytest.mark.parametrize(
    ("reports", "has_failed", "outcome"),
    [("1 3", False, Outcome.DONE), ("1", False, Outcome.STOPPED), ("1", True, Outcome.FAILED)],
)
def test_the_end_of_a_trial(tmp_path, reports, has_failed, outcome):
    folder = locate_trial(tmp_path, 4)
    write_reports(folder, "".join(f'{{"epoch": {epoch}, "metric": 0.5}}\n' for epoch in reports.split()))
    record = read_trial(tmp_path, 4, {"lr": 0.1})
    assert record.outcome is None
    if has_failed:
        with pytest.raises(ConfigError), FailureNote(folder):
            raise ConfigError("The knob\nis broken.")
    ended = note_end(tmp_path, record, epochs=3, has_failed=has_failed)
    assert ended == read_trial(tmp_path, 4, {"lr": 0.1})
    assert (ended.outcome, ended.error) == (outcome, "The knob is broken." if has_failed else None)


def test_a_killed_trial_and_an_error_with_its_kind(tmp_path):
    assert "was killed" in note_end(tmp_path, read_trial(tmp_path, 1, {}), 3, has_failed=True).error
    with pytest.raises(RuntimeError), FailureNote(locate_trial(tmp_path, 1)):
        raise RuntimeError("out of memory")
    assert note_end(tmp_path, read_trial(tmp_path, 1, {}), 3, True).error == "RuntimeError: out of memory"
    (locate_trial(tmp_path, 1) / OUTCOME).write_text('{"outcome": "lost"}')
    with pytest.raises(DataError, match=r"outcome\.json is damaged: remove it"):
        read_trial(tmp_path, 1, {})


def test_the_table_has_the_best_first_and_names_failures(tmp_path):
    records = [
        make_record(1, {1: 0.25, 2: 0.5}),
        make_record(2, {1: 0.5, 2: 0.625, 3: 0.5}, Outcome.STOPPED),
        make_record(3, {1: 0.75}, Outcome.FAILED, "It broke."),
        make_record(4, {}, None),
    ]
    result = TuningResult(tmp_path, "coco/AP", KNOBS, records)
    assert [record.number for record in result.ranking] == [2, 1]
    assert format_trials(result).splitlines() == [
        "trial  coco/AP  epoch  epochs        outcome     lr",
        "    2    0.625      2       3  stopped early  0.002",
        "    1    0.500      2       2           done  0.001",
        "    3        -      -       1         failed  0.003",
        "    4        -      -       0      not ended  0.004",
    ]
    assert "best:           trial 2: coco/AP 0.625, +0.125 beside the config's own values" in str(result)
    assert "trial 3 failed: It broke." in str(result)
    assert count_outcomes(records) == "3 of 4 trials ended (1 done, 1 stopped early, 1 failed)"
    assert result.describe()["best"] == 2


@pytest.fixture
def ended(tmp_path, config, monkeypatch):
    """Return the folder of a tuning whose two trials have ended, without Ray."""
    monkeypatch.setattr(tuning_run, "import_tune", lambda: None)
    monkeypatch.setattr(tuning_run, "run_trials", lambda setup, records, *_: _end_trials(setup, records))

    def _end_trials(setup, records):
        for record in records:
            folder = locate_trial(tmp_path / "tuning", record.number)
            write_reports(folder, f'{{"epoch": 3, "metric": 0.{record.number}}}\n')
            (folder / "last.pth").write_text("x")
            note_end(tmp_path / "tuning", read_trial(tmp_path / "tuning", record.number, {}), 3, has_failed=False)

    tune(
        config,
        work_dir=tmp_path / "tuning",
        trials=2,
        knobs=["lr=1e-4,1e-2"],
        cfg_options={"val_dataloader.batch_size": 3},
    )
    return tmp_path / "tuning"


def test_the_best_config_is_whole_and_has_the_values_of_the_best_trial(ended, config):
    values = read_json(ended / PLAN)["trials"]
    best, own = load_config(ended / "best.py"), load_config(config)
    assert best.optim_wrapper.optimizer.lr == values[1]["lr"] != values[0]["lr"] == own.optim_wrapper.optimizer.lr
    assert best.val_dataloader.batch_size == 3
    assert best.train_cfg == own.train_cfg
    assert "work_dir" not in best
    rows = list(csv.DictReader(io.StringIO((ended / TABLE).read_text())))
    assert [(row["trial"], row["metric"], row["outcome"]) for row in rows] == [
        ("1", "0.1", "done"),
        ("2", "0.2", "done"),
    ]
    assert Image.open(ended / PLOT).size[0] > 400


def test_a_tuning_is_continued_only_with_its_own_options(ended, config):
    options = {"work_dir": ended, "knobs": ["lr=1e-4,1e-2"], "cfg_options": {"val_dataloader.batch_size": 3}}
    with pytest.raises(ConfigError, match="holds a tuning: continue it with --resume"):
        tune(config, trials=2, **options)
    before = read_json(ended / PLAN)["trials"]
    assert [each.number for each in tune(config, trials=2, resume=True, **options).ranking] == [2, 1]
    more = tune(config, trials=3, resume=True, **options)
    assert [each.number for each in more.ranking] == [3, 2, 1]
    assert read_json(ended / PLAN)["trials"][:2] == before
    for changed in ({"knobs": ["lr"]}, {"seed": 1}, {"amp": True}, {"metric": "coco/AR"}):
        with pytest.raises(ConfigError, match=f"with other {next(iter(changed)).replace('amp', 'options')} "):
            tune(config, trials=2, resume=True, **{**options, **changed})


def test_a_command_that_was_refused_leaves_no_tuning(tmp_path, config, monkeypatch, capsys):
    monkeypatch.setattr(tuning_run, "import_tune", lambda: None)

    def refuse(*_):
        raise ConfigError("--concurrent 99 is more than the 2 CPUs of this machine.")

    monkeypatch.setattr(tuning_run, "run_trials", refuse)
    for seed in (0, 1):
        with pytest.raises(ConfigError, match="--concurrent 99"):
            tune(config, work_dir=tmp_path, trials=2, epochs=9, seed=seed)
    assert "epochs 7-9; validation every epoch\n" in capsys.readouterr().out
    assert read_json(tmp_path / PLAN)["seed"] == 1


def test_all_trials_failed(tmp_path, config, monkeypatch):
    monkeypatch.setattr(tuning_run, "import_tune", lambda: None)

    def fail(setup, records, epochs, concurrent, note):
        for record in records:
            note(record.number, True)

    monkeypatch.setattr(tuning_run, "run_trials", fail)
    with pytest.raises(
        StoppedError, match=r"^All 2 trials failed, trial 1 with: its process was killed.*output\.txt"
    ) as error:
        tune(config, work_dir=tmp_path, trials=2)
    assert error.value.exit_code == 1
    assert not (tmp_path / "best.py").exists()
