"""Random numbers of training as a function of seed, epoch and sample, so a resumed run gets the same ones."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from rtmo_plugin.engine.wrapped_data import WrappedDataset, wrap_training_data
from rtmo_plugin.registry import HOOKS


class SeededDataset(WrappedDataset):
    """Dataset that seeds all random generators of the process before each sample.

    A sample is then the same in every worker and with any number of workers.

    Args:
        dataset: Dataset to wrap.
        seed: Seed of the run.
        epoch: Current epoch, a tensor of shape () in memory shared with the workers, which may outlive an epoch.
    """

    def __init__(self, dataset: Dataset[Any], seed: int, epoch: torch.Tensor) -> None:
        super().__init__(dataset)
        self._seed, self._epoch = seed, epoch

    def __getitem__(self, index: int) -> Any:
        _seed_generators(self._seed, int(self._epoch), index)
        return self.dataset[index]


def _seed_generators(*key: int) -> None:
    """Seed the global generators of Python, NumPy and torch (CPU), which transforms use."""
    words = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])  # noqa: NPY002  (transforms of MMCV and MMPose use the global generator)
    torch.default_generator.manual_seed(int(words[2]))


@HOOKS.register_module()
class RandomnessHook(Hook):
    """Seed the random generators for each epoch and for each training sample.

    MMEngine seeds once, so the random numbers of an epoch depend on all earlier draws, which a resumed
    run cannot repeat, and workers that do not persist get the same numbers in each epoch.
    """

    priority = "BELOW_NORMAL"  # after TrainingStageHook and BrokenSampleHook have prepared the dataloader

    def __init__(self) -> None:
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # torch does not annotate it

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed this process and pass the epoch to the workers."""
        self._epoch.fill_(runner.epoch)
        wrap_training_data(runner, SeededDataset, runner.seed, self._epoch)
        _seed_generators(runner.seed, runner.epoch)
        torch.manual_seed(torch.initial_seed())  # GPUs too
