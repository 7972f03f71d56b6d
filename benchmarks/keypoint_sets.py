"""Time, memory and operators of a training step of RTMO-s with 17 keypoints and with COCO-WholeBody's 133."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.timing_report import compare_timings
from benchmarks.training_samples import draw_coco_folder
from benchmarks.training_step import Side, TrainingStep, make_batch, measure_memory
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.files import read_json
from rtmo_plugin.keypoints.whole_body import FIELDS, NUM_BY_PART
from rtmo_plugin.speed.rounds import time_alternately
from rtmo_plugin.speed.speed_report import SpeedReport

SIDES = {
    "17 keypoints": Side(is_ours=True, amp=False),
    "133 keypoints": Side(is_ours=True, amp=False, data="wholebody"),
}


def run(*, batch_size: int = 4, rounds: int = 5, memory: bool = True) -> SpeedReport:
    """Train RTMO-s on COCO's keypoints and on COCO-WholeBody's, a step each in turn, on the same drawn images.

    A step is that of ``train``. All 133 keypoints of each person are labeled: the further ones anywhere in the box.

    Args:
        batch_size: Images in a step.
        rounds: Measured steps of each side.
        memory: Measure the peak memory of each side in a process of its own as well.

    Raises:
        UserError: A number is not positive.
    """
    if min(batch_size, rounds) < 1:
        raise ConfigError("keypoints: --batch-size and --rounds must be at least 1.")
    with draw_coco_folder(4 * batch_size) as folder:
        _write_whole_body(Path(folder, "coco/annotations"))
        steps = {name: TrainingStep(side, make_batch(folder, batch_size, side.data)) for name, side in SIDES.items()}
        peaks = {name: measure_memory(side, folder, batch_size) for name, side in SIDES.items()} if memory else {}
    first = {name: step() for name, step in steps.items()}
    operators = {}
    for name, step in steps.items():
        with _OperatorCounter() as counter:
            step()
        operators[name] = counter.number
    timings, _ = time_alternately(steps, rounds)
    return compare_timings(
        timings,
        title=f"Training step of RTMO-s, {batch_size} images of 640 x 640, {get_device()}",
        command=f"keypoints --batch-size {batch_size} --rounds {rounds}" + ("" if memory else " --no-memory"),
        settings={"batch_size": batch_size, "size": 640, "multi_scale": False},
        results={
            "threads": torch.get_num_threads(),
            "operators of a step": operators,
            "loss of the first step": {name: round(loss, 4) for name, loss in first.items()},
            "peak memory (MiB)": peaks,
        },
    )


class _OperatorCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the tensor operators that run inside it.

    Attributes:
        number: Number of operators so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += 1
        return func(*args, **(kwargs or {}))


def _write_whole_body(folder: Path) -> None:
    """Write drawn people with 133 keypoints beside the file of COCO's keypoints, in COCO-WholeBody's form."""
    coco = read_json(folder / "person_keypoints_train2017.json")
    random = np.random.default_rng(0)
    for person in coco["annotations"]:
        (x, y, width, height), further = person["bbox"], list(NUM_BY_PART.items())[1:]
        for part, number in further:
            places = random.uniform((x, y), (x + width, y + height), (number, 2))
            person[FIELDS[part]] = np.concatenate([places, np.full((number, 1), 2)], 1).ravel().tolist()
        person["segmentation"] = []
    (folder / "coco_wholebody_train_v1.0.json").write_text(json.dumps(coco), encoding="utf-8")
