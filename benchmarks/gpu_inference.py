"""Inference in PyTorch on a GPU: our folded model, compiled with CUDA graphs, beside MMPose's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
from rtmo_plugin.speed.rounds import time_alternately

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
    found: dict[str, dict[str, float]] = {name: {} for name in sides}
    for size in batches:
        images = torch.full((size, 3, *_SIZE_WH[::-1]), 114.0, device=device)
        runs = {name: partial(_find_all, find, images) for name, find in sides.items()}
        for run in runs.values():
            for _ in range(_NUM_WARM_UPS):
                run()
        timings, _ = time_alternately(runs, rounds)
        for each in timings:
            found[each.name][f"batch {size}"] = round(1000 * each.median, 2)
    return found


@torch.inference_mode()
def _find_theirs(model: Any, images: torch.Tensor) -> Any:
    samples = [PoseDataSample(metainfo={"input_size": _SIZE_WH}) for _ in images]
    return model.head.predict(model.extract_feat(images), samples, test_cfg=model.test_cfg)


@torch.inference_mode()
def _find_all(find: _Find, images: torch.Tensor) -> None:
    """Find the people in a batch, and wait for the device."""
    find(images)
    if images.is_cuda:
        torch.cuda.synchronize()
