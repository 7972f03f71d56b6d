"""Parts of the measurement of training on a GPU; each one runs in a process of its own and prints rows.

``python -m benchmarks gpu-training`` starts them. Rows are JSON in one line, after ``ROW``.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

ROW = "row "
UNUSED = "CUDA graphs are not used"  # begins the sentences of GraphsHook
ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, Any]
_TEST_PROCESSES = 4
_WRONG_CALLS = (AssertionError, AttributeError, TypeError, ValueError)


@dataclass(frozen=True)
class Scale:
    """Sizes of the measurement.

    Attributes:
        small: Recipe that most is measured with.
        large: Recipe of the largest model.
        size: Height and width of the images.
        batch_size: Images in a step.
        more_images: Larger numbers of images in a step.
        steps: Measured steps.
        curve: Steps of a loss curve.
        file_images: Images in an epoch from files, those of the data as often as it takes.
        workers: Processes that load data.
        norms: Channels, heights and widths for batch norm.
        tests: Paths of tests.
    """

    small: str = "rtmo-s"
    large: str = "rtmo-l"
    size: int = 640
    batch_size: int = 32
    more_images: tuple[int, ...] = (128, 256)
    steps: int = 30
    curve: int = 100
    file_images: int = 6600
    workers: int = 16
    norms: tuple[tuple[int, int], ...] = ((32, 320), (64, 160), (128, 80), (256, 40))
    tests: tuple[str, ...] = (
        "tests/engine/test_gpu_training.py",
        "tests/engine/test_no_wait.py",
        "tests/engine/test_optim_wrapper.py",
        "tests/engine/test_largest_batch.py",
        "tests/models/heads/test_loss_check.py",
        "tests/pose/checkpoints/test_gpu_prediction.py",
        "tests/export/test_engine_file.py",
        "tests/runtime/test_execution_providers.py",
        "tests/runtime/test_torch_devices.py",
        "tests/engine/test_gpu_interruption.py",  # the slowest last
        "tests/export/test_compiled_file.py",
    )


TINY = Scale("rtmo-t", "rtmo-t", 64, 2, (4,), 2, 4, 4, 2, ((8, 8),), ("tests/models/heads/test_loss_check.py",))


class Setting:
    """Data and sizes of all parts.

    Args:
        data_root: Folder with ``coco/train2017``.
        scale: Sizes of the measurement.
    """

    def __init__(self, data_root: str, scale: Scale) -> None:
        self.data_root, self.scale = data_root, scale

    def make_batches(self, num_images: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a packed batch in pinned memory and the same as lists, for MMPose; images repeat after 32."""
        from benchmarks.training_samples import build_dataset, load_ours
        from rtmo_plugin.data.batch_collation import pack_batch

        dataset = build_dataset(load_ours(self.data_root))
        np.random.seed(0)  # noqa: NPY002  (the generator that transforms draw from)
        samples = [dataset[index % len(dataset)] for index in range(min(num_images, 32))]
        packed = pack_batch([samples[index % len(samples)] for index in range(num_images)])
        images, people, side = packed["inputs"], packed["data_samples"], self.scale.size
        height, width = images.shape[2:]
        if (height, width) != (side, side):
            images = functional.interpolate(images.float(), (side, side)).byte()
            people = people.resize((side / width, side / height), (side, side))
        if torch.cuda.is_available():
            images, people = images.pin_memory(), people.pin_memory()
        return {"inputs": images, "data_samples": people}, {"inputs": list(images), "data_samples": list(people)}


def measure_small(setting: Setting) -> Iterator[Row]:
    """Yield the training steps of the small model and of MMPose's."""
    yield from _measure_steps(setting, setting.scale.small, setting.scale.batch_size, ("ours", "theirs", "plain"))


def measure_more_images(setting: Setting) -> Iterator[Row]:
    """Yield the training steps of the small model with more images."""
    for num_images in setting.scale.more_images:
        yield from _measure_steps(setting, setting.scale.small, num_images, ("ours", "plain"))


