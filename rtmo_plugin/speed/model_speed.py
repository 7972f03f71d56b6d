"""``rtmo benchmark``: latency, throughput, memory, size and AP of a user's models, side by side on this machine."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rtmo_plugin.checkpoints.model_names import ModelKind, find_kind_of_model, locate_exported
from rtmo_plugin.errors import ConfigError, explain_missing_packages
from rtmo_plugin.media.drawing import Image
from rtmo_plugin.media.sources import read_frames
from rtmo_plugin.number_ranges import BATCH_SIZE, COUNT, THREADS
from rtmo_plugin.pose.pose import open_model
from rtmo_plugin.pose.streaming import Model, stream_results
from rtmo_plugin.runtime.engines import RUNTIMES, choose_runtime
from rtmo_plugin.runtime.engines.engine import count_cores
from rtmo_plugin.runtime.exported_model import ExportedModel
from rtmo_plugin.runtime.model_files import list_model_files
from rtmo_plugin.speed.fresh_process import run_in_fresh_process
from rtmo_plugin.speed.rounds import PAUSE_S, find_percentile, time_alternately
from rtmo_plugin.speed.sample_images import read_samples
from rtmo_plugin.speed.speed_report import SpeedReport

_NUM_IMAGES = 8
_STREAM_ROUNDS = 5
_BATCHES_PER_STREAM = 4
_NUM_WARM_UPS = 2
_COLUMNS = {
    "runtime": ("runtime", "s"),
    "computes in": ("computes_in", "s"),
    "ms": ("latency_ms", ".1f"),
    "p90 ms": ("latency_p90_ms", ".1f"),
    "network ms": ("network_ms", ".1f"),
    "images/s": ("images_per_second", ".1f"),
    "peak MiB": ("peak_memory_mib", "d"),
    "file MB": ("file_mb", ".1f"),
    "start s": ("first_people_s", ".2f"),
    "people": ("people_per_image", ".1f"),
    "AP": ("ap", ".3f"),
}
_NOISE = "noise, 640 x 480, in which a trained model finds hardly anyone; --images measures with your own images"


class _TimedModel(Model, Protocol):
    """A model whose parts can be timed.

    Attributes:
        streams: Number of batches that it computes side by side.
    """

    streams: int

    def time_parts(self, image: Image) -> dict[str, float]:
        """Return the seconds that preparing the input, the network and decoding take."""


@dataclass(frozen=True)
class _Side:
    """A model in one runtime.

    Attributes:
        name: Name in the table.
        model: Model as the user named it.
        runtime: Key of ``RUNTIMES``, or None for a checkpoint.
        config: Config of a checkpoint, if one was given.
        options: Options of ``open_model``.
    """

    name: str
    model: str
    runtime: str | None
    config: str | Path | None
    options: Mapping[str, Any]


@dataclass(frozen=True)
class SpeedOptions:
    """Options of a measurement.

    Attributes:
        images: Image or folder. Default: images of noise.
        rounds: Number of images that each model finds people in, one at a time.
        batch_size: Number of images per batch, for the throughput.
        runtimes: Runtimes of exported files, each a key of ``RUNTIMES``. Default: the fastest one of each file.
        threads: CPU threads. Default: all cores.
        size_wh: Width and height of the input, for exported files of a dynamic size.
        precision: Precision of exported files, see ``open_engine``.
        device: Device, such as ``cpu`` or ``cuda:0``.
        config: Config of checkpoints. Default: the one that each carries.
        cfg_options: Values to change in the configs of checkpoints, by dotted key.
        score_thr: Score above which people are returned.
        trust: Whether code in a .pt, .pt2 or .engine file may run that was not exported here.
        data: Config whose test data AP is computed on.
        data_root: Folder that holds the data of ``data``.
        annotations: Annotation file of ``images``, a folder, to compute AP on in place of ``data``.

    Raises:
        ConfigError: A value is out of range, or options contradict one another.
    """

    images: str | Path | None = None
    rounds: int = 20
    batch_size: int = 1
    runtimes: tuple[str, ...] = ()
    threads: int | None = None
    size_wh: tuple[int, int] | None = None
    precision: str | None = None
    device: str | None = None
    config: str | Path | None = None
    cfg_options: Mapping[str, Any] | None = None
    score_thr: float = 0.3
    trust: bool | None = None
    data: str | Path | None = None
    data_root: str | Path | None = None
    annotations: str | Path | None = None

    def __post_init__(self) -> None:
        COUNT.check("rounds", self.rounds)
        BATCH_SIZE.check("batch_size", self.batch_size)
        if self.threads is not None:
            THREADS.check("threads", self.threads)
        for name in self.runtimes:
            if name not in RUNTIMES:
                raise ConfigError(f"The runtime {name!r} is unknown: choose {', '.join(RUNTIMES)}.")
        if self.annotations is not None and (self.images is None or not Path(self.images).is_dir()):
            raise ConfigError("Annotations need the folder of their images: name it with --images.")
        if self.annotations is not None and self.data is not None:
            raise ConfigError("AP is computed on one data set: give --data or --annotations, not both.")


def measure_models(models: Sequence[str], options: SpeedOptions, command: str = "rtmo benchmark") -> SpeedReport:
    """Measure models side by side, in rounds in which they take turns.

    All models are opened, and AP is computed, before the first time is measured.

    Args:
        models: Exported files, checkpoints or published names.
        options: Options of the measurement.
        command: Command that measures the same, for the report.

    Raises:
        UserError: A model cannot be opened, or an image or the data cannot be used.
    """
    sides = _list_sides(models, options)
    if options.threads and any(side.runtime is None for side in sides):
        with explain_missing_packages():
            import torch

        torch.set_num_threads(options.threads)
    opened: dict[str, _TimedModel] = {side.name: _open(side, options) for side in sides}
    samples = read_samples(options.images, _NUM_IMAGES)
    precisions = compute_precision(models, options)
    fresh = {
        side.name: run_in_fresh_process(
            side.model,
            samples[0],
            side.options,
            config=side.config,
            score_thr=options.score_thr,
            torch_threads=options.threads if side.runtime is None else None,
        )
        for side in sides
    }
    latencies = _time_latency(opened, samples, options.rounds)
    throughputs = _time_throughput(sides, opened, samples, options)
    rows = [
        {
            "name": side.name,
            **_describe(side, opened[side.name]),
            **latencies[side.name],
            **throughputs[side.name],
            **vars(fresh[side.name]),
            "people_per_image": statistics.mean(len(opened[side.name].predict_batch([image])[0]) for image in samples),
            **precisions.get(side.model, {}),
        }
        for side in sides
    ]
    return SpeedReport(
        title=f"From an image in memory to people, one at a time, median of {options.rounds}; images/s in batches of "
        f"{options.batch_size}",
        command=command,
        columns=_COLUMNS,
        sides=tuple(rows),
        settings={
            "images": _NOISE if options.images is None else str(options.images),
            "threads": options.threads or count_cores(),
            "batch_size": options.batch_size,
            "rounds": options.rounds,
            "score_thr": options.score_thr,
            "data": options.data or options.annotations,
        },
    )


def _list_sides(models: Sequence[str], options: SpeedOptions) -> list[_Side]:
    """Return each model in each of its runtimes.

    Raises:
        UserError: A name is not known, or no runtime for a file is installed.
    """
    names = ("device", "trust", "size_wh", "precision", "threads")
    chosen = {name: value for name in names if (value := getattr(options, name)) is not None}
    sides = []
    for model in dict.fromkeys(models):
        kind = find_kind_of_model(model)
        if kind is not ModelKind.EXPORTED:
            own = {name: value for name, value in chosen.items() if name not in ("threads", "trust")}
            if options.cfg_options:
                own["cfg_options"] = dict(options.cfg_options)
            sides.append(_Side(model, model, None, options.config, own))
            continue
        path = locate_exported(model)
        readers = [name for name in options.runtimes if path.suffix.lower() in RUNTIMES[name][1]]
        for runtime in readers or [choose_runtime(path)]:
            choose_runtime(path, runtime)
            name = f"{model}, {runtime}" if len(readers) > 1 else model
            sides.append(_Side(name, model, runtime, None, {**chosen, "runtime": runtime}))
    given = "cfg_options" if options.config is None else "config"
    if (options.config is not None or options.cfg_options) and all(side.runtime for side in sides):
        raise ConfigError(f"{given} is an option of checkpoints alone, and {sides[0].model} is an exported file.")
    return sides


def _open(side: _Side, options: SpeedOptions, **more: Any) -> ExportedModel | _TimedModel:
    return open_model(side.model, side.config, options.score_thr, {**side.options, **more})


def compute_precision(models: Sequence[str], options: SpeedOptions) -> dict[str, dict[str, Any]]:
    """Return AP (``ap``) and all ``metrics`` by model, as ``rtmo eval`` computes them; empty without data.

    Raises:
        UserError: A model or the data cannot be used.
    """
    if options.data is None and options.annotations is None:
        return {}
    with explain_missing_packages():
        from rtmo_plugin.engine.evaluating import run_evaluation
        from rtmo_plugin.engine.metric_tables import find_average_precision
        from rtmo_plugin.speed.annotated_images import make_config

    found = {}
    for model in dict.fromkeys(models):
        config: Any = options.data
        if options.annotations is not None:
            assert options.images is not None
            config = make_config(model, options.config, options.annotations, options.images)
        metrics = run_evaluation(config, model, data_root=options.data_root, trust=options.trust)
        found[model] = {"ap": find_average_precision(metrics), "metrics": dict(metrics)}
    return found


def _time_latency(
    models: Mapping[str, _TimedModel], samples: Sequence[Image], rounds: int
) -> dict[str, dict[str, float]]:
    """Return median and 90th percentile in milliseconds, from image to people and of the network alone."""

    def make_side(model: _TimedModel) -> Callable[[], dict[str, float]]:
        images = itertools.cycle(samples)
        return lambda: model.time_parts(next(images))

    sides = {name: make_side(model) for name, model in models.items()}
    for side in sides.values():
        for _ in range(_NUM_WARM_UPS):  # what is made or loaded at the first images
            side()
    timings, parts = time_alternately(sides, rounds, pause=PAUSE_S)
    networks = {name: [part["network"] for part in each] for name, each in parts.items()}
    return {
        each.name: {
            "latency_ms": 1000 * each.median,
            "latency_p90_ms": 1000 * find_percentile(each.seconds, 90),
            "network_ms": 1000 * statistics.median(networks[each.name]),
            "network_p90_ms": 1000 * find_percentile(networks[each.name], 90),
        }
        for each in timings
    }


def _time_throughput(
    sides: Sequence[_Side], opened: Mapping[str, _TimedModel], samples: Sequence[Image], options: SpeedOptions
) -> dict[str, dict[str, float]]:
    """Return images per second as ``Pose.stream`` computes them: in batches, in streams where a runtime has them."""
    models: dict[str, tuple[Model, int]] = {}
    for side in sides:
        model = opened[side.name] if side.runtime is None else _open(side, options, streams=None)
        models[side.name] = (model, model.streams)
    most = max(streams for _, streams in models.values())
    number = max(len(samples), options.batch_size * most * _BATCHES_PER_STREAM)
    images = [samples[index % len(samples)] for index in range(number)]

    def make_side(model: Model, streams: int) -> Callable[[], int]:
        return lambda: sum(1 for _ in stream_results(model, read_frames(images), options.batch_size, streams))

    runs = {name: make_side(*each) for name, each in models.items()}
    for run in runs.values():
        run()
    timings, _ = time_alternately(runs, min(options.rounds, _STREAM_ROUNDS), pause=PAUSE_S)
    return {each.name: {"images_per_second": number / each.median, "streams": models[each.name][1]} for each in timings}


def _describe(side: _Side, model: _TimedModel) -> dict[str, Any]:
    """Return what a side is: its file, runtime, precision, input and size."""
    if side.runtime is None or not isinstance(model, ExportedModel):
        from rtmo_plugin.checkpoints.reading import locate_checkpoint

        file = locate_checkpoint(side.model)
        return {"model": side.model, "runtime": "checkpoint", "file_mb": file.stat().st_size / 1e6}
    path = locate_exported(side.model)
    return {
        "model": side.model,
        "runtime": side.runtime,
        "computes_in": model.computes_in,
        "size_wh": model.size_wh,
        "cut": model.info.cut,
        "file_mb": sum(each.stat().st_size for each in list_model_files(path, model.info.cut)) / 1e6,
    }
