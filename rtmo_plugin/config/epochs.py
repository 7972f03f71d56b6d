"""Another number of epochs: learning rate, training stages and validations keep the shape of the config's schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mmengine.config import Config

from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.number_ranges import COUNT
from rtmo_plugin.wording import count

_ENDLESS = 10**9  # the end of a scheduler that has none, in MMEngine
_LENGTHS = ("T_max", "step_size", "total_steps")


@dataclass(frozen=True)
class EpochScale:
    """Map from the epochs of a schedule to those of a shorter or longer one.

    Attributes:
        before: Number of epochs of the schedule.
        after: Number of epochs of the new one.
        boundaries: New epoch of each epoch at which something begins or ends.
    """

    before: int
    after: int
    boundaries: dict[int, int]

    def __call__(self, epoch: int) -> int:
        """Return the new number of an epoch."""
        return self.boundaries.get(epoch, self.round(epoch))

    def round(self, length: float) -> int:
        """Return the nearest whole number to a length after scaling."""
        return int(length * self.after / self.before + 0.5)

    def shorten(self, interval: int) -> int:
        """Return a number of epochs between two validations or checkpoints, which does not grow."""
        return min(interval, max(self.round(interval), 1))


def set_epochs(cfg: Config, epochs: int | None, val_interval: int | None = None) -> None:
    """Train for another number of epochs, with everything that has an epoch number scaled alike, and print how.

    Schedulers, training stages and the last phase begin and end at the same share of the run.  Each keeps at least one
    epoch, and a jump of the learning rate (``ConstantLR`` for one epoch) exactly one.  Validations and checkpoints
    become no rarer.

    Args:
        cfg: Config to edit.
        epochs: Number of epochs. Default: that of the config.
        val_interval: Number of epochs between validations, as it is. Default: that of the config, scaled.

    Raises:
        ConfigError: The config does not count epochs, has more phases than ``epochs``, or has a hook with an epoch
            number of its own.
    """
    if epochs is None:
        return
    COUNT.check("epochs", epochs)
    before = (cfg.get("train_cfg") or {}).get("max_epochs")
    if not before:
        raise ConfigError("--epochs needs train_cfg.max_epochs, and the config does not have it.")
    hooks = _list_hooks(cfg)
    schedules = [hook["schedule"] for hook in hooks if "schedule" in hook]
    entries = [each for part in schedules for each in (part.values() if isinstance(part, dict) else part)]
    # ``read_schedule`` refuses other entries.
    stages = [each for each in entries if isinstance(each, dict) and isinstance(each.get("begin"), int)]
    schedulers = [each for each in walk_sections(cfg.get("param_scheduler")) if "type" in each]
    constant = [each for each in schedulers if _find_kind(each) == "ConstantLR" and each.get("by_epoch", True)]
    # ``ConstantLR`` divides by its factor again at its end, but not if it is one epoch long.
    jumps = [each["begin"] for each in constant if each.get("end", _ENDLESS) - each.get("begin", 0) == 1]
    scale = scale_epochs(before, epochs, list(_list_boundaries(cfg, schedulers, stages)), jumps)
    for scheduler in schedulers:
        _scale_scheduler(scheduler, scale)
    for stage in stages:
        stage["begin"] = scale(stage["begin"])
    _scale_intervals(cfg.train_cfg, hooks, scale)
    cfg.train_cfg.val_interval = val_interval or cfg.train_cfg.val_interval
    print(_describe(scale, stages, cfg.train_cfg.val_interval if cfg.get("val_dataloader") else None))


def scale_epochs(before: int, after: int, boundaries: Sequence[int], jumps: Sequence[int] = ()) -> EpochScale:
    """Return the map from the epochs of a schedule to those of another length.

    Args:
        before: Number of epochs of the schedule.
        after: Number of epochs of the new one.
        boundaries: Epochs at which something begins or ends.
        jumps: Epochs after which the next boundary stays one epoch away.

    Raises:
        ConfigError: There are fewer epochs than phases between boundaries.

    Examples:
        >>> scale_epochs(600, 60, [5, 280, 281, 580], jumps=[280]).boundaries
        {0: 0, 5: 1, 280: 28, 281: 29, 580: 58, 600: 60}
        >>> scale_epochs(600, 6, [5, 280, 281, 580], jumps=[280]).boundaries
        {0: 0, 5: 1, 280: 3, 281: 4, 580: 5, 600: 6}
    """
    ordered = sorted({0, before, *(each for each in boundaries if 0 < each < before)})
    num_phases = len(ordered) - 1
    if after < num_phases:
        raise ConfigError(
            f"--epochs {after} is too short: the schedule has {num_phases} phases, which need an epoch each."
        )
    found = {0: 0, before: after}
    for number, (start, end) in enumerate(pairwise(ordered[:-1]), start=1):
        wanted = found[start] + 1 if start in jumps else int(end * after / before + 0.5)
        found[end] = min(max(wanted, found[start] + 1), after - (num_phases - number))
    return EpochScale(before, after, dict(sorted(found.items())))


def _list_hooks(cfg: Config) -> list[dict[str, Any]]:
    """Return the hooks of a config.

    Raises:
        ConfigError: One has an epoch number of its own.
    """
    hooks = [*(cfg.get("default_hooks") or {}).values(), *(cfg.get("custom_hooks") or [])]
    hooks = [hook for hook in hooks if isinstance(hook, dict)]
    for hook in hooks:
        own = [name for name, value in hook.items() if "epoch" in name and value and not isinstance(value, bool)]
        if own:
            raise ConfigError(f"--epochs cannot scale {own[0]} of {hook.get('type')}: set the epochs in a config.")
    return hooks


def _list_boundaries(
    cfg: Config, schedulers: Sequence[dict[str, Any]], stages: Sequence[dict[str, Any]]
) -> Iterator[int]:
    """Yield the epochs at which a scheduler, a training stage or another interval of validations begins or ends."""
    for scheduler in schedulers:
        if scheduler.get("by_epoch", True):
            begin = scheduler.get("begin", 0)
            yield from (begin, scheduler.get("end", _ENDLESS))
            yield from (begin + milestone for milestone in scheduler.get("milestones", ()))
    yield from (stage["begin"] for stage in stages)
    yield from (begin for begin, _ in cfg.train_cfg.get("dynamic_intervals") or ())


def _find_kind(scheduler: dict[str, Any]) -> str:
    """Return the registered name of a scheduler without its scope."""
    return str(scheduler["type"]).rpartition(".")[2]


def _scale_scheduler(scheduler: dict[str, Any], scale: EpochScale) -> None:
    """Scale the epochs or steps of a parameter scheduler in place.

    Raises:
        ConfigError: The scheduler would keep its rate for good, and did not before.
    """
    by_epoch = scheduler.get("by_epoch", True)
    move = scale if by_epoch else scale.round
    begin, end = scheduler.get("begin", 0), scheduler.get("end", _ENDLESS)
    new_begin = move(begin)
    new_end = max(move(end), new_begin + 1) if end < _ENDLESS else end
    is_jump = end - begin == 1
    if (
        _find_kind(scheduler) == "ConstantLR"
        and not is_jump
        and new_end - new_begin == 1
        and scheduler.get("factor") != 1
    ):
        raise ConfigError(
            f"--epochs {scale.after} is too short: ConstantLR from epoch {begin} to {end} needs two epochs."
        )
    ratio = (new_end - new_begin) / (end - begin) if end < _ENDLESS else scale.after / scale.before
    if "begin" in scheduler:
        scheduler["begin"] = new_begin
    if end < _ENDLESS:
        scheduler["end"] = new_end
    for name in _LENGTHS:
        if scheduler.get(name):
            scheduler[name] = max(int(scheduler[name] * ratio + 0.5), 1)
    if "milestones" in scheduler:
        scheduler["milestones"] = [move(begin + each) - new_begin for each in scheduler["milestones"]]
    if "periods" in scheduler:
        scheduler["periods"] = [max(int(each * ratio + 0.5), 1) for each in scheduler["periods"]]
    if _find_kind(scheduler) == "ExponentialLR":
        scheduler["gamma"] **= 1 / ratio


def _scale_intervals(train_cfg: dict[str, Any], hooks: Sequence[dict[str, Any]], scale: EpochScale) -> None:
    """Scale the last epoch, and the epochs between validations and between checkpoints, in place."""
    train_cfg["max_epochs"] = scale.after
    train_cfg["val_interval"] = scale.shorten(train_cfg.get("val_interval", 1))
    if train_cfg.get("val_begin"):
        train_cfg["val_begin"] = max(scale(train_cfg["val_begin"]), 1)
    if train_cfg.get("dynamic_intervals"):
        train_cfg["dynamic_intervals"] = [
            (scale(begin), scale.shorten(interval)) for begin, interval in train_cfg["dynamic_intervals"]
        ]
    for hook in hooks:
        is_by_epoch = str(hook.get("type")).endswith("CheckpointHook") and hook.get("by_epoch", True)
        if is_by_epoch and hook.get("interval", 0) > 0:
            hook["interval"] = scale.shorten(hook["interval"])


def _describe(scale: EpochScale, stages: Sequence[dict[str, Any]], val_interval: int | None) -> str:
    """Return what became of a schedule, with epochs counted from 1."""
    words = f"{count(scale.after, 'epoch')} instead of {scale.before}, in the same shape"
    begins = [*sorted(stage["begin"] for stage in stages), scale.after]
    phases = [
        f"epoch {begin + 1}" if end - begin == 1 else f"epochs {begin + 1}-{end}" for begin, end in pairwise(begins)
    ]
    if len(phases) > 1:
        words += f": {len(phases)} training stages of {', '.join(phases)}"
    if val_interval:
        words += (
            f"; validation every {count(val_interval, 'epoch')}" if val_interval > 1 else "; validation every epoch"
        )
    return words
