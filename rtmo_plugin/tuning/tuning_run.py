"""A tuning from a config to its result: new, or resumed in its folder."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtmo_plugin.errors import EXIT_FAILURE, ConfigError, DataError, InterruptedRun, StoppedError
from rtmo_plugin.files import read_json, write_file, write_json
from rtmo_plugin.number_ranges import COUNT, SEED, WORKERS
from rtmo_plugin.progress_bar import show_progress, write_above_bar
from rtmo_plugin.tuning.knobs import Knob, draw_trials, find_knobs, find_value
from rtmo_plugin.tuning.ray_trials import TrialSetup, choose_rungs, import_tune, run_trials
from rtmo_plugin.tuning.trial_records import OUTCOME, Outcome, TrialRecord, locate_trial, note_end, read_trial
from rtmo_plugin.tuning.tuning_result import BEST_CONFIG, TuningResult, count_outcomes, plot_trials, write_table
from rtmo_plugin.wording import count, shorten, show_path

if TYPE_CHECKING:
    from mmengine.config import Config

PLAN = "tuning.json"
_AP = "AP"
_OF_CONFIG = ("data_root", "batch_size", "cfg_options")  # options that the best config has in it
_VAL_INTERVAL = "train_cfg.val_interval"


@dataclass(frozen=True)
class TuningPlan:
    """What a tuning does, as its file says.

    Attributes:
        config: Config file or name of a shipped config.
        epochs: Number of epochs of a trial.
        metric: Name of the metric, or None for AP.
        seed: Seed of the trials' values and of each training.
        knobs: Numbers that are varied.
        options: Options of each training.
        trials: Values of each trial by knob.
    """

    config: str
    epochs: int
    metric: str | None
    seed: int
    knobs: Sequence[Knob]
    options: Mapping[str, Any]
    trials: Sequence[Mapping[str, float]] = field(default=())

    def describe(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        names = ("config", "epochs", "metric", "seed", "options", "trials")
        knobs = [knob.describe() for knob in self.knobs]
        return {**{name: getattr(self, name) for name in names}, "knobs": knobs}

    def find_options(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Return the values of the config by dotted key for a trial.

        Args:
            values: Value of each knob by name.
        """
        knobs = [options for knob in self.knobs for options in knob.find_options(values[knob.name]).items()]
        return {**(self.options.get("cfg_options") or {}), **dict(knobs)}


def run_tuning(  # noqa: PLR0913  (what the command offers: every option has a default)
    train: Callable[..., Any],
    config: str | Path,
    *,
    work_dir: str | Path | None = None,
    trials: int = 16,
    epochs: int | None = None,
    concurrent: int | None = None,
    knobs: Sequence[str] = (),
    metric: str | None = None,
    resume: bool = False,
    seed: int = 0,
    **options: Any,
) -> TuningResult:
    """Tune a config, or continue an interrupted tuning; see ``rtmo_plugin.api.tune``.

    Args:
        train: Function ``rtmo_plugin.api.train``.
        config: Config file, or name of a shipped config.
        work_dir: Folder of the tuning. Default: ``work_dirs/CONFIG-tune``.
        trials: Number of trials.
        epochs: Number of epochs of a trial. Default: that of the config.
        concurrent: Number of trials at a time. Default: the number of GPUs, or one on CPUs.
        knobs: Numbers to vary, see ``find_knobs``.
        metric: Name of the metric. Default: that by which the config keeps the best checkpoint, or AP.
        resume: Whether to continue the tuning in the folder.
        seed: Seed of the trials' values and of each training.
        **options: Options of each training.

    Raises:
        UserError: Something in the arguments, the config or the data is wrong, or every trial failed.
        InterruptedRun: A signal came; ``resume=True`` continues the tuning.
    """
    COUNT.check("trials", trials)
    SEED.check("seed", seed)
    if concurrent is not None:
        WORKERS.check("concurrent", concurrent)
    import_tune()  # a missing package is found before a folder is made
    folder = Path(work_dir or Path("work_dirs", f"{Path(config).stem}-tune"))
    options = {name: value for name, value in options.items() if value not in (None, False)}
    options["cfg_options"] = _add_val_interval(config, epochs, options.get("cfg_options") or {})
    cfg = _prepare(config, epochs, metric, options, folder)
    length = epochs or cfg.train_cfg.max_epochs
    found = find_knobs(cfg.to_dict(), knobs)
    wanted = TuningPlan(str(config), length, metric or _find_metric(cfg), seed, found, options)
    plan = _open_plan(folder, wanted, trials, resume)
    records = [read_trial(folder, number, values) for number, values in enumerate(plan.trials, start=1)]
    if any(each.outcome in (None, Outcome.FAILED) for each in records):
        records = _run(train, plan, folder, records, concurrent)
    return _conclude(plan, folder, records)