def measure_large(setting: Setting) -> Iterator[Row]:
    """Yield the training steps of the largest model."""
    yield from _measure_steps(setting, setting.scale.large, setting.scale.batch_size, ("ours", "theirs", "plain"))


def measure_compiled(setting: Setting) -> Iterator[Row]:
    """Yield the training step of the small model, compiled."""
    yield from _measure_steps(setting, setting.scale.small, setting.scale.batch_size, ("compiled",))


def _measure_steps(setting: Setting, recipe: str, num_images: int, names: tuple[str, ...]) -> Iterator[Row]:
    from benchmarks.training_step import Side, build_model

    sides = {
        "ours": {
            "rtmo_plugin, bf16": Side(is_ours=True, amp=True, graphs=True),
            "rtmo_plugin, fp32": Side(is_ours=True, amp=False, graphs=True),
        },
        "plain": {"rtmo_plugin, bf16, --no-graphs": Side(is_ours=True, amp=True)},
        "compiled": {"rtmo_plugin, bf16, --compile": Side(is_ours=True, amp=True, compiled=True)},
        "theirs": {"MMPose, fp32": Side(is_ours=False, amp=False)},
    }
    if torch.cuda.is_available():  # MMEngine's mixed precision is for GPUs
        sides["theirs"]["MMPose, bf16"] = Side(is_ours=False, amp=True)
    packed, listed = setting.make_batches(num_images)
    weights = build_model(Side(is_ours=False, amp=False, recipe=recipe)).state_dict()
    for name in names:
        for title, side in sides[name].items():
            batch = packed if side.is_ours else listed
            measure = partial(_measure_side, replace(side, recipe=recipe), batch, num_images, weights, setting)
            yield _measure_row(f"{recipe}, {num_images} images: {title}", measure)
            gc.collect()


def _measure_side(side: Any, batch: Any, num_images: int, weights: dict[str, torch.Tensor], setting: Setting) -> Row:
    from benchmarks.training_step import TrainingStep

    step = TrainingStep(side, batch, weights)
    milliseconds, reserved, loss = _time_steps(step, setting.scale.steps)
    speed = {"ms": milliseconds, "images_per_s": num_images * 1000 / milliseconds}
    return {**speed, "reserved_mb": reserved, "remark": f"first loss {loss:.2f}"}


def _measure_row(name: str, measure: Callable[[], Row]) -> Row:
    """Return a row with what a function measures, or with the reason why it cannot."""
    try:
        return {"name": name, **measure()}
    except (RuntimeError, ImportError, LookupError, OSError, *_WRONG_CALLS) as error:  # too little memory among them
        reason = (str(error).splitlines() or [""])[0]
        return {"name": name, "remark": f"failed: {type(error).__name__}: {reason}"}


