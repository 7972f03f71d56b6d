"""People by a checkpoint on a GPU: from images in the host's memory, and the network alone, beside MMPose's model."""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from benchmarks.official import load_official_recipe
from benchmarks.timing_report import add_row
from rtmo_plugin.checkpoints.reading import check_checkpoint_exists
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.data.synthetic.synthetic_people import SyntheticPeople
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.loaded_model import LoadedModel, load_model
from rtmo_plugin.engine.recordings import CUDARecorder, ForwardRecording
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.media.drawing import Image
from rtmo_plugin.media.image_files import list_images
from rtmo_plugin.media.images import read_image
from rtmo_plugin.pose.graph_building import build_people_graph
from rtmo_plugin.pose.replayed_model import ReplayedModel, split_images
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.letterbox import apply_letterbox, make_input
from rtmo_plugin.speed.speed_report import SpeedReport

_COLUMNS = {
    "ms a batch": ("ms", ".3f"),
    "images/s": ("images_per_s", ".1f"),
    "reserved MB": ("reserved_mb", ".0f"),
    "remark": ("remark", "s"),
}
_PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
_BATCHES = (1, 32)
_NUM_STREAMS = 2
_NUM_WARM_UPS = 3
Row = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """A model that is measured.

    Attributes:
        size: Name of the model, such as ``rtmo-s``.
        loaded: Model with a threshold at which it finds about as many people as there are.
        images: Images to find people in.
        precision: Precision of convolutions and attention.
        rounds: Measured batches.
    """

    size: str
    loaded: LoadedModel
    images: Sequence[Image]
    precision: str
    rounds: int

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        device: torch.device = next(self.loaded.model.parameters()).device
        return device


class PlainRecorder:
    """Runs a function again in each replay, to try the benchmark without a GPU."""

    def find_obstacle(self, device: torch.device) -> str | None:
        """Return None: any device will do."""
        return None

    def record_forward(
        self, function: Callable[..., tuple[torch.Tensor, ...]], given: torch.Tensor
    ) -> ForwardRecording:
        """Return a function of a tensor as a recording."""
        outputs = function(given)

        def replay() -> None:
            for static, value in zip(outputs, function(given)):
                static.copy_(value)

        return ForwardRecording(outputs, replay)

    def release(self) -> None:
        """Hold no memory to give back."""


def run(
    *,
    models: str = "rtmo-s,rtmo-m,rtmo-l",
    weights: str | None = None,
    images: str | None = None,
    people: int = 5,
    precision: str = "float16",
    rounds: int = 50,
    tiny: bool = False,
    out: str | None = None,
) -> SpeedReport:
    """Measure each model with one image and with 32; rows are printed to stderr when they are known.

    Args:
        models: Names of models, separated by commas.
        weights: Folder with a checkpoint for each model, such as rtmo-s.pth. Default: random weights.
        images: Image or folder. Default: drawn people.
        people: People per image, on average; the score threshold is chosen for that, with any weights.
        precision: Precision of ours: ``float16``, ``bfloat16`` or ``float32``.
        rounds: Measured batches of each row.
        tiny: Whether RTMO-t is measured with one and two images in two rounds, to try the benchmark itself.
        out: File for the report, which is written anew with each row. Default: none.

    Raises:
        ConfigError: The precision is unknown.
        MissingFileError: A checkpoint is missing.
    """
    if precision not in _PRECISIONS:
        raise ConfigError(f"--precision {precision}: choose {', '.join(_PRECISIONS)}.")
    names, batches = (["rtmo-t"], (1, 2)) if tiny else (models.split(","), _BATCHES)
    rounds = 2 if tiny else rounds
    if weights is not None:
        for name in names:
            check_checkpoint_exists(Path(weights, f"{name}.pth"))  # of all, before the first is measured
    pictures = load_images(images, max(batches))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    command = f"gpu-inference --models {models} --people {people} --precision {precision} --rounds {rounds}"
    command += "".join(f" --{key} {value}" for key, value in (("weights", weights), ("images", images)) if value)
    report = SpeedReport(
        title="People by a checkpoint on a GPU",
        command=f"python -m benchmarks {command}{' --tiny' if tiny else ''}",
        columns=_COLUMNS,
        sides=(),
        settings={"device": device, "images": len(pictures), "tiny": tiny, "weights": weights or "random"},
    )
    for name in names:
        side = Side(name, load_side(name, weights, device, pictures[:2]), pictures, precision, rounds)
        choose_threshold(side, people)
        for row in measure_side(side, batches):
            report = add_row(report, row, out)
        del side
        gc.collect()
        torch.cuda.empty_cache()
    return report


