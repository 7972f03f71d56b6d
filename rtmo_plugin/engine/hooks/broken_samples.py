"""Tolerance for a few broken images or records in training, each of which is logged."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from rtmo_plugin.engine.wrapped_data import WrappedDataset, wrap_training_data
from rtmo_plugin.errors import DataError
from rtmo_plugin.packed_batch import PackedBatch
from rtmo_plugin.registry import HOOKS

# What readers and transforms raise on files that are missing, truncated or not images, and on records
# whose fields are missing or have the wrong type or shape.
_ERRORS = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    cv2.error,
)
_NUM_TRIES = 10
_NOTE = "skipped_samples"
_TARGETS = ("bboxes", "keypoints", "areas")


class BrokenSamplesError(DataError):
    """Too many training samples are broken to go on."""

    def __init__(self, message: str) -> None:
        # Data loader workers pass on an error with the whole traceback in its message.
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


class ForgivingDataset(WrappedDataset):
    """Dataset that replaces a broken sample by a random one with a note about it in its metainfo.

    Raises:
        BrokenSamplesError: Several samples in a row are broken.
    """

    def __getitem__(self, index: int) -> Any:
        notes: list[str] = []
        for _ in range(_NUM_TRIES):
            try:
                sample = self.dataset[index]
                _check_targets(sample)
            except _ERRORS as error:
                notes.append(_describe(self.dataset, index, error))
                index = random.randrange(len(self))
            else:
                if notes:
                    sample["data_samples"].set_metainfo({_NOTE: notes})
                return sample
        raise BrokenSamplesError(f"{_NUM_TRIES} training samples in a row are broken, the last one: {notes[-1]}.")


def _check_targets(sample: Any) -> None:
    """Raise ``ValueError`` if a record has non-finite numbers: the loss would be NaN and end the run."""
    packed = sample.get("data_samples", {}) if isinstance(sample, dict) else {}
    labels = packed.get("gt_instance_labels", {})
    for name in _TARGETS:
        if name in labels and not torch.as_tensor(labels.get(name)).isfinite().all():
            raise ValueError(f"its {name} are not finite")


def _describe(dataset: Any, index: int, error: Exception) -> str:
    reason = f"{' '.join(str(error).split()) or 'no reason given'} ({type(error).__name__})"
    if os.sep in reason:  # names a file already, perhaps another file of a mosaic
        return reason
    try:
        return f"{dataset.get_data_info(index)['img_path']}: {reason}"
    except _ERRORS:
        return f"sample {index}: {reason}"


def read_notes(data_samples: Iterable[BaseDataElement] | PackedBatch) -> Iterator[str]:
    """Yield the notes of a batch about replaced samples."""
    if isinstance(data_samples, PackedBatch):
        metainfos = tuple(data_samples.metainfos) if _NOTE in data_samples.metainfos.keys else ()
    else:
        metainfos = tuple(sample.metainfo for sample in data_samples)
    for metainfo in metainfos:
        yield from metainfo.get(_NOTE, ())


@HOOKS.register_module()
class BrokenSampleHook(Hook):
    """Skip broken training images and records: log each one, and stop the run above a limit.

    Each process logs a broken sample once and counts its own, from the start of the run or of its resumption.
    Evaluation does not skip samples, because its AP would then be of other images.

    Args:
        max_broken: Largest allowed number of distinct broken samples; the next one stops the run.

    Raises:
        BrokenSamplesError: During training, if the limit is exceeded or several samples in a row are broken.
    """

    priority = 55  # after TrainingStageHook (the dataloader), before RandomnessHook (the seed of replacements)

    def __init__(self, max_broken: int = 100) -> None:
        self._max_broken = max_broken
        self._found: set[str] = set()

    def before_train_epoch(self, runner: Runner) -> None:
        """Wrap the dataset of the epoch."""
        wrap_training_data(runner, ForgivingDataset)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Log the notes of the data loader workers about this batch."""
        if not isinstance(data_batch, dict):
            return
        # MMEngine logs only errors in processes other than the first.
        level = logging.WARNING if is_main_process() else logging.ERROR
        for note in sorted(set(read_notes(data_batch.get("data_samples", ()))) - self._found):
            self._found.add(note)
            runner.logger.log(level, f"Skipped broken training sample {len(self._found)}: {note}")
            if len(self._found) > self._max_broken:
                raise BrokenSamplesError(
                    f"Broken training samples: {len(self._found)}, and the limit is {self._max_broken} (max_broken of "
                    f"BrokenSampleHook); check the data with `rtmo dataset check`; the last one: {note}."
                )

    def after_train(self, runner: Runner) -> None:
        """Log the number of skipped samples."""
        if self._found:
            runner.logger.warning(f"Broken training samples skipped: {len(self._found)}; each is named above.")
