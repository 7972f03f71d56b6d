"""The state of an optimizer in a checkpoint: one group per parameter, whatever groups a run works with.

MMEngine's constructors put each parameter into a group of its own, in the model's order, and checkpoints have the
state so.  An optimizer with merged groups saves and loads it in this form, with the values that schedulers
keep for each group, so that either kind of run resumes the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from rtmo_plugin.errors import CheckpointError

Group = dict[str, Any]

# The key of a merged group that holds the places of its parameters among those of the model.
POSITIONS = "positions"
# How torch computes a step, which does not belong to the state of a run and depends on the machine.
_IMPLEMENTATION = ("fused", "foreach", "capturable", "differentiable")
# What a scheduler keeps for each group.
_PER_GROUP = ("base_values", "_last_value")
# Options by which kinds of optimizers differ.
_TELLTALE = ("betas", "momentum", "alpha", "rho", "lambd", "lr_decay")


def merge_groups(groups: Sequence[Group]) -> list[Group]:
    """Merge the parameter groups with equal options, in the order of their first parameters.

    Args:
        groups: Groups of an optimizer, whose parameters together are in the model's order.

    Returns:
        New groups, each with the places of its parameters among all under ``positions``.

    Examples:
        >>> groups = [{"params": ["a"], "lr": 1}, {"params": ["b"], "lr": 2}, {"params": ["c"], "lr": 1}]
        >>> merge_groups(groups)
        [{'params': ['a', 'c'], 'lr': 1, 'positions': [0, 2]}, {'params': ['b'], 'lr': 2, 'positions': [1]}]
    """
    merged: dict[str, Group] = {}
    place = 0
    for group in groups:
        options = {name: value for name, value in group.items() if name not in ("params", "param_names")}
        key = repr(sorted(options.items()))
        target = merged.setdefault(key, {"params": [], **options, POSITIONS: []})
        target["params"] += group["params"]
        target[POSITIONS] += range(place, place + len(group["params"]))
        place += len(group["params"])
    return list(merged.values())


def drop_parameters(optimizer: Optimizer, dropped: Collection[Tensor]) -> None:
    """Take parameters out of an optimizer, in place; the places of the others close the gaps.

    Args:
        optimizer: Optimizer without a state, whose groups are merged or not.
        dropped: Parameters to take out; others in it do not matter.
    """
    out = {id(each) for each in dropped}
    order = [each for each in list_parameters(optimizer) if id(each) not in out]
    place_of = {id(each): place for place, each in enumerate(order)}
    for group in optimizer.param_groups:
        group["params"] = [each for each in group["params"] if id(each) not in out]
        if POSITIONS in group:
            group[POSITIONS] = [place_of[id(each)] for each in group["params"]]
    optimizer.param_groups = [group for group in optimizer.param_groups if group["params"]]


def follow_weights(optimizer: Optimizer) -> None:
    """Let whatever state is loaded into an optimizer from now on get the memory order of its weights.

    torch keeps the order that the file has, and a fused step reads weights, gradients and state in memory order: with
    channels-last weights and the state of another program it raises on GPUs, and computes nonsense on CPUs.
    """
    optimizer.register_load_state_dict_post_hook(_reorder_state)


def _reorder_state(optimizer: Optimizer) -> None:
    """Store the state of each weight in the weight's memory order, in place; its values stay."""
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape and value.stride() != weight.stride():
                state[name] = torch.empty_like(weight, dtype=value.dtype, device=value.device).copy_(value)


def is_merged(optimizer: Optimizer) -> bool:
    """Tell whether the groups of an optimizer are merged ones."""
    return all(POSITIONS in group for group in optimizer.param_groups)


def list_parameters(optimizer: Optimizer) -> list[Tensor]:
    """Return the parameters of an optimizer in the model's order, whether its groups are merged or not."""
    parameters: list[Tensor] = [each for group in optimizer.param_groups for each in group["params"]]
    if not is_merged(optimizer):
        return parameters
    return [each for _, each in sorted(zip(_list_positions(optimizer), parameters), key=lambda pair: pair[0])]


