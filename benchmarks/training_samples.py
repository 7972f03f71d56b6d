"""Time of training samples: decode, mosaic, affine, mixup, colors, flip and targets, beside MMPose's pipeline."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS
from torch import Tensor

from benchmarks.official import load_official_recipe
from benchmarks.timing_report import compare_timings
from rtmo_plugin.config.cache_memory import set_image_cache
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.config.data_paths import check_data, set_data_root
from rtmo_plugin.data import SyntheticPeople
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.speed.rounds import time_alternately
from rtmo_plugin.speed.speed_report import SpeedReport

OURS = "rtmo-s_coco"
THEIR_SIDE, OUR_SIDE, CACHED_SIDE = "MMPose", "rtmo_plugin", "rtmo_plugin, cached"
_SYNTHETIC = "synthetic people, 640 x 480 JPEG"


def run(
    *,
    data_root: str | Path | None = None,
    num_samples: int = 100,
    num_images: int = 64,
    cache_gb: float = 1.0,
    rounds: int = 3,
) -> SpeedReport:
    """Make the same training samples with MMPose's pipeline and with ours, in turn, on one core.

    The cached side has seen every image once before it is measured.

    Args:
        data_root: Folder with ``coco/``; None for synthetic images.
        num_samples: Number of samples of each side in each round.
        num_images: Number of synthetic images.
        cache_gb: Memory of the cached side.
        rounds: Number of runs of each side.

    Raises:
        UserError: A number is not positive, or data are missing.
    """
    if min(num_samples, num_images, rounds) < 1:
        raise ConfigError("data: --num-samples, --num-images and --rounds must be at least 1.")
    with _one_thread(), contextlib.ExitStack() as stack:
        folder = data_root or stack.enter_context(draw_coco_folder(num_images))
        configs = {THEIR_SIDE: load_official_recipe(), OUR_SIDE: load_ours(folder), CACHED_SIDE: load_ours(folder)}
        set_data_root(configs[THEIR_SIDE], folder)
        set_image_cache(configs[CACHED_SIDE], cache_gb)
        datasets = {name: build_dataset(cfg) for name, cfg in configs.items()}
        cached = datasets[CACHED_SIDE]
        for index in range(len(cached)):
            cached.pipeline.transforms[0](cached.get_data_info(index))  # loads the image
        sides = {name: _make_side(dataset, num_samples) for name, dataset in datasets.items()}
        timings, samples = time_alternately(sides, rounds)
    found = {name: returned[-1] for name, returned in samples.items()}
    images = f"{len(datasets[OUR_SIDE])} images" + (f", {_SYNTHETIC}" if data_root is None else "")
    return compare_timings(
        timings,
        title=f"{num_samples} stage-1 training samples of RTMO-s, 640 x 640, one core, from {images}",
        command=f"data --num-samples {num_samples} --rounds {rounds} --cache-gb {cache_gb:g} "
        + (f"--num-images {num_images}" if data_root is None else f"--data-root {data_root}"),
        settings={"num_samples": num_samples, "cache_gb": cache_gb, "images": images},
        results={
            **{f"{each.name}, samples per second of CPU": round(num_samples / each.median_cpu, 1) for each in timings},
            "largest difference of a keypoint (pixels)": _compare(found[THEIR_SIDE], found[OUR_SIDE]),
            "largest difference with the cache": _compare(found[OUR_SIDE], found[CACHED_SIDE]),
        },
    )


@contextlib.contextmanager
def draw_coco_folder(num_images: int) -> Iterator[str]:
    """Write synthetic people as COCO's training set into a folder that lasts as long as the context."""
    dataset = SyntheticPeople(num_images=num_images, size_wh=(640, 480), num_people=(1, 5))
    coco = dataset.to_coco()
    with tempfile.TemporaryDirectory() as folder:
        images, annotations = Path(folder, "coco/train2017"), Path(folder, "coco/annotations")
        for path in (images, annotations):
            path.mkdir(parents=True)
        for image in coco["images"]:
            image["file_name"] = f"{image['id']:012d}.jpg"
            cv2.imwrite(str(images / image["file_name"]), dataset.draw(image["id"]))
        (annotations / "person_keypoints_train2017.json").write_text(json.dumps(coco), encoding="utf-8")
        yield folder


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def load_ours(data_root: str | Path | None = None, recipe: str = OURS) -> Config:
    """Return our config of a recipe. Default: the one that is compared with MMPose's.

    Raises:
        UserError: The config or the data are missing.
    """
    cfg = load_config(recipe)
    set_data_root(cfg, data_root)
    if data_root is not None:
        check_data(cfg, ("train",))
    return cfg


def build_dataset(cfg: Config) -> Any:
    """Return the training set of a config."""
    init_default_scope("mmpose")
    with contextlib.redirect_stdout(io.StringIO()):  # of the COCO tools
        return DATASETS.build(cfg.train_dataloader.dataset)


def _make_side(dataset: Any, num_samples: int) -> Callable[[], list[Tensor]]:
    """Return a function that makes the samples and returns the keypoints of each."""

    def make_samples() -> list[Tensor]:
        keypoints = []
        for index in range(num_samples):
            np.random.seed(index)  # noqa: NPY002  (the generator that transforms draw from)
            sample = dataset.prepare_data(index % len(dataset))
            keypoints.append(sample["data_samples"].gt_instance_labels.keypoints)
        return keypoints

    make_samples()
    return make_samples


def _compare(first: list[Tensor], second: list[Tensor]) -> float:
    """Return the largest difference of a coordinate; infinity if the people are not as many."""
    if [each.shape for each in first] != [each.shape for each in second]:
        return float("inf")
    return max(float((a - b).abs().max()) if len(a) else 0.0 for a, b in zip(first, second))