def _add_val_interval(config: str | Path, epochs: int | None, cfg_options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options of the config with which a trial is validated at least as often as ASHA compares it."""
    from rtmo_plugin.config.config_files import load_config, set_options
    from rtmo_plugin.config.epochs import set_epochs

    if _VAL_INTERVAL in cfg_options:
        return cfg_options
    cfg = load_config(config)
    with redirect_stdout(io.StringIO()):  # said of the whole config
        set_epochs(cfg, epochs)
    set_options(cfg, cfg_options)
    train_cfg = cfg.get("train_cfg") or {}
    interval = min(train_cfg.get("val_interval", 1), choose_rungs(train_cfg.get("max_epochs") or 1))
    return {**cfg_options, _VAL_INTERVAL: interval}


def _prepare(
    config: str | Path, epochs: int | None, metric: str | None, options: Mapping[str, Any], folder: Path
) -> Config:
    """Return the config of the trainings, which give the metric, and whose data and checkpoint are there.

    Raises:
        UserError: Something is wrong with them.
    """
    from rtmo_plugin.checkpoints.reading import locate_checkpoint
    from rtmo_plugin.config.data_paths import check_data
    from rtmo_plugin.config.edits import prepare_config, require_sections
    from rtmo_plugin.engine.early_checks import check_metric_name, check_named_parts
    from rtmo_plugin.engine.resuming import TrainingStart

    chosen: dict[str, Any] = {name: options.get(name) for name in _OF_CONFIG}
    cfg = prepare_config(config, epochs=epochs, work_dir=folder, **chosen)
    require_sections(cfg, ("train_dataloader", "train_cfg", "optim_wrapper", "val_dataloader"))
    if not cfg.train_cfg.get("max_epochs"):
        raise ConfigError("rtmo tune compares trials by epochs, and the config has no train_cfg.max_epochs.")
    start = TrainingStart(load_from=options.get("load_from"), transfer_from=options.get("transfer_from"))
    check_named_parts(cfg)
    if metric:
        check_metric_name(cfg, metric, "--metric")
    check_data(cfg, ("train", "val"))
    if checkpoint := start.load_from or start.transfer_from:
        locate_checkpoint(checkpoint)
    return cfg


def _find_metric(cfg: Config) -> str | None:
    """Return the metric by which the config keeps its best checkpoint, if it names one."""
    name = find_value(cfg.to_dict(), "default_hooks.checkpoint.save_best")
    return name if isinstance(name, str) and name != "auto" else None


def _open_plan(folder: Path, wanted: TuningPlan, num_trials: int, resume: bool) -> TuningPlan:
    """Return the plan of a new tuning, or of one to continue, with at least ``num_trials`` trials, and write it.

    A plan of which no trial has begun is that of a command that was refused, and is replaced.

    Raises:
        ConfigError: There is a tuning in the folder that is not to be continued, or another one.
        DataError: Its plan is damaged.
    """
    path = folder / PLAN
    known: list[Mapping[str, float]] = []
    if path.is_file():
        if resume:
            known = _read_trials(path, wanted)
        elif locate_trial(folder, 1).parent.is_dir():
            raise ConfigError(f"{folder} holds a tuning: continue it with --resume, or name another --work-dir.")
    elif resume:
        print(f"no tuning in {folder}: starting with trial 1")
    drawn = draw_trials(wanted.knobs, max(num_trials, len(known)), wanted.seed)
    names = ("config", "epochs", "metric", "seed", "knobs", "options")
    plan = TuningPlan(**{name: getattr(wanted, name) for name in names}, trials=[*known, *drawn[len(known) :]])
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, plan.describe(), indent=2)
    return plan


def _read_trials(path: Path, wanted: TuningPlan) -> list[Mapping[str, float]]:
    """Return the values of the trials in a plan.

    Raises:
        ConfigError: It is the plan of another tuning.
        DataError: The file is damaged.
    """
    data, expected = read_json(path), wanted.describe()
    if not isinstance(data, dict) or data.keys() != expected.keys() or not isinstance(data["trials"], list):
        raise DataError(f"{path} is damaged: name another --work-dir, and start anew without --resume.")
    for name in expected.keys() - {"trials"}:
        if data[name] != expected[name]:
            differing = f"{name} ({shorten(data[name])}, not {shorten(expected[name])})"
            advice = "repeat its options, or name another --work-dir"
            raise ConfigError(f"{path.parent} holds a tuning with other {differing}: {advice}.")
    trials: list[Mapping[str, float]] = data["trials"]
    return trials


def _run(
    train: Callable[..., Any],
    plan: TuningPlan,
    folder: Path,
    records: Sequence[TrialRecord],
    concurrent: int | None,
) -> list[TrialRecord]:
    """Run the trials that have not ended or failed, and return all.

    Raises:
        InterruptedRun: A signal came.
    """
    records = [each if each.outcome is not Outcome.FAILED else _forget_failure(folder, each) for each in records]
    left = [each.number for each in records if each.outcome is None]
    print(
        f"{count(len(left), 'trial')} of {len(records)} to do, {count(plan.epochs, 'epoch')} each: {show_path(folder)}"
    )
    shared = {name: value for name, value in plan.options.items() if name != "cfg_options"}
    setup = TrialSetup(
        current=os.getcwd(),
        work_dir=str(folder.absolute()),
        config=plan.config,
        metric=plan.metric,
        train=train,
        options={**shared, "epochs": plan.epochs, "seed": plan.seed},
        cfg_options={number: plan.find_options(plan.trials[number - 1]) for number in left},
    )
    with show_progress(total=len(left), unit="trial") as bar:

        def note(number: int, has_failed: bool) -> None:
            record = read_trial(folder, number, plan.trials[number - 1])
            record = note_end(folder, record, plan.epochs, has_failed)
            _drop_checkpoints(locate_trial(folder, number))
            bar.update()
            write_above_bar(_describe_end(record, plan.metric or _AP))

        try:
            run_trials(setup, records, plan.epochs, concurrent, note)
        except KeyboardInterrupt as error:
            ended = [read_trial(folder, each.number, each.values) for each in records]
            _write(plan, folder, ended)
            kept = f"{count_outcomes(ended)}; reports and checkpoints are kept in {show_path(folder)}"
            raise InterruptedRun(f"interrupted: {kept}", error.args[0] if error.args else 2) from None
    return [read_trial(folder, each.number, each.values) for each in records]


def _forget_failure(folder: Path, record: TrialRecord) -> TrialRecord:
    """Return a trial that failed as one to try again."""
    (locate_trial(folder, record.number) / OUTCOME).unlink(missing_ok=True)
    return read_trial(folder, record.number, record.values)


def _drop_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a trial that has ended, but for ``best.pth``."""
    from rtmo_plugin.engine.hooks.best_checkpoint import BEST_FILE
    from rtmo_plugin.engine.work_folder import list_checkpoints

    for path in (*list_checkpoints(folder), folder / "last_checkpoint"):
        if path.name != BEST_FILE:
            path.unlink(missing_ok=True)


def _describe_end(record: TrialRecord, metric: str) -> str:
    values = ", ".join(f"{name} {value:.3g}" for name, value in record.values.items())
    if record.outcome is Outcome.FAILED:
        return f"trial {record.number} failed ({values}): {record.error}"
    reached = f"{metric} {record.best[0]:.3f} after epoch {record.best[1]}" if record.best else f"no {metric}"
    is_stopped = record.outcome is Outcome.STOPPED
    early = f", stopped after epoch {max(record.reports, default=0)}" if is_stopped else ""
    return f"trial {record.number}: {reached}{early} ({values})"


def _conclude(plan: TuningPlan, folder: Path, records: Sequence[TrialRecord]) -> TuningResult:
    """Write and return the result.

    Raises:
        StoppedError: Every trial failed.
    """
    result = _write(plan, folder, records)
    if len(result.failed) == len(records):
        first = result.failed[0]
        output = show_path(locate_trial(folder, first.number) / "output.txt")
        reason = str(first.error).removesuffix(".")
        words = f"All {len(records)} trials failed" if len(records) > 1 else "The only trial failed"
        raise StoppedError(f"{words}, trial {first.number} with: {reason} (its output: {output}).", EXIT_FAILURE)
    return result


def _write(plan: TuningPlan, folder: Path, records: Sequence[TrialRecord]) -> TuningResult:
    """Write table and plot of the trials so far, and the config of the best."""
    result = TuningResult(folder, plan.metric or _AP, plan.knobs, records)
    write_table(result)
    plot_trials(result)
    if result.ranking:
        write_best_config(plan, result)
    return result


def write_best_config(plan: TuningPlan, result: TuningResult) -> None:
    """Write the config with the values of the best trial; it has the config's own number of epochs.

    Args:
        plan: Plan of the tuning.
        result: Trials, of which one has a metric.
    """
    from rtmo_plugin.config.edits import prepare_config

    best = result.ranking[0]
    assert best.best is not None
    cfg_options = {key: value for key, value in plan.find_options(best.values).items() if key != _VAL_INTERVAL}
    chosen: dict[str, Any] = {name: plan.options.get(name) for name in _OF_CONFIG}
    chosen["cfg_options"] = cfg_options
    with redirect_stdout(io.StringIO()):  # it said so before
        cfg = prepare_config(plan.config, work_dir=result.work_dir, **chosen)
    for name in ("work_dir", "launcher"):  # of a run
        cfg.pop(name)
    values = ", ".join(f"{name} {value:.3g}" for name, value in best.values.items())
    head = f"# {plan.config} with the values of trial {best.number}: {result.metric} {best.best[0]:.3f}; {values}\n"
    write_file(result.work_dir / BEST_CONFIG, head + cfg.pretty_text)
