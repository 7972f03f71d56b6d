"""Random numbers of training as a function of seed, epoch and sample, so that a run can be resumed anywhere."""

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
    """Seed all random numbers of this process before each sample.

    A sample is then the same in every worker, and with any number of workers.

    Args:
        dataset: Dataset that makes the samples.
        seed: Seed of the run.
        epoch: Current epoch, a tensor of shape () in memory that workers share: they may outlive an epoch.
    """

    def __init__(self, dataset: Dataset[Any], seed: int, epoch: torch.Tensor) -> None:
        super().__init__(dataset)
        self._seed, self._epoch = seed, epoch

    def __getitem__(self, index: int) -> Any:
        _seed_generators(self._seed, int(self._epoch), index)
        return self.dataset[index]


def _seed_generators(*key: int) -> None:
    """Seed the global generators of Python, NumPy and torch's CPU, from which transforms draw."""
    words = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])  # noqa: NPY002  (transforms of MMCV and MMPose draw from the global generator)
    torch.default_generator.manual_seed(int(words[2]))


@HOOKS.register_module()
class RandomnessHook(Hook):
    """Begin each epoch, and each of its training samples, with random numbers of their own.

    MMEngine seeds once, so that the numbers of an epoch depend on all that was drawn before, which
    a resumed run does not know; and it gives workers that do not persist the same numbers in each
    epoch.
    """

    priority = "BELOW_NORMAL"  # after the stage's dataloader is there and guarded

    def __init__(self) -> None:
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed this process, and tell the epoch to the workers."""
        self._epoch.fill_(runner.epoch)
        wrap_training_data(runner, SeededDataset, runner.seed, self._epoch)
        _seed_generators(runner.seed, runner.epoch)
        torch.manual_seed(torch.initial_seed())  # on GPUs as well
