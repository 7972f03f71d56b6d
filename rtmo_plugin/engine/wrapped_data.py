"""Wrappers around the training data of a run, whatever dataset the config builds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset


class WrappedDataset(Dataset[Any]):
    """A dataset around another; every attribute that it lacks is that of the inner one."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # torch declares no length

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # not there yet while a worker unpickles this object
            raise AttributeError(name)
        return getattr(self.dataset, name)


def list_wrappers(dataset: Dataset[Any]) -> Iterator[WrappedDataset]:
    """Yield the wrappers around a dataset, the outermost first."""
    while isinstance(dataset, WrappedDataset):
        yield dataset
        dataset = dataset.dataset


def wrap_training_data(runner: Runner, kind: type[WrappedDataset], *arguments: Any) -> None:
    """Put a wrapper of ``kind`` around the run's training dataset, unless there is one.

    Workers that were started already would not see it: call this before the first batch of a loader.
    """
    loader: DataLoader[Any] = runner.train_loop.dataloader
    if not any(isinstance(wrapper, kind) for wrapper in list_wrappers(loader.dataset)):
        # DataLoader refuses another dataset, because samplers go by the first one: this has its length.
        object.__setattr__(loader, "dataset", kind(loader.dataset, *arguments))
