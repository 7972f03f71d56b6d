"""Trials on Ray Tune: each one trains in a process of its own, and ASHA ends those that fall behind.

Ray's own state of an experiment is not kept: the files of the trials say what is done (``trial_records``), and ASHA is
told the reports of earlier trials again when a tuning is resumed.
"""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.ray_start import import_ray, start_ray
from rtmo_plugin.tuning.trial_records import OUTPUT, REPORTS, FailureNote, TrialRecord, locate_trial, read_reports

_PACKAGES = ("pandas", "pyarrow", "pydantic", "requests")  # of Ray Tune
_REDUCTION = 3  # a third of the trials goes on, and is compared again after three times as many epochs
_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # which prints also when it is told not to
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class TrialSetup:
    """Everything that the process of a trial needs, as plain values.

    Attributes:
        current: Current folder, from which relative paths start.
        work_dir: Folder of the tuning.
        config: Config file or name of a shipped config.
        metric: Name of the metric, or None for AP.
        train: Function ``rtmo_plugin.api.train``.
        options: Its options, the same for all trials.
        cfg_options: Values of the config by dotted key, by number of the trial.
    """

    current: str
    work_dir: str
    config: str
    metric: str | None
    train: Callable[..., Any]
    options: Mapping[str, Any]
    cfg_options: Mapping[int, Mapping[str, Any]]


def choose_rungs(epochs: int) -> int:
    """Return the first epoch at which ASHA compares trials; it compares again at three times as many epochs.

    Args:
        epochs: Number of epochs of a trial.

    Examples:
        >>> [choose_rungs(epochs) for epochs in (2, 9, 100)]
        [1, 1, 11]
    """
    return max(1, epochs // (_REDUCTION * _REDUCTION))


def import_tune() -> Any:
    """Return Ray with Ray Tune.

    Raises:
        ConfigError: They are not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return import_ray("tune", _PACKAGES)


def make_scheduler(ray: Any, epochs: int, earlier: Sequence[TrialRecord] = ()) -> Any:
    """Return ASHA, which knows the reports of earlier trials.

    Args:
        ray: Module of ``import_tune``.
        epochs: Number of epochs of a trial.
        earlier: Trials that have ended.
    """
    scheduler = ray.tune.schedulers.ASHAScheduler(
        time_attr="epoch",
        metric="metric",
        mode="max",
        max_t=epochs,
        grace_period=choose_rungs(epochs),
        reduction_factor=_REDUCTION,
        stop_last_trials=False,
    )
    for record in earlier:
        trial = SimpleNamespace(trial_id=f"earlier-{record.number}")
        scheduler.on_trial_add(None, trial)
        for epoch, metric in record.reports.items():
            scheduler.on_trial_result(None, trial, {"epoch": epoch, "metric": metric})
    return scheduler


def run_trials(
    setup: TrialSetup,
    records: Sequence[TrialRecord],
    epochs: int,
    concurrent: int | None,
    note: Callable[[int, bool], None],
) -> None:
    """Run the trials that have not ended, and call ``note`` when one ends.

    Args:
        setup: What their processes need.
        records: All trials of the tuning.
        epochs: Number of epochs of a trial.
        concurrent: Number of trials at a time. Default: the number of GPUs, or one on CPUs.
        note: Function of a trial's number, and of whether it failed.

    Raises:
        ConfigError: Ray is not installed, or the machine is too small for the trials.
        KeyboardInterrupt: A signal came; its argument is the number.
    """
    ray = import_tune()
    numbers = [record.number for record in records if record.outcome is None]
    ended = [record for record in records if record.outcome is not None]
    with _connect(ray, concurrent), tempfile.TemporaryDirectory(prefix="rtmo-tune-") as folder:
        share = _share_resources(ray.cluster_resources(), concurrent)
        tuner = ray.tune.Tuner(
            ray.tune.with_resources(partial(run_trial, setup=setup), share),
            param_space={"number": ray.tune.grid_search(numbers)},
            tune_config=ray.tune.TuneConfig(
                scheduler=make_scheduler(ray, epochs, ended),
                max_concurrent_trials=concurrent or max(1, int(ray.cluster_resources().get("GPU", 1))),
                reuse_actors=False,
            ),
            run_config=ray.tune.RunConfig(
                name="trials", storage_path=folder, verbose=0, callbacks=[_make_callback(ray, note)]
            ),
        )
        tuner.fit()


def run_trial(config: Mapping[str, int], setup: TrialSetup) -> None:
    """Train one trial in this process, from its last checkpoint if it has one.

    Args:
        config: Values that Ray Tune chose: the ``number`` of the trial.
        setup: Description of the tuning.
    """
    from ray import tune

    from rtmo_plugin.config.config_files import load_config

    number = config["number"]
    os.chdir(setup.current)
    folder = locate_trial(Path(setup.work_dir), number)
    folder.mkdir(parents=True, exist_ok=True)
    for epoch, metric in read_reports(folder / REPORTS).items():  # of an earlier attempt
        tune.report({"epoch": epoch, "metric": metric})
    output = (folder / OUTPUT).open("a", encoding="utf-8")
    with output, redirect_stdout(output), redirect_stderr(output), FailureNote(folder):
        cfg = load_config(setup.config)
        hook = {"type": "rtmo_plugin.TrialReportHook", "file": REPORTS, "metric": setup.metric}
        cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), hook]
        setup.train(cfg, work_dir=folder, resume=True, cfg_options=setup.cfg_options[number], **setup.options)


def _make_callback(ray: Any, note: Callable[[int, bool], None]) -> Any:
    """Return a callback of Ray Tune that calls ``note`` when a trial ends."""

    class NoteEnds(ray.tune.Callback):
        """Notes the end of trials."""

        def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **_: Any) -> None:
            """Note a trial that is done or was stopped."""
            note(trial.config["number"], False)

        def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **_: Any) -> None:
            """Note a trial that failed."""
            note(trial.config["number"], True)

    return NoteEnds()


def _share_resources(resources: Mapping[str, float], concurrent: int | None) -> dict[str, float]:
    """Return the CPUs and GPUs of each trial.

    Raises:
        ConfigError: There are more trials at a time than CPUs.

    Examples:
        >>> _share_resources({"CPU": 16, "GPU": 2}, None), _share_resources({"CPU": 8}, 2)
        ({'cpu': 8, 'gpu': 1.0}, {'cpu': 4, 'gpu': 0.0})
    """
    gpus = resources.get("GPU", 0)
    number = concurrent or max(1, int(gpus))
    cpus = int(resources.get("CPU", 1) // number)
    if not cpus:
        raise ConfigError(f"--concurrent {number} is more than the {resources.get('CPU', 0):g} CPUs of this machine.")
    return {"cpu": cpus, "gpu": min(1.0, gpus / number)}


@contextmanager
def _connect(ray: Any, concurrent: int | None) -> Iterator[None]:
    """Start Ray for the block, unless this process is connected, and let signals interrupt it."""
    is_ours = not ray.is_initialized()
    if is_ours:
        start_ray(ray)
    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with _raise_on_signals():
            yield
    finally:
        if is_ours:
            ray.shutdown()


@contextmanager
def _raise_on_signals() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP raise ``KeyboardInterrupt`` with the number of the signal."""

    def leave(number: int, _: Any) -> None:
        raise KeyboardInterrupt(number)

    is_main = threading.current_thread() is threading.main_thread()  # other threads cannot set handlers
    names = ("SIGINT", "SIGTERM", "SIGHUP") if is_main else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
