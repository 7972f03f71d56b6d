"""Compare a checkpoint with a model, and refuse one of another size or keypoint set.

MMEngine loads what fits and warns about the rest; a model with half its weights random then trains
or evaluates as if nothing had happened.  Here the whole state dict is compared first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from rtmo_plugin.checkpoints.name_checks import check_checkpoint_names
from rtmo_plugin.checkpoints.optimizer_state import check_optimizer_kind, list_parameters
from rtmo_plugin.errors import CheckpointError, NonFiniteError
from rtmo_plugin.keypoints.metainfo import make_dataset_meta

StateDict = Mapping[str, Tensor]

# Constants that MMPose's classes store as buffers and ours compute, and those of the preprocessor.
_DERIVED = re.compile(
    r"head\.dcc\.(x_bins|y_bins|spe\.dim_t)|head\.loss_oks\.sigmas|neck\.sincos_pos_enc\.dim_t|data_preprocessor\..*"
)
_SIZES = {24: "rtmo-t", 32: "rtmo-s", 48: "rtmo-m", 64: "rtmo-l"}  # by channels of the stem
_STEM = "backbone.stem.conv.conv.weight"
_VISIBILITY = re.compile(r"head\.head_module\.out_kpt_vis\.0\.weight")


@dataclass(frozen=True)
class Mismatch:
    """Differences between the state dict of a checkpoint and that of a model."""

    shapes: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.shapes or self.missing or self.unexpected)


def get_state_dict(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights by the model's own names, without the prefix of a parallel wrapper."""
    return {re.sub(r"^module\.", "", name): value for name, value in checkpoint["state_dict"].items()}


def compare_state_dicts(given: StateDict, expected: StateDict) -> Mismatch:
    """Compare a checkpoint's weights with a model's, apart from constants that need not be stored."""
    shapes = [
        f"{name} is {tuple(given[name].shape)} in the checkpoint and {tuple(value.shape)} in the model"
        for name, value in expected.items()
        if name in given and given[name].shape != value.shape
    ]
    missing = [n for n in expected if n not in given and not _is_optional(n)]
    unexpected = [n for n in given if n not in expected and not _is_optional(n)]
    return Mismatch(tuple(shapes), tuple(missing), tuple(unexpected))


def _is_optional(name: str) -> bool:
    return bool(_DERIVED.fullmatch(name)) or name.endswith("num_batches_tracked")


def check_fits(model: nn.Module, checkpoint: Mapping[str, Any], path: Path, advice: str = "") -> None:
    """Check that a checkpoint holds exactly the weights of ``model``, and was trained with its keypoints.

    Args:
        model: Model to load the weights into.
        checkpoint: Content of the file, from ``read_checkpoint``.
        path: Path of the checkpoint, for the message.
        advice: Remedy for the message.

    Raises:
        CheckpointError: It does not; the message names both models where it can tell, and the
            first parameter that differs.
        NonFiniteError: A weight is NaN or infinite.
    """
    given, expected = get_state_dict(checkpoint), model.state_dict()
    mismatch = compare_state_dicts(given, expected)
    if mismatch:
        words = "; ".join([_describe(given, expected, mismatch), *([advice] if advice else [])])
        raise CheckpointError(f"{path} does not fit the config: {words}.")
    check_finite_weights(given, path)
    schema = getattr(getattr(model, "head", None), "schema", None)
    if schema is not None:
        check_checkpoint_names(checkpoint, path, make_dataset_meta("model", schema), advice)


def load_weights(
    model: nn.Module, checkpoint: Mapping[str, Any], path: Path, metainfo: Mapping[str, Any] | None = None
) -> None:
    """Load the weights of a checkpoint into a model, every one and no other.

    Args:
        model: Model, whose weights are replaced.
        checkpoint: Content of the file, from ``read_checkpoint``.
        path: Path of the checkpoint, for the message.
        metainfo: Metainfo of the model's data, whose keypoints and classes must be those of the checkpoint.

    Raises:
        CheckpointError: The checkpoint has other weights, keypoints or classes; see ``check_fits``.
        NonFiniteError: A weight is NaN or infinite.
    """
    check_fits(model, checkpoint, path)
    check_checkpoint_names(checkpoint, path, metainfo)
    model.load_state_dict(get_state_dict(checkpoint), strict=False)  # missing and unexpected names were checked


def check_finite_weights(state: StateDict, path: Path) -> None:
    """Check that weights can be computed with.

    Raises:
        NonFiniteError: One is NaN or infinite; the message names the first.
    """
    for name, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise NonFiniteError(
                f"{path} holds weights that are not finite (NaN or infinity), first in {name}: its training diverged, "
                "and an earlier checkpoint may be whole."
            )


def _describe(given: StateDict, expected: StateDict, mismatch: Mismatch) -> str:
    models = [describe_model(state) for state in (given, expected)]
    named = f"checkpoint is {models[0]}, config is {models[1]}; " if None not in models and len(set(models)) > 1 else ""
    reasons = [
        _describe_names("{}", mismatch.shapes),
        _describe_names("it has no {}", mismatch.missing),
        _describe_names("the model has no {}", mismatch.unexpected),
    ]
    return named + next(reason for reason in reasons if reason)


def _describe_names(sentence: str, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    more = f" (and {len(names) - 1} more like this)" if len(names) > 1 else ""
    return sentence.format(names[0]) + more


def describe_model(state: StateDict) -> str | None:
    """Return which RTMO a state dict belongs to, such as ``rtmo-s with 17 keypoints``, or None."""
    heads = [value for name, value in state.items() if _VISIBILITY.fullmatch(name)]
    if _STEM not in state or not heads:
        return None
    width = state[_STEM].shape[0]
    return f"{_SIZES.get(width, f'an rtmo of width {width / 64:g}')} with {heads[0].shape[0]} keypoints"


def check_optimizer_fits(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Check that an optimizer's saved state belongs to its parameters, in their order.

    torch compares the number of groups alone, and would give one parameter the momentum of another.

    Raises:
        CheckpointError: The kind of optimizer, the number of parameters or a shape differs.
    """
    check_optimizer_kind(optimizer.param_groups[0], state["param_groups"][0])
    current = list_parameters(optimizer)
    saved = [index for group in state["param_groups"] for index in group["params"]]
    if len(current) != len(saved):
        raise CheckpointError(
            f"The optimizer state is of {len(saved)} parameters, the model has {len(current)}: "
            "pass the checkpoint with --load-from to start from its weights."
        )
    for parameter, index in zip(current, saved):
        shapes = [tuple(v.shape) for v in state["state"].get(index, {}).values() if isinstance(v, Tensor) and v.ndim]
        if any(shape != tuple(parameter.shape) for shape in shapes):
            raise CheckpointError(
                f"The optimizer state {index} has shape {shapes[0]}, its parameter {tuple(parameter.shape)}: "
                "pass the checkpoint with --load-from to start from its weights."
            )
