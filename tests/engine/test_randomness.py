"""Random numbers of a sample: the same whichever process makes it, others in each epoch."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from rtmo_plugin.engine.hooks.randomness import RandomnessHook


class Draws(Dataset):
    """What each generator says, by index."""

    metainfo = "of the data"

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002


def make_runner(num_workers, *, persistent=False, seed=1):
    loader = DataLoader(
        Draws(), batch_size=2, num_workers=num_workers, persistent_workers=persistent, collate_fn=list, shuffle=True
    )
    return SimpleNamespace(seed=seed, epoch=0, train_loop=SimpleNamespace(dataloader=loader))


def draw_epochs(runner, epochs):
    """Return for each epoch what each index drew."""
    hook, drawn = RandomnessHook(), []
    for epoch in epochs:
        runner.epoch = epoch
        hook.before_train_epoch(runner)
        drawn.append({index: numbers for batch in runner.train_loop.dataloader for index, *numbers in batch})
    return drawn


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_sample_depends_on_seed_epoch_and_index_only():
    straight = draw_epochs(make_runner(0), range(3))
    assert draw_epochs(make_runner(2, persistent=True), range(3)) == straight
    assert draw_epochs(make_runner(1), [2]) == straight[2:]  # resumed, with another number of workers
    assert draw_epochs(make_runner(0, seed=2), range(3)) != straight


def test_no_number_comes_twice():
    drawn = [number for epoch in draw_epochs(make_runner(0), range(3)) for row in epoch.values() for number in row]
    assert len(set(drawn)) == 3 * 6 * 3


def test_process_itself_is_seeded_for_each_epoch():
    orders = [list(draw_epochs(make_runner(0), [epoch])[0]) for epoch in (0, 1, 0)]  # torch shuffles in this process
    assert orders[0] == orders[2] != orders[1]


def test_dataset_still_answers():
    runner = make_runner(0)
    draw_epochs(runner, range(2))
    dataset = runner.train_loop.dataloader.dataset
    assert (len(dataset), dataset.metainfo) == (6, "of the data")
    assert isinstance(dataset.dataset, Draws)  # wrapped once