def load_images(folder: str | None, number: int) -> list[Image]:
    """Return so many images of a folder, again and again if it has fewer, or drawn people."""
    if folder is not None:
        return [read_image(path) for path in islice(cycle(list_images(folder)), number)]
    dataset = SyntheticPeople(num_images=number, size_wh=(640, 480), num_people=(1, 5))
    return [dataset.draw(index) for index in range(number)]


def load_side(name: str, weights: str | None, device: str, images: Sequence[Image]) -> LoadedModel:
    """Return a model with random weights, and norms that fit to images, or with the weights in a folder.

    Raises:
        UserError: The checkpoint cannot be used.
    """
    config = "rtmo-t_body7" if name == "rtmo-t" else f"{name}_coco"
    if weights is not None:
        return load_model(config, Path(weights, f"{name}.pth"), device=device)
    cfg = load_config(config)
    cfg.model.backbone.init_cfg = None
    init_default_scope("mmpose")
    torch.manual_seed(0)
    with suppress_library_noise():
        model = MODELS.build(cfg.model).to(device)
    size_wh = tuple(cfg.test_dataloader.dataset.pipeline[1].input_size)
    batch = np.stack([make_input(apply_letterbox(image, size_wh)[0], "float32") for image in images])
    settle_norms(model, torch.from_numpy(batch).to(device))
    return LoadedModel(model.eval(), cfg, {}, ("person",), None)


@torch.no_grad()
def settle_norms(model: Any, images: torch.Tensor) -> None:
    """Give the batch norms of a model with random weights the statistics of images, so that no map overflows."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    model.train()
    model.head.head_module(model.extract_feat(images))


@torch.no_grad()
def choose_threshold(side: Side, people: int) -> None:
    """Set the threshold of a model so that it finds so many people in an image, on average."""
    test_cfg = side.loaded.model.test_cfg
    test_cfg["score_thr"] = 0.0
    found = [row for image in side.images for row in find_rows(side, image)]
    scores = sorted(found, reverse=True)
    test_cfg["score_thr"] = scores[min(people * len(side.images), len(scores) - 1)]


def find_rows(side: Side, image: Image) -> list[float]:
    """Return the scores of the people that PyTorch finds in an image, at most 100."""
    sample = compute_eagerly(side.loaded.model, side, image)
    return [float(score) for score in sample.pred_instances.bbox_scores[:100]]


@torch.no_grad()
def compute_eagerly(model: Any, side: Side, image: Image) -> Any:
    """Return MMPose's data sample of an image, by its test pipeline and a model of ours or of MMPose."""
    steps = side.loaded.cfg.test_dataloader.dataset.pipeline[1:]
    with suppress_library_noise():
        pipeline = Compose([dict(type="LoadImage"), *steps])
    info = {"img": image, "img_path": None, "id": 0, "img_id": 0, **side.loaded.metainfo}
    return model.test_step(pseudo_collate([pipeline(info)]))[0]


def measure_side(side: Side, batches: Sequence[int]) -> Iterator[Row]:
    """Yield the rows of a model: the warm-up, each batch from images to people and alone, and MMPose's model.

    What cannot be measured is a row that says why, and the rest is measured.
    """
    yield from _measure_ours(side, batches)
    gc.collect()
    if side.device.type == "cuda":
        torch.cuda.empty_cache()
    yield _guard(f"{side.size}, MMPose, eager, float32, batch 1", partial(_time_theirs, side=side))


def _measure_ours(side: Side, batches: Sequence[int]) -> Iterator[Row]:
    has_graphs = CUDARecorder().find_obstacle(side.device) is None
    make_recorder: Callable[[], Any] = CUDARecorder if has_graphs else PlainRecorder
    how = "CUDA graphs" if has_graphs else "without graphs"
    start = time.perf_counter()
    graph = build_people_graph(side.loaded, _PRECISIONS[side.precision])
    model = ReplayedModel(graph, [make_recorder() for _ in range(_NUM_STREAMS)])
    model.warm_up()
    seconds = time.perf_counter() - start
    name = f"{side.size}, {side.precision}"
    remark = f"{how}: not used, {model.failure}" if model.failure else how
    yield {"name": f"{name}: opened and warmed up", "ms": 1000 * seconds, "remark": remark}
    for number in batches:
        images = [side.images[index % len(side.images)] for index in range(number)]
        rows = {
            "image to people": partial(_time_people, model=model, images=images, side=side),
            "two streams": partial(_time_streams, model=model, images=images, side=side),
            "network alone": partial(_time_forward, graph=graph, number=number, side=side, recorder=make_recorder()),
        }
        for part, measure in rows.items():
            yield _guard(f"{name}, batch {number}: {part}", measure)


