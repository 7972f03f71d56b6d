"""Train on in spite of a few broken images or records, and say which."""

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
from torch.utils.data import Dataset

from rtmo_plugin.engine.wrapped_data import WrappedDataset, wrap_training_data
from rtmo_plugin.errors import DataError
from rtmo_plugin.registry import HOOKS

# What readers and transforms raise on files that are missing, cut short or no images, and on records
# with fields that are missing, of another type or of another shape.
_SIGNS = (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, cv2.error)
_NUM_TRIES = 10
_NOTE = "skipped_samples"
_TARGETS = ("bboxes", "keypoints", "areas")


class BrokenSamplesError(DataError):
    """So many samples are broken that training on the others makes no sense."""

    def __init__(self, message: str) -> None:
        # Loading workers hand over an error with the whole traceback in its message.
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


class ForgivingDataset(WrappedDataset):
    """Replace a sample that cannot be made by another one, which carries a note of it.

    Raises:
        BrokenSamplesError: Several samples in a row cannot be made.
    """

    def __getitem__(self, index: int) -> Any:
        notes: list[str] = []
        for _ in range(_NUM_TRIES):
            try:
                sample = self.dataset[index]
                _check_targets(sample)
            except _SIGNS as error:
                notes.append(_describe(self.dataset, index, error))
                index = random.randrange(len(self))
            else:
                if notes:
                    sample["data_samples"].set_metainfo({_NOTE: notes})
                return sample
        raise BrokenSamplesError(f"{_NUM_TRIES} training samples in a row are broken, the last one: {notes[-1]}.")


def _check_targets(sample: Any) -> None:
    """Raise ``ValueError`` if a record has non-finite numbers: the loss would be NaN, and end the run."""
    packed = sample.get("data_samples", {}) if isinstance(sample, dict) else {}
    labels = packed.get("gt_instance_labels", {})
    for name in _TARGETS:
        if name in labels and not torch.as_tensor(labels.get(name)).isfinite().all():
            raise ValueError(f"its {name} are not finite")


def _describe(dataset: Dataset[Any], index: int, error: Exception) -> str:
    reason = f"{' '.join(str(error).split()) or 'no reason given'} ({type(error).__name__})"
    if os.sep in reason:  # names a file, perhaps another one that a mosaic needed
        return reason
    try:
        return f"{dataset.get_data_info(index)['img_path']}: {reason}"
    except _SIGNS:
        return f"sample {index}: {reason}"


def read_notes(data_samples: Iterable[BaseDataElement]) -> Iterator[str]:
    """Yield what is noted in a batch about samples that were replaced."""
    for sample in data_samples:
        yield from sample.metainfo.get(_NOTE, ())


@HOOKS.register_module()
class BrokenSampleHook(Hook):
    """Skip training images and records that are broken; count them, name them in the log, and stop at a limit.

    Each is named once, however often it comes, by the process that met it; the numbers are of one
    process and of one start.  Evaluation forgives nothing: its AP would be of other images.

    Args:
        max_broken: Largest number of distinct broken samples; one more stops the run.

    Raises:
        BrokenSamplesError: In training, by that limit or after several in a row.
    """

    priority = 55  # after the stage's dataloader is there, before RandomnessHook, whose seed the choice needs

    def __init__(self, max_broken: int = 100) -> None:
        self._max_broken = max_broken
        self._found: set[str] = set()

    def before_train_epoch(self, runner: Runner) -> None:
        """Guard the epoch's dataset."""
        wrap_training_data(runner, ForgivingDataset)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Read what the loading workers noted in this batch."""
        if not isinstance(data_batch, dict):
            return
        # MMEngine logs only errors of processes other than the first.
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
        """Log how many there were."""
        if self._found:
            runner.logger.warning(f"Broken training samples skipped: {len(self._found)}; each is named above.")
