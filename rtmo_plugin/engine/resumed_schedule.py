"""The learning rate of a resumed run: that of its config, at the epoch and step where it is resumed.

MMEngine takes rate, optimizer options and schedule from the checkpoint, and those of the config have no
effect.  Here they are compared.  Where they differ, the schedule of the config is stepped from its
beginning to where the run stands, so that the rate follows from config, epoch and step alone.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mmengine.optim import ReduceOnPlateauParamScheduler, _ParamScheduler

from rtmo_plugin.errors import CheckpointError

Group = dict[str, Any]
# What a scheduler changes while it runs; everything else in its state is the schedule.
_RUNNING = ("last_step", "_global_step", "_last_value", "_get_value_called_within_step", "verbose")


class PlannedSchedule:
    """Optimizer options and schedule of a config, before a checkpoint replaces them.

    Args:
        optim_wrapper: Optimizer as built from the config; its parameter groups are copied.
        schedulers: Schedulers as built from the config; their states are copied.
    """

    def __init__(self, optim_wrapper: Any, schedulers: Any) -> None:
        self._optim_wrapper = optim_wrapper
        self._options = [_copy_options(group) for group in optim_wrapper.param_groups]
        self._schedulers = list_schedulers(schedulers)
        self._states = [_copy_state(scheduler) for scheduler in self._schedulers]

    def differs(self, num_loaded: int) -> bool:
        """Tell whether what a checkpoint brought is another schedule or has other options than the config.

        Args:
            num_loaded: Number of schedulers in the checkpoint.
        """
        scheduled = {scheduler.param_name for scheduler in self._schedulers}
        states = [_find_fixed(_copy_state(scheduler)) for scheduler in self._schedulers]
        pairs = zip(self._optim_wrapper.param_groups, self._options)
        return (
            num_loaded != len(self._schedulers)
            or states != [_find_fixed(state) for state in self._states]
            or any(
                _list(group[name]) != _list(options[name])
                for group, options in pairs
                for name in options.keys() & group.keys() - scheduled
            )
        )

    @property
    def follows_metrics(self) -> bool:
        """Whether a scheduler waits for metrics to stop growing, so that epochs and steps do not tell the rate."""
        return any(isinstance(each, ReduceOnPlateauParamScheduler) for each in self._schedulers)

    def apply(self, epoch: int, iteration: int, num_batches: int = 0) -> None:
        """Set optimizer options and schedule as the config has them, for a run that stands at a step.

        Args:
            epoch: Number of whole epochs that are done.
            iteration: Number of steps that are done.
            num_batches: Number of them in the epoch that is not done.

        Raises:
            CheckpointError: The schedule depends on metrics of epochs that are gone.
        """
        if self.follows_metrics:
            raise CheckpointError(
                "The schedule of the config differs from that of the checkpoint, and one that follows the metrics "
                "cannot be continued: keep the checkpoint's, or start from its weights with --load-from."
            )
        groups = self._optim_wrapper.param_groups
        for group, options in zip(groups, self._options):
            for name in [name for name in group if name.startswith("initial_") and name not in options]:
                del group[name]  # of a schedule that the config does not have
            group.update(copy.deepcopy(options))
        for scheduler, state in zip(self._schedulers, self._states):
            for name in set(scheduler.state_dict()) - state.keys():  # of a scheduler of another kind
                delattr(scheduler, name)
            scheduler.load_state_dict(copy.deepcopy(state))
        steps = itertools.chain(_list_steps(epoch, iteration - num_batches), itertools.repeat(False, num_batches))
        _fast_forward(groups, self._schedulers, steps)


def list_schedulers(schedulers: Any) -> list[Any]:
    """Return the built schedulers of a runner in one list."""
    if isinstance(schedulers, Mapping):
        return [each for part in schedulers.values() for each in list_schedulers(part)]
    return [each for each in schedulers or [] if isinstance(each, _ParamScheduler)]


def find_last_step(schedulers: Any, epoch_length: int) -> int | None:
    """Return the step at which the last scheduler ends, or None without schedulers."""
    ends = [each.end * (epoch_length if each.by_epoch else 1) for each in list_schedulers(schedulers)]
    return max(ends, default=None)


def _copy_options(group: Group) -> Group:
    return {name: copy.deepcopy(value) for name, value in group.items() if name != "params"}


def _copy_state(scheduler: Any) -> dict[str, Any]:
    return {name: copy.deepcopy(value) for name, value in scheduler.state_dict().items()}


def _find_fixed(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _list(value) for name, value in state.items() if name not in _RUNNING}


def _list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


class _StandIn:
    """One parameter group in place of all that have the same options, for schedulers that step a million times."""

    def __init__(self, groups: list[Group]) -> None:
        self.param_groups = groups
        self._global_step = 0  # schedulers read it to tell whether the optimizer has stepped before them

    def step(self) -> None:
        """Do nothing."""

    step._with_counter = True  # type: ignore[attr-defined]  # which schedulers ask for


def _fast_forward(groups: Sequence[Group], schedulers: Sequence[Any], steps: Iterable[bool]) -> None:
    """Step schedulers through iterations (False) and ends of epochs (True)."""
    keys = [repr(sorted(_copy_options(group).items())) for group in groups]
    first = {key: keys.index(key) for key in keys}
    stand_in = _StandIn([_copy_options(groups[index]) for index in first.values()])
    optimizers = [scheduler.optimizer for scheduler in schedulers]
    base_values = [scheduler.base_values for scheduler in schedulers]
    for scheduler in schedulers:
        scheduler.optimizer = stand_in
        scheduler.base_values = [scheduler.base_values[index] for index in first.values()]
    for is_epoch in steps:
        for scheduler in schedulers:
            if scheduler.by_epoch == is_epoch:
                scheduler.step()
    found = dict(zip(first, stand_in.param_groups))
    for group, key in zip(groups, keys):
        group.update({each.param_name: found[key][each.param_name] for each in schedulers})
    for scheduler, optimizer, values in zip(schedulers, optimizers, base_values):
        scheduler.optimizer, scheduler.base_values = optimizer, values
        values_by_key = dict(zip(first, scheduler._last_value))
        scheduler._last_value = [values_by_key[key] for key in keys]


def _list_steps(epoch: int, iteration: int) -> Iterator[bool]:
    """Yield False for each iteration and True for the end of each epoch, epochs being of one length."""
    done = 0
    for number in range(1, epoch + 1):
        end = round(iteration * number / epoch)
        yield from (False for _ in range(done, end))
        yield True
        done = end