def _guard(name: str, measure: Callable[[], Row]) -> Row:
    """Return a measured row with a name, or one that says why there is nothing to measure."""
    try:
        return {"name": name, **measure()}
    except (RuntimeError, ImportError, LookupError, OSError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        return {"name": name, "remark": f"not measured: {type(error).__name__}: {reason}"}


def _time_people(model: ReplayedModel, images: list[Image], side: Side) -> Row:
    """Return a row with the time from images to people, and how many there are.

    Raises:
        RuntimeError: Images are not computed by graphs.
    """
    found = _predict_all(model, images)
    remark = f"{sum(map(len, found)) / len(images):.1f} people an image"
    num_replays = len(list(split_images(images)))
    if num_replays > 1:
        remark += f", {num_replays} replays"
    return _time(partial(model.predict, images), len(images), side, remark)


def _predict_all(model: ReplayedModel, images: list[Image]) -> list[Detections]:
    """Return the people in images.

    Raises:
        RuntimeError: Images are not computed by graphs.
    """
    found = [each for each in model.predict(images) if each is not None]
    if len(found) < len(images):
        reason = model.failure or "they have more people than its arrays, or the batch cannot be recorded"
        raise RuntimeError(f"{len(images) - len(found)} of {len(images)} images are computed without graphs: {reason}")
    return found


def _time_theirs(side: Side) -> Row:
    """Return the row of MMPose's model with the same weights and threshold, one image at a time in float32."""
    from mmpose.apis import init_model  # imports MMPose's models, which our work-arounds come before

    theirs = init_model(load_official_recipe(side.size), None, device=str(side.device))
    theirs.load_state_dict(side.loaded.model.state_dict(), strict=False)
    theirs.test_cfg["score_thr"] = side.loaded.model.test_cfg["score_thr"]
    found = compute_eagerly(theirs, side, side.images[0]).pred_instances
    remark = f"{len(found.bbox_scores)} people in the first image"
    return _time(lambda: compute_eagerly(theirs, side, side.images[0]), 1, side, remark)


def _time(function: Callable[[], Any], number: int, side: Side, remark: str) -> Row:
    """Return a row with the median time of a function that waits for its results.

    Memory is what PyTorch has reserved: what graphs use between replays counts as free.
    """
    has_gpu = side.device.type == "cuda"
    if has_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for _ in range(_NUM_WARM_UPS):
        function()
    seconds = []
    for _ in range(side.rounds):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    reserved = torch.cuda.max_memory_reserved() / 2**20 if has_gpu else None
    return {"ms": 1000 * median, "images_per_s": number / median, "reserved_mb": reserved, "remark": remark}


def _time_streams(model: ReplayedModel, images: list[Image], side: Side) -> Row:
    """Return a row with the throughput of batches that are computed side by side.

    Raises:
        RuntimeError: Images are not computed by graphs.
    """
    _predict_all(model, images)
    with ThreadPoolExecutor(_NUM_STREAMS) as pool:
        list(pool.map(model.predict, [images] * 2 * _NUM_STREAMS))
        start = time.perf_counter()
        list(pool.map(model.predict, [images] * side.rounds))
        seconds = (time.perf_counter() - start) / side.rounds
    return {"ms": 1000 * seconds, "images_per_s": len(images) / seconds}


@torch.no_grad()
def _time_forward(graph: Any, number: int, side: Side, recorder: Any) -> Row:
    """Return a row with the time of the network alone, by the events of CUDA where there is a GPU."""
    width, height = graph.size_wh
    images = torch.full((number, height, width, 3), 114.0, device=side.device)
    has_gpu, cuda = side.device.type == "cuda", torch.cuda
    make_stream: Any = cuda.Stream
    make_event: Any = cuda.Event
    with cuda.stream(make_stream()) if has_gpu else contextlib.nullcontext():
        recording = recorder.record_forward(
            lambda given: tuple(each for levels in graph.compute_maps(given) for each in levels), images
        )
        recording.replay()
        if has_gpu:
            events = [make_event(enable_timing=True) for _ in range(2)]
            events[0].record()
        start = time.perf_counter()
        for _ in range(side.rounds):
            recording.replay()
        seconds = (time.perf_counter() - start) / side.rounds
        if has_gpu:
            events[1].record()
            events[1].synchronize()
            seconds = events[0].elapsed_time(events[1]) / 1000 / side.rounds
    return {
        "ms": 1000 * seconds,
        "images_per_s": number / seconds,
        "remark": "CUDA events" if has_gpu else "clock",
    }
