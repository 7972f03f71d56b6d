"""PyTorch on a GPU, where there is one: our folded model compiled, with CUDA graphs, beside MMPose's own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmpose.apis import init_model
from mmpose.structures import PoseDataSample

from benchmarks.official import load_official_recipe
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import build_graph

_SIZE_WH = (640, 640)
_BATCHES = (1, 32)  # latency, throughput
_TOP_K = 100
_NUM_WARM_UPS = 5  # compiling, and recording CUDA graphs

_Find = Callable[[torch.Tensor], Any]


def time_on_gpu(config: str, weights: Path, rounds: int) -> dict[str, Any]:
    """Return the median milliseconds of a batch, by side and batch size, or the reason why they are missing."""
    if not torch.cuda.is_available():
        return {"not measured": "no GPU that PyTorch can use"}
    compile_graph: Any = torch.compile
    return measure(config, weights, rounds, "cuda", lambda graph: compile_graph(graph, mode="reduce-overhead"))


def measure(
    config: str,
    weights: Path,
    rounds: int,
    device: str,
    compile_graph: Callable[[Any], _Find],
    *,
    precisions: tuple[bool, ...] = (False, True),
    batches: tuple[int, ...] = _BATCHES,
) -> dict[str, dict[str, float]]:
    """Return the median milliseconds from images in the device's memory to people; ours before NMS.

    Args:
        config: Name of ours.
        weights: Weights of both models.
        rounds: Number of runs of each side.
        device: Device in torch's notation.
        compile_graph: Function that compiles our model.
        precisions: Whether in float16.
        batches: Numbers of images.
    """
    theirs = init_model(load_official_recipe(), str(weights), device=device)
    sides = {"MMPose, eager": lambda images: _find_theirs(theirs, images)}
    cfg: Config = load_config(config)
    for half in precisions:
        options = ExportOptions(_SIZE_WH, cut="decoded", dynamic=(), half=half, top_k=_TOP_K)
        graph = build_graph(init_model(cfg, str(weights), device="cpu"), options).to(device)
        sides[f"ours, compiled, {options.precision}, before NMS"] = compile_graph(graph)
    return {
        name: {f"batch {size}": _time(find, torch.full((size, 3, *_SIZE_WH[::-1]), 114.0, device=device), rounds)
               for size in batches}
        for name, find in sides.items()
    }  # fmt: skip


@torch.inference_mode()
def _find_theirs(model: Any, images: torch.Tensor) -> Any:
    samples = [PoseDataSample(metainfo={"input_size": _SIZE_WH}) for _ in images]
    return model.head.predict(model.extract_feat(images), samples, test_cfg=model.test_cfg)


def _time(find: _Find, images: torch.Tensor, rounds: int) -> float:
    milliseconds = []
    with torch.inference_mode():
        for _ in range(_NUM_WARM_UPS + rounds):
            _wait(images)
            start = time.perf_counter()
            find(images)
            _wait(images)
            milliseconds.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(milliseconds[_NUM_WARM_UPS:]), 2)


def _wait(images: torch.Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize()
