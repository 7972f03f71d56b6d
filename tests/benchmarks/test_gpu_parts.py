"""The measurement on a GPU, tried without one: parts that work, fail, and take too long."""

import json
import multiprocessing
import os
import re
import signal
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from benchmarks import gpu_parts, gpu_training, training_step
from benchmarks.gpu_parts import PARTS, ROOT, TINY, Scale, Setting
from benchmarks.subjects import COMMAND
from rtmo_plugin.cli.command import run_command
from rtmo_plugin.engine.hooks.network_graphs import GraphsHook
from rtmo_plugin.engine.hooks.no_wait import NoWaitHook
from rtmo_plugin.errors import ConfigError
from tests.replays import MemoryRecorder


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Return a function that lets a script take the place of the process of a part."""

    def write(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    monkeypatch.setattr(gpu_training, "_SHORTEST", 0.0)
    return write


def run_part(limit=60.0):
    return list(gpu_training._run_part("small", "data", True, limit))


def test_rows_of_a_part_that_hangs_are_kept(stand_in):
    stand_in("""echo noise; echo 'row {"name": "ours", "ms": 2.5}'; sleep 600""")
    assert run_part(2.0) == [{"name": "ours", "ms": 2.5}, {"name": "small", "remark": "stopped after 2 s"}]


def test_a_part_that_hangs_says_how_far_it_came(stand_in):
    stand_in("echo 'test_gpu_training.py::test_graphs PASSED [ 50%]' >&2; sleep 600")
    assert run_part(2.0)[-1]["remark"].startswith("stopped after 2 s, and its last line is: test_gpu_training.py::test")


def test_warnings_and_the_reason_of_a_failure_are_rows(stand_in):
    stand_in("echo 'CUDA graphs are not used: no GPU.' >&2; echo 'RuntimeError: out of memory' >&2; exit 1")
    assert [row["remark"] for row in run_part()] == [
        "CUDA graphs are not used: no GPU.",
        "failed: RuntimeError: out of memory",
    ]


def test_a_part_without_time_is_left_out():
    assert run_part(-1.0) == [{"name": "small", "remark": "left out: no time is left"}]


def test_unknown_parts_are_refused():
    with pytest.raises(ConfigError, match="--parts: 'steps' is unknown; choose from small, more-images, large"):
        gpu_training.run(parts="small,steps")


def test_command_measures_a_part_and_reports_it(data_root, capsys):
    report = gpu_training.run(data_root=data_root, parts="norms", tiny=True)
    names = [side["name"] for side in report.sides]
    assert names[0] == "batch norm, 8 x 8 x 8, bfloat16: cuDNN on"
    assert names[1:] in ([], ["batch norm, 8 x 8 x 8, bfloat16: cuDNN off"])  # where PyTorch does not name its kernels
    assert all(side["ms"] > 0 for side in report.sides)
    assert "batch norm, 8 x 8 x 8, bfloat16: cuDNN on" in capsys.readouterr().err
    content = json.loads(json.dumps(report.describe()))
    assert content["command"].startswith("python -m benchmarks gpu-training --minutes 9 --parts norms --tiny")


def test_a_killed_command_leaves_the_rows_that_it_knew(tmp_path, monkeypatch):
    def run_part(name, *_):
        if name == "large":
            os.kill(os.getpid(), signal.SIGKILL)
        yield {"name": name, "ms": 2.5}
        yield {"name": name, "remark": "the last row"}

    monkeypatch.setattr(gpu_training, "_run_part", run_part)
    arguments = [
        "gpu-training",
        "--parts",
        "small,large,norms",
        "--data-root",
        "data",
        "--out",
        str(tmp_path / "out.json"),
    ]
    process = multiprocessing.get_context("fork").Process(target=run_command, args=(COMMAND, "benchmarks", arguments))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["sides"] == [{"name": "small", "ms": 2.5}, {"name": "small", "remark": "the last row"}]
    assert content["hardware"]["processor"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


class LowMemoryStep:
    """Stand-in for the training step of a side, of which one cannot be built."""

    def __init__(self, side, batch, weights):
        if not side.amp:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    def __call__(self):
        return 1.25


def test_a_side_that_fails_is_a_row_and_the_others_are_measured(data_root, monkeypatch):
    monkeypatch.setattr(training_step, "TrainingStep", LowMemoryStep)
    rows = list(gpu_parts.measure_small(Setting(str(data_root), TINY)))
    found = [(row["name"].removeprefix("rtmo-t, 2 images: "), row["remark"]) for row in rows]
    failed = "failed: OutOfMemoryError: CUDA out of memory."
    expected = [
        ("rtmo_plugin, bf16", "first loss 1.25"),
        ("rtmo_plugin, fp32", failed),
        ("MMPose, fp32", failed),
        ("MMPose, bf16", "first loss 1.25"),
        ("rtmo_plugin, bf16, --no-graphs", "first loss 1.25"),
    ]
    assert found == [each for each in expected if torch.cuda.is_available() or each[0] != "MMPose, bf16"]


def test_memory_is_what_is_reserved_from_the_first_step_on(monkeypatch):
    """Replays reserve none, so that a peak of later steps lacks the memory of CUDA graphs."""
    calls = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name, value in {
        "empty_cache": 0,
        "reset_peak_memory_stats": 0,
        "synchronize": 0,
        "max_memory_reserved": 7,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda name=name, value=value: calls.append(name) or value << 20)
    _, reserved, first = gpu_parts._time_steps(lambda: calls.append("step") or 0.5, 2)
    assert (reserved, first) == (7.0, 0.5)
    assert [name for name in calls if name != "synchronize"] == [
        "empty_cache",
        "reset_peak_memory_stats",
        *["step"] * 5,
        "max_memory_reserved",
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_kernels_of_batch_norm_are_those_that_pytorch_names(monkeypatch, dtype):
    norm, maps = torch.nn.BatchNorm2d(8), torch.zeros(2, 8, 4, 4, dtype=dtype)
    kinds = SimpleNamespace(Cudnn=SimpleNamespace(name="Cudnn"), Native=SimpleNamespace(name="Native"))

    def choose(maps, weight, *_):
        return kinds.Cudnn if torch.backends.cudnn.enabled and maps.dtype != torch.bfloat16 else kinds.Native

    monkeypatch.setattr(torch._C, "_select_batch_norm_backend", choose, raising=False)
    found = [gpu_parts._name_kernels(norm, maps, has_cudnn) for has_cudnn in (True, False)]
    assert found == ["Native" if dtype == torch.bfloat16 else "Cudnn", "Native"]
    monkeypatch.delattr(torch._C, "_select_batch_norm_backend")
    assert gpu_parts._name_kernels(norm, maps, True) is None


def test_norms_without_cudnn_are_measured_where_their_kernels_are_others_or_unknown(monkeypatch):
    setting = Setting("data", TINY)
    for names, kinds in {("Native", "Native"): 1, ("Cudnn", "Native"): 2, (None, None): 2}.items():
        monkeypatch.setattr(gpu_parts, "_name_kernels", lambda norm, maps, on, names=names: names[0 if on else 1])
        rows = list(gpu_parts.compare_norms(setting))
        found = [row for row in rows if "inductor" not in row["name"] and "bfloat16" in row["name"]]
        assert [row.get("remark") for row in found] == [name and f"kernels: {name}" for name in names[:kinds]]


@pytest.mark.parametrize("num_images", [3, 10])
def test_an_epoch_from_files_has_as_many_images_as_asked_for(data_root, tmp_path, num_images):
    gpu_parts._repeat_images(data_root, tmp_path, num_images)
    name = "coco/annotations/person_keypoints_train2017.json"
    source, found = (json.loads((folder / name).read_text()) for folder in (data_root, tmp_path))
    names = [image["file_name"] for image in source["images"]]
    assert [image["file_name"] for image in found["images"]] == [names[number % 4] for number in range(num_images)]
    assert [image["id"] for image in found["images"]] == list(range(1, num_images + 1))
    assert [person["id"] for person in found["annotations"]] == list(range(1, len(found["annotations"]) + 1))
    for number, image in enumerate(found["images"]):
        people = [each["keypoints"] for each in found["annotations"] if each["image_id"] == image["id"]]
        original = source["images"][number % 4]["id"]
        assert people == [each["keypoints"] for each in source["annotations"] if each["image_id"] == original]
    assert found["annotations"]
    assert (tmp_path / "coco/train2017" / names[0]).is_file()


def test_the_slowest_tests_come_last():
    assert Scale().tests[-2:] == ("tests/engine/test_gpu_interruption.py", "tests/export/test_compiled_file.py")


def test_a_compiled_step_does_not_wait_either(data_root, monkeypatch):
    monkeypatch.setattr(training_step, "NoWaitHook", partial(NoWaitHook, ("cpu",)))
    monkeypatch.setattr(
        training_step, "compile_network", lambda model: None
    )  # compiles for minutes, to the same numbers
    batch, _ = Setting(str(data_root), TINY).make_batches(2)
    side = training_step.Side(is_ours=True, amp=False, compiled=True, recipe=TINY.small)
    step = training_step.TrainingStep(side, batch)
    first, second, third = (step() for _ in range(3))
    assert first == second > third > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_every_part_runs_in_small(data_root, name):
    rows = list(PARTS[name][0](Setting(str(data_root), TINY)))
    assert rows
    assert not any("rror" in str(row.get("remark")) for row in rows)


def test_a_step_with_the_hooks_of_gpus_returns_the_loss_of_the_step_before(data_root, monkeypatch):
    monkeypatch.setattr(training_step, "NoWaitHook", partial(NoWaitHook, ("cpu",)))
    monkeypatch.setattr(training_step, "GraphsHook", partial(GraphsHook, MemoryRecorder()))
    batch, _ = Setting(str(data_root), TINY).make_batches(2)
    side = training_step.Side(is_ours=True, amp=False, graphs=True, recipe=TINY.small)
    step = training_step.TrainingStep(side, batch)
    first, second, third = (step() for _ in range(3))
    assert first == second > third > 0


def test_both_sides_get_the_same_batch(data_root):
    packed, listed = Setting(str(data_root), TINY).make_batches(5)
    assert packed["inputs"].shape == (5, 3, 64, 64)
    for image, sample, theirs, other in zip(*packed.values(), *listed.values(), strict=True):
        assert bool((image == theirs).all())
        assert sample.gt_instance_labels.keypoints.shape == other.gt_instance_labels.keypoints.shape
        assert float(sample.gt_instance_labels.bboxes.max()) < 2 * 64


def test_every_test_for_gpus_is_run():
    marked = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"^(@pytest|pytestmark = pytest)\.mark\.gpu$", path.read_text(), re.M)
    }
    assert set(Scale().tests) == marked


def test_sizes_are_those_of_the_recipes():
    assert (Scale().size, Scale().batch_size, Scale().more_images) == (640, 32, (128, 256))
    assert sum(limit for _, limit in PARTS.values()) < 900