def _time_steps(step: Callable[[], float], num_steps: int) -> tuple[float, float | None, float]:
    """Return milliseconds a step, the most GPU memory that PyTorch reserved, in MB, and the first loss.

    Memory is counted from before the first step: replays of CUDA graphs reserve none, and what graphs use between two
    replays counts as free.
    """
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    first = step()
    for _ in range(min(num_steps, 5)):
        step()
    _wait()
    start = time.perf_counter()
    for _ in range(num_steps):
        step()
    _wait()
    seconds = time.perf_counter() - start
    return seconds * 1000 / num_steps, torch.cuda.max_memory_reserved() / 2**20 if has_gpu else None, first


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def compare_curves(setting: Setting) -> Iterator[Row]:
    """Yield the loss curves of the small model in float32, with graphs and without, over two sizes of images."""
    from benchmarks.training_step import Side, TrainingStep

    packed, _ = setting.make_batches(setting.scale.batch_size)
    half = setting.scale.size // 2 + 32
    images = functional.interpolate(packed["inputs"].float(), (half, half)).byte()
    people = packed["data_samples"].resize((half / setting.scale.size,) * 2, (half, half))
    batches = (packed, {"inputs": images, "data_samples": people})
    curves = []
    for graphs in (False, True):
        torch.manual_seed(0)
        step = TrainingStep(Side(is_ours=True, amp=False, graphs=graphs, recipe=setting.scale.small), packed)
        losses = [step(batches[number % 2]) for number in range(setting.scale.curve + 1)]
        curves.append(losses[1:] if graphs and torch.cuda.is_available() else losses[:-1])  # read one step late
        del step
        gc.collect()
    shown = sorted({0, len(curves[0]) // 10, len(curves[0]) - 1})
    for title, curve in zip(("without graphs", "with graphs"), curves):
        values = ", ".join(f"{curve[number]:.4f} ({number + 1})" for number in shown)
        yield {"name": f"loss curve {title}", "remark": f"loss (step): {values}"}
    apart = max(abs(one - other) / abs(one) for one, other in zip(*curves))
    yield {"name": "loss curves apart", "remark": f"by at most {apart:.1e} of the loss"}


def measure_files(setting: Setting) -> Iterator[Row]:
    """Yield the speed from JPEG files to weights through ``tools/train.py``, with multi-scale training."""
    scale = setting.scale
    with tempfile.TemporaryDirectory() as folder:
        _repeat_images(Path(setting.data_root), Path(folder), scale.file_images)
        for options in ([], ["--no-graphs"]):
            work_dir = Path(folder, f"run{len(options)}")
            values = {
                "train_dataloader.num_workers": scale.workers,
                "train_dataloader.batch_size": scale.batch_size,
                "train_cfg.max_epochs": 1,
                "default_hooks.logger.interval": min(
                    10, scale.file_images // scale.batch_size // 2
                ),  # one size of images
            }
            command = [sys.executable, str(ROOT / "tools/train.py"), f"{scale.small}_coco", "--data-root", folder]
            command += ["--work-dir", str(work_dir), "--amp", "--from-scratch", "--no-validate", *options]
            command += ["--cfg-options", *(f"{key}={value}" for key, value in values.items())]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            name = f"{scale.small}, {scale.batch_size} images from files: {' '.join(['--amp', *options])}"
            sentences = [line for line in (done.stdout + done.stderr).splitlines() if UNUSED in line]
            yield from ({"name": name, "remark": line.strip()} for line in sentences)
            if done.returncode:
                yield {"name": name, "remark": (done.stderr.strip().splitlines() or ["failed"])[-1]}
                continue
            (path,) = work_dir.glob("*/vis_data/scalars.json")
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            steps = [line for line in lines if "data_time" in line]
            steps = steps[len(steps) // 3 :]  # the first ones start workers and see most sizes for the first time
            usual = statistics.median(line["time"] for line in steps)
            steps = [line for line in steps if line["time"] <= 2 * usual]  # without recordings of another size
            seconds, waiting = (statistics.fmean(line[key] for line in steps) for key in ("time", "data_time"))
            yield {
                "name": name,
                "ms": seconds * 1000,
                "images_per_s": scale.batch_size / seconds,
                "remark": f"waits for data {waiting / seconds:.0%} of the time",
            }


def _repeat_images(source: Path, folder: Path, num_images: int) -> None:
    """Write COCO's training set into a folder: its first images, or all of them several times."""
    (folder / "coco/annotations").mkdir(parents=True)
    (folder / "coco/train2017").symlink_to((source / "coco/train2017").resolve())
    name = "coco/annotations/person_keypoints_train2017.json"
    content = json.loads((source / name).read_text())
    people: dict[int, list[dict[str, Any]]] = {}
    for person in content["annotations"]:
        people.setdefault(person["image_id"], []).append(person)
    images, annotations = [], []
    for number, image in enumerate(islice(cycle(content["images"]), num_images), start=1):
        images.append({**image, "id": number})
        annotations += [{**person, "image_id": number} for person in people.get(image["id"], ())]
    annotations = [{**person, "id": number} for number, person in enumerate(annotations, start=1)]
    (folder / name).write_text(json.dumps({**content, "images": images, "annotations": annotations}))


def compare_norms(setting: Setting) -> Iterator[Row]:
    """Yield the time of channels-last batch norm with SiLU, forward and backward, in the types of mixed precision.

    Where PyTorch says which kernels it chooses, the remark names them, and what is the same without cuDNN is not
    measured again.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    types = (torch.bfloat16, torch.float16) if device == "cuda" else (torch.bfloat16,)
    for (channels, size), dtype in product(setting.scale.norms, types):
        norm = nn.Sequential(nn.BatchNorm2d(channels), nn.SiLU()).to(device)
        maps = torch.randn(setting.scale.batch_size, channels, size, size, device=device).to(dtype)
        maps = maps.contiguous(memory_format=torch.channels_last).requires_grad_()
        kernels = {has_cudnn: _name_kernels(norm[0], maps, has_cudnn) for has_cudnn in (True, False)}
        kinds: dict[str, tuple[Any, bool]] = {"cuDNN on": (norm, True)}
        if kernels[True] is None or kernels[True] != kernels[False]:
            kinds["cuDNN off"] = (norm, False)
        if device == "cuda" and dtype == torch.bfloat16:
            kinds["inductor"] = (torch.compile(norm, dynamic=False), True)
        for kind, (network, has_cudnn) in kinds.items():
            title = f"batch norm, {channels} x {size} x {size}, {str(dtype).removeprefix('torch.')}: {kind}"
            remark = {"remark": f"kernels: {kernels[has_cudnn]}"} if network is norm and kernels[has_cudnn] else {}
            row = _measure_row(title, partial(_time_norm, network, maps, has_cudnn, setting.scale.steps))
            yield {**remark, **row}


def _time_norm(network: Any, maps: torch.Tensor, has_cudnn: bool, num_steps: int) -> Row:
    def step() -> float:
        network(maps).sum().backward()
        return 0.0

    with torch.backends.cudnn.flags(enabled=has_cudnn):
        return {"ms": _time_steps(step, num_steps)[0]}


def _name_kernels(norm: Any, maps: torch.Tensor, has_cudnn: bool) -> str | None:
    """Return whose kernels PyTorch chooses for batch norm in training, or None if it does not say."""
    choose = getattr(torch._C, "_select_batch_norm_backend", None)  # PyTorch 2.4 and newer
    if choose is None:
        return None
    with torch.backends.cudnn.flags(enabled=has_cudnn):
        chosen = choose(maps, norm.weight, norm.bias, norm.running_mean, norm.running_var, True, norm.eps)
    return str(chosen.name)


def run_tests(setting: Setting) -> Iterator[Row]:
    """Yield the result of the tests that are marked ``gpu``; each test is a line on stderr."""
    command = [sys.executable, "-m", "pytest", "-v", "--tb=line", "-m", "gpu", "-p", "no:cacheprovider"]
    command += ["-n", str(_TEST_PROCESSES)] if find_spec("xdist") else []  # most of their time is that of the CPU
    with subprocess.Popen(
        [*command, *setting.scale.tests], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        line = ""
        for line in process.stdout:
            print(line, end="", file=sys.stderr, flush=True)
            if " FAILED " in line or " ERROR " in line or line.startswith(("FAILED", "ERROR")):
                yield {"name": "pytest -m gpu", "remark": line.strip()}
    yield {"name": "pytest -m gpu", "remark": line.strip(" =\n")}


# Most important first, with the seconds that each may take.
PARTS: dict[str, tuple[Callable[[Setting], Iterator[Row]], int]] = {
    "small": (measure_small, 90),
    "more-images": (measure_more_images, 80),
    "large": (measure_large, 80),
    "files": (measure_files, 160),
    "curves": (compare_curves, 60),
    "tests": (run_tests, 200),
    "norms": (compare_norms, 50),
    "compiled": (measure_compiled, 150),
}


def main() -> None:
    """Measure one part and print its rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    with contextlib.suppress(BrokenPipeError):
        for row in PARTS[given.part][0](Setting(given.data_root, TINY if given.tiny else Scale())):
            print(f"{ROW}{json.dumps(row)}", flush=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