def split_checkpoint(checkpoint: dict[str, Any]) -> None:
    """Give a checkpoint, in place, one group per parameter in the model's order, and its schedulers a value for each.

    A checkpoint whose groups are not merged is left as it is.

    Args:
        checkpoint: Checkpoint with ``optimizer`` and ``param_schedulers``.
    """
    state = checkpoint["optimizer"]
    merged = state["param_groups"]
    if not all(POSITIONS in group for group in merged):
        return
    place_of = {k: place for group in merged for k, place in zip(group["params"], group[POSITIONS])}
    owner_of = {place: group for group, each in enumerate(merged) for place in each[POSITIONS]}
    owners = [owner_of[place] for place in range(len(owner_of))]
    options = [{name: value for name, value in group.items() if name not in (POSITIONS, "params")} for group in merged]
    checkpoint["optimizer"] = {
        **state,
        "state": dict(sorted((place_of[k], values) for k, values in state["state"].items())),
        "param_groups": [{**_make_portable(options[owner]), "params": [k]} for k, owner in enumerate(owners)],
    }
    if base := state.get("base_param_settings"):
        checkpoint["optimizer"]["base_param_settings"] = _make_portable(base)
    _convert_schedulers(checkpoint, len(merged), lambda values: [values[owner] for owner in owners])


def merge_checkpoint(checkpoint: dict[str, Any], optimizer: Optimizer) -> None:
    """Give a checkpoint with one group per parameter, in place, the merged groups of an optimizer.

    The options of a merged group are those of its first parameter. A checkpoint with other groups is left as it is.

    Args:
        checkpoint: Checkpoint with ``optimizer`` and ``param_schedulers``.
        optimizer: Optimizer with merged groups, of the model of the checkpoint.
    """
    state = checkpoint["optimizer"]
    order = _list_positions(optimizer)
    saved = state["param_groups"]
    if [group["params"] for group in saved] != [[index] for index in range(len(order))]:
        return
    index_of = {position: index for index, position in enumerate(order)}
    groups: list[Group] = []
    for group in optimizer.param_groups:
        first = {name: value for name, value in saved[group[POSITIONS][0]].items() if name != "params"}
        kept = {name: group[name] for name in (*_IMPLEMENTATION, POSITIONS) if name in group}
        start = sum(len(each["params"]) for each in groups)
        groups.append({**first, **kept, "params": list(range(start, start + len(group["params"])))})
    values = {index_of[position]: each for position, each in state["state"].items()}
    checkpoint["optimizer"] = {**state, "state": values, "param_groups": groups}
    if base := state.get("base_param_settings"):
        own = {name: groups[0][name] for name in _IMPLEMENTATION if name in groups[0]}
        checkpoint["optimizer"]["base_param_settings"] = {**base, **own}
    firsts = [group[POSITIONS][0] for group in optimizer.param_groups]
    _convert_schedulers(checkpoint, len(order), lambda values: [values[first] for first in firsts])


def check_optimizer_kind(group: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Check by its options that an optimizer is of the kind whose state a checkpoint holds.

    Args:
        group: A parameter group of the optimizer.
        saved: A parameter group of the checkpoint.

    Raises:
        CheckpointError: One has options that the other kind does not have.
    """
    different = [name for name in _TELLTALE if (name in group) != (name in saved)]
    if different:
        raise CheckpointError(
            f"The config's optimizer is not of the kind that the checkpoint was trained with (only one of them has "
            f"{different[0]}): pass the checkpoint with --load-from to start from its weights."
        )


def _list_positions(optimizer: Optimizer) -> list[int]:
    """Return the place in the model's order of each parameter in the optimizer's order."""
    return [position for group in optimizer.param_groups for position in group[POSITIONS]]


def _make_portable(group: Group) -> Group:
    """Return the options of a group with torch's default values for those that say how a step is computed."""
    return {**group, **{n: None if n in ("fused", "foreach") else False for n in _IMPLEMENTATION if n in group}}


def _convert_schedulers(checkpoint: dict[str, Any], length: int, convert: Callable[[list[Any]], list[Any]]) -> None:
    """Replace the values that schedulers keep for each of ``length`` groups; MMEngine's base rate may follow them."""
    schedulers = checkpoint.get("param_schedulers") or []
    if not isinstance(schedulers, list):  # of several optimizers
        return
    for k, scheduler in enumerate(schedulers):
        lists = {name: scheduler[name] for name in _PER_GROUP if len(scheduler.get(name) or ()) >= length}
        schedulers[k] = {**scheduler, **{n: convert(each[:length]) + each[length:] for n, each in lists.items()}}
