"""The largest batch that fits: the search, and the steps that it tries."""

from functools import partial

import pytest
import torch

from rtmo_plugin.api import train
from rtmo_plugin.config.edits import choose_graphs, prepare_config
from rtmo_plugin.engine.hooks import network_graphs
from rtmo_plugin.engine.largest_batch import (
    find_batch_size,
    find_largest_batch,
    list_batch_sizes,
    plan_trial,
    prepare_trial,
)
from rtmo_plugin.engine.resuming import TrainingStart
from rtmo_plugin.engine.training import open_training
from rtmo_plugin.errors import ConfigError
from tests.replays import MemoryRecorder

OUT_OF_MEMORY = torch.cuda.OutOfMemoryError("CUDA out of memory")


class Memory:
    """Training that has room for a number of images, and notes the sizes of its batches."""

    def __init__(self, room, error=OUT_OF_MEMORY):
        self.room, self.tried, self._error = room, [], error

    def __call__(self, size):
        self.tried.append(size)
        if size > self.room:
            raise self._error


SIZES = list_batch_sizes(1000)


@pytest.mark.parametrize(
    "words",
    [
        "GET was unable to find an engine to execute this computation",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_libraries_without_memory_for_a_workspace_are_out_of_memory(words):
    assert find_largest_batch(Memory(48, RuntimeError(words)), SIZES) == 48
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        find_largest_batch(Memory(48, RuntimeError("mat1 and mat2 shapes cannot be multiplied")), SIZES)


@pytest.mark.parametrize(
    ("room", "largest"), [(1, 1), (2, 2), (3, 3), (47, 32), (48, 48), (100, 96), (768, 768), (1e9, 768)]
)
def test_search_finds_the_largest_size_that_fits(room, largest):
    memory = Memory(room)
    assert find_largest_batch(memory, SIZES) == largest
    assert len(memory.tried) <= len(SIZES) // 2 + 2
    assert sum(size > room for size in memory.tried) <= 2
    assert max(memory.tried) <= 4 * room


@pytest.mark.parametrize("num_sizes", range(1, 12))
def test_search_is_right_for_any_number_of_sizes(num_sizes):
    sizes = list(range(1, num_sizes + 1))
    assert [find_largest_batch(Memory(room), sizes) for room in sizes] == sizes


def test_search_says_when_nothing_fits():
    with pytest.raises(ConfigError, match="A batch of 1 does not fit into the memory of the GPU"):
        find_largest_batch(Memory(0), SIZES)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def fail(_):
        raise RuntimeError("another error")

    with pytest.raises(RuntimeError, match="another error"):
        find_largest_batch(fail, SIZES)


def test_sizes_are_those_that_divide_the_total_batch():
    assert list_batch_sizes(10**6, num_processes=8, total_batch=256) == [1, 2, 4, 8, 16, 32]
    assert list_batch_sizes(6, num_processes=1, total_batch=256) == [1, 2, 4]
    assert list_batch_sizes(0) == [1]
    assert list_batch_sizes(10**9)[-1] == 65_536
    with pytest.raises(ConfigError, match="not a multiple of the 3 processes"):
        list_batch_sizes(100, num_processes=3, total_batch=256)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is for machines without a GPU")
def test_without_a_gpu_a_number_is_asked_for(config, data_root, tmp_path):
    with pytest.raises(ConfigError, match=r"--batch-size auto needs a GPU.*: on CPUs name a number"):
        train(config, data_root=data_root, work_dir=tmp_path / "run", batch_size="auto", total_batch=8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", ["many", 0, 2.5])
def test_other_batch_sizes_are_refused(config, data_root, tmp_path, size):
    with pytest.raises(ConfigError, match="batch_size must be"):
        train(config, data_root=data_root, work_dir=tmp_path / "run", batch_size=size)


def test_batch_size_of_a_config_without_training_data_is_refused(config):
    cfg = prepare_config(config)
    cfg.pop("train_dataloader")
    with pytest.raises(ConfigError, match="has no train_dataloader"):
        prepare_config(cfg, batch_size=4)


def test_number_goes_with_the_total_batch(config):
    cfg = prepare_config(config, batch_size=4, total_batch=8, cfg_options={"train_dataloader.batch_size": 16})
    assert cfg.train_dataloader.batch_size == 4
    assert cfg.optim_wrapper.accumulative_counts == 2
    assert prepare_config(config).train_dataloader.batch_size == 2  # the config's


@pytest.mark.parametrize("amp", [False, True])
def test_trial_trains_the_most_crowded_samples_at_the_largest_size(data_root, tmp_path, config, amp):
    cfg = prepare_config(config, data_root=data_root, work_dir=tmp_path / "run")
    augment = {"type": "rtmo_plugin.BatchRandomResize", "random_size_range": (32, 96), "size_divisor": 32}
    cfg.model.data_preprocessor.batch_augments = [augment]
    cfg.custom_hooks = [*cfg.custom_hooks, {"type": "rtmo_plugin.CompileHook"}]
    cfg.train_dataloader.update(num_workers=2, prefetch_factor=4, persistent_workers=True)
    if amp:
        cfg.optim_wrapper.type = "rtmo_plugin.AutocastOptimWrapper"
    before = cfg.pretty_text
    with open_training(plan_trial(cfg, str(tmp_path)), TrainingStart(from_scratch=True)) as (runner, _):
        shapes = []
        runner.model.backbone.register_forward_hook(lambda _, inputs, __: shapes.append(tuple(inputs[0].shape)))
        trial, memory = prepare_trial(runner), Memory(4)

        def train_within(size):
            trial(size)
            memory(size)

        assert find_largest_batch(train_within, list_batch_sizes(100)) == 4
    assert {shape[2:] for shape in shapes} == {(96, 96)}
    last = {size - 1 for size in memory.tried if size > 1}  # of an epoch
    assert {shape[0] for shape in shapes} == {*memory.tried, *last}
    assert cfg.pretty_text == before
    assert not (tmp_path / "run").exists()


class SmallRecorder(MemoryRecorder):
    """Has memory for two images."""

    def __call__(self, function, inputs):
        recording = super().__call__(function, inputs)
        if len(inputs[0]) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return recording


def test_graphs_have_to_fit_as_well(data_root, tmp_path, config, monkeypatch):
    recorder = SmallRecorder()
    monkeypatch.setattr(network_graphs, "CUDARecorder", lambda: recorder)
    cfg = prepare_config(config, [partial(choose_graphs, graphs=True, compiled=False)], data_root=data_root)
    with open_training(plan_trial(cfg, str(tmp_path)), TrainingStart(from_scratch=True)) as (runner, _):
        assert find_largest_batch(prepare_trial(runner), [1, 2, 3]) == 2
        assert "extract_feat" not in vars(runner.model)
    assert [shape[0] for shape in recorder.shapes] == [2, 3]  # and no smaller batch, as the last one of an epoch


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batch_of_a_gpu_fits_and_divides_the_total(config, data_root):
    cfg = prepare_config(config, data_root=data_root)
    assert find_batch_size(cfg) == 4  # of four images
    assert find_batch_size(cfg, total_batch=6) == 3
