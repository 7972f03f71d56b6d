"""Transfer learning: a model starts from the weights of one with other keypoints or classes, matched by name.

A few weights depend on the keypoints, with one block of rows for each keypoint, and the class
scores on its classes.  The block of a keypoint with the same name (spelling apart, see ``keypoint_sides``)
is copied, and one that is new keeps the model's own random start.  All other weights are copied whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from rtmo_plugin.checkpoints.fit import StateDict, check_fits, compare_state_dicts, get_state_dict
from rtmo_plugin.errors import CheckpointError
from rtmo_plugin.keypoints.metainfo import read_names
from rtmo_plugin.keypoints.order import match_names
from rtmo_plugin.keypoints.sets import KEYPOINT_SCHEMAS

_OF_KEYPOINTS = re.compile(
    r"head\.(head_module\.out_kpt_(reg|vis)\.\d+|dcc\.(pose_to_kpts\.[01]|pos_enc|sigma_fc\.0))(\.\w+)?"
)
_OF_CLASSES = re.compile(r"head\.head_module\.out_cls\.\d+\.\w+")
_VISIBILITY, _SCORE = "head.head_module.out_kpt_vis.0.bias", "head.head_module.out_cls.0.bias"
_PERSON = ("person",)
ADVICE = "to take over what has the same name, pass --transfer-from in place of --load-from"


@dataclass(frozen=True)
class Transfer:
    """Weights of one model from which a model of other keypoints or classes starts.

    Attributes:
        source: Name of the checkpoint in messages.
        given: Keypoint names and class names of the checkpoint.
        wanted: Keypoint names and class names of the model.
    """

    source: str
    given: tuple[Sequence[str], Sequence[str]]
    wanted: tuple[Sequence[str], Sequence[str]]

    @property
    def keypoint_rows(self) -> dict[int, int]:
        """Index in the checkpoint of each keypoint of the model that it has."""
        return match_names(self.given[0], self.wanted[0])

    @property
    def class_rows(self) -> dict[int, int]:
        """Index in the checkpoint of each class; all start from the one class of a model that has but one."""
        if len(self.given[1]) == 1:
            return dict.fromkeys(range(len(self.wanted[1])), 0)
        return match_names(self.given[1], self.wanted[1])

    def apply(self, given: StateDict, initial: StateDict) -> dict[str, Tensor]:
        """Return ``given`` in the shapes of ``initial``, whose values stay where there is nothing to take over."""
        adapted = dict(given)
        for name in given.keys() & initial.keys():
            if given[name].ndim == 0:  # a counter
                continue
            if _OF_KEYPOINTS.fullmatch(name):
                adapted[name] = copy_rows(given[name], initial[name], self.keypoint_rows, *self._count(0))
            elif _OF_CLASSES.fullmatch(name):
                adapted[name] = copy_rows(given[name], initial[name], self.class_rows, *self._count(1))
        return adapted

    def _count(self, which: int) -> tuple[int, int]:
        return len(self.given[which]), len(self.wanted[which])

    def __str__(self) -> str:
        """Return lines that say what is taken over, what starts from random weights and what is not used."""
        (given, given_classes), (wanted, classes) = self.given, self.wanted
        rows, class_rows = self.keypoint_rows, self.class_rows
        unused = [name for index, name in enumerate(given) if index not in rows.values()]
        starts = [f"{name} from {given_classes[class_rows[i]]}" for i, name in enumerate(classes) if i in class_rows]
        new = [name for i, name in enumerate(classes) if i not in class_rows]
        lines = [
            f"{self.source} has {len(given)} keypoints, and the model {len(wanted)}: {len(rows)} have the same name",
            f"new, from random weights: {_join([name for i, name in enumerate(wanted) if i not in rows])}",
            f"not used:                 {_join(unused)}",
            f"classes:                  {_join(starts + [f'{name} new' for name in new])}",
        ]
        return "\n".join(lines)


def _join(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def copy_rows(given: Tensor, initial: Tensor, rows: Mapping[int, int], num_given: int, num_initial: int) -> Tensor:
    """Return ``initial`` with blocks of ``given``.

    Args:
        given: (num_given x R, ...), R rows for each keypoint or class.
        initial: (num_initial x R, ...).
        rows: Block of ``given`` for blocks of ``initial``.
        num_given: Number of blocks.
        num_initial: Number of blocks.

    Examples:
        >>> import torch
        >>> copy_rows(torch.tensor([1, 2, 3, 4]), torch.zeros(6, dtype=torch.int64), {2: 0}, 2, 3).tolist()
        [0, 0, 0, 0, 1, 2]
    """
    blocks = initial.clone().reshape(num_initial, -1, *initial.shape[1:])
    if rows:
        blocks[list(rows)] = given.reshape(num_given, -1, *given.shape[1:])[list(rows.values())].to(blocks)
    return blocks.flatten(0, 1)


def plan_transfer(checkpoint: Mapping[str, Any], path: Path, model: nn.Module, meta: Mapping[str, Any]) -> Transfer:
    """Return which weights of ``checkpoint`` fit ``model``.

    Args:
        checkpoint: Content of a file in MMEngine's format. Training notes the names of keypoints in it; published
            files have no names, and the keypoint set is found by the number of keypoints.
        path: Path of the checkpoint, for messages.
        model: Model with the keypoints and classes of the data set.
        meta: Metainfo of the data set.

    Raises:
        CheckpointError: It is not an RTMO model, has another size, or has unknown keypoints without names.
    """
    given, initial = get_state_dict(checkpoint), model.state_dict()
    if not {_VISIBILITY, _SCORE} <= given.keys() & initial.keys():
        raise CheckpointError(f"{path} cannot be transferred: it or the config is not an RTMO model.")
    noted = checkpoint.get("meta", {}).get("dataset_meta") or {}
    names = _list_names(noted, len(given[_VISIBILITY]))
    if names is None:
        raise CheckpointError(f"{path} does not say what its {len(given[_VISIBILITY])} keypoints are.")
    transfer = Transfer(
        path.name,
        (names, _list_classes(noted, len(given[_SCORE]))),
        (_list_names(meta, len(initial[_VISIBILITY])) or (), _list_classes(meta, len(initial[_SCORE]))),
    )
    check_fits(model, {"state_dict": transfer.apply(given, initial)}, path)
    return transfer


def is_transferable(checkpoint: Mapping[str, Any], model: nn.Module) -> bool:
    """Tell whether a checkpoint that does not fit differs only in keypoints and classes."""
    mismatch = compare_state_dicts(get_state_dict(checkpoint), model.state_dict())
    names = [shape.split(" ")[0] for shape in mismatch.shapes]
    return all(_OF_KEYPOINTS.fullmatch(name) or _OF_CLASSES.fullmatch(name) for name in names) and not mismatch.missing


def _list_names(meta: Mapping[str, Any], num_keypoints: int) -> tuple[str, ...] | None:
    """Return the keypoint names in a metainfo; those of the published keypoint set of that number if it has none."""
    names = read_names(meta)
    if names is not None and len(names) == num_keypoints:
        return names
    return next((each.names for each in KEYPOINT_SCHEMAS.values() if each.num_keypoints == num_keypoints), None)


def _list_classes(meta: Mapping[str, Any], num_classes: int) -> tuple[str, ...]:
    noted = tuple(meta.get("classes") or _PERSON)
    return noted if len(noted) == num_classes else tuple(f"class {index}" for index in range(num_classes))


class TransferHook(Hook):
    """Adapt the checkpoint that the runner loads, before its model and the moving average see it."""

    priority = "VERY_HIGH"

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Replace the weights in place, as MMEngine's hooks do."""
        initial = getattr(runner.model, "module", runner.model).state_dict()
        checkpoint["state_dict"] = self._transfer.apply(get_state_dict(checkpoint), initial)
