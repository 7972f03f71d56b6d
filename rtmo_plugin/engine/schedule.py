"""Training stages by epoch: a pure function of a schedule written in the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rtmo_plugin.errors import ConfigError

_KEYS = ("stage", "begin", "dataset", "pipeline")


@dataclass(frozen=True)
class ScheduledStage:
    """A training stage, the epoch it begins at, and what it trains on.

    Attributes:
        name: One of the head's stages.
        begin: First epoch of the stage, counted from 0.
        data: Replacements in the config of the training dataset: ``dataset``, ``pipeline``, both or none of them,
            those of earlier stages included.
    """

    name: str
    begin: int
    data: Mapping[str, Any]


def read_schedule(
    schedule: Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]],
) -> tuple[ScheduledStage, ...]:
    """Check a schedule and return its stages in order.

    Args:
        schedule: ``{name: dict(begin=epoch, dataset=..., pipeline=...)}`` or the same as a list of
            dicts that name their ``stage``; ``dataset`` and ``pipeline`` are optional.

    Raises:
        ConfigError: The schedule is empty, an entry has a missing or an unknown key, the first
            stage does not begin at epoch 0, begins do not increase, or a dataset has no pipeline.

    Examples:
        >>> [stage.begin for stage in read_schedule(dict(warmup=dict(begin=0), refine=dict(begin=280)))]
        [0, 280]
    """
    if isinstance(schedule, Mapping):
        named = [{**entry, "stage": name} for name, entry in schedule.items()]
        # A dict has no order of its own: the configs that MMEngine dumps beside checkpoints are alphabetical.
        schedule = sorted(named, key=lambda entry: begin if isinstance(begin := entry.get("begin"), int) else -1)
    stages: list[ScheduledStage] = []
    for entry in map(dict, schedule):
        unknown = sorted(set(entry) - set(_KEYS))
        if unknown:
            raise ConfigError(f"schedule: unknown key {unknown[0]!r} in {_name(entry)}; the keys are {_KEYS}.")
        for key, kind in (("stage", str), ("begin", int)):
            if type(entry.get(key)) is not kind:
                raise ConfigError(f"schedule: {_name(entry)} needs {key!r}, {kind.__name__}; got {entry.get(key)!r}.")
        data = dict(stages[-1].data) if stages else {}
        data.update({key: entry[key] for key in ("dataset", "pipeline") if key in entry})
        if "dataset" in data and "pipeline" not in data and "pipeline" not in data["dataset"]:
            raise ConfigError(
                f"schedule: the dataset of {_name(entry)} has no pipeline; add pipeline=[...] to the stage."
            )
        stages.append(ScheduledStage(entry["stage"], entry["begin"], data))
    _check_begins([(stage.name, stage.begin) for stage in stages])
    return tuple(stages)


def find_stage(stages: Sequence[ScheduledStage], epoch: int) -> ScheduledStage:
    """Return the stage of ``epoch`` (counted from 0): the last one that has begun."""
    return next(stage for stage in reversed(stages) if stage.begin <= epoch)


def find_dataset(dataset: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dataset config of a stage.

    Args:
        dataset: Config of the run's own training dataset.
        data: Replacements of the stage (``ScheduledStage.data``).
    """
    replaced = dict(data.get("dataset", dataset))
    return replaced | ({"pipeline": data["pipeline"]} if "pipeline" in data else {})


def _name(entry: Mapping[str, Any]) -> str:
    return f"stage {entry['stage']!r}" if "stage" in entry else "an entry without a stage"


def _check_begins(begins: Sequence[tuple[str, int]]) -> None:
    if not begins or begins[0][1] != 0:
        found = f"{begins[0][0]!r} begins at {begins[0][1]}" if begins else "it is empty"
        raise ConfigError(f"schedule: the first stage must begin at epoch 0, but {found}.")
    for (earlier, begin), (later, next_begin) in pairwise(begins):
        if next_begin <= begin:
            raise ConfigError(
                f"schedule: begins must increase, but {later!r} begins at {next_begin} after {earlier!r} at {begin}."
            )
