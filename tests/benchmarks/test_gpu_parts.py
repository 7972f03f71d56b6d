"""The measurement on a GPU, tried without one: parts that work, fail, and take too long."""

import json
import re
import sys
from functools import partial

import pytest

from benchmarks import gpu_training, training_step
from benchmarks.gpu_parts import PARTS, ROOT, TINY, Scale, Setting
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
    assert [side["name"] for side in report.sides] == [
        "batch norm, 8 x 8 x 8: cuDNN",
        "batch norm, 8 x 8 x 8: PyTorch's own",
    ]
    assert all(side["ms"] > 0 for side in report.sides)
    assert "batch norm, 8 x 8 x 8: cuDNN" in capsys.readouterr().err
    content = json.loads(json.dumps(report.describe()))
    assert content["command"].startswith("python -m benchmarks gpu-training --minutes 10 --parts norms --tiny")


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
