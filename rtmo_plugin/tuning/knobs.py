"""The numbers of a config that a tuning varies, their ranges, and the values of each trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rtmo_plugin.errors import ConfigError

_WIDE = 10  # ratio of the ends of a range from which its values are drawn by their logarithm
_DIGITS = 3  # significant ones of a value
_LR, _DECAY = "optim_wrapper.optimizer.lr", "optim_wrapper.optimizer.weight_decay"


@dataclass(frozen=True)
class Knob:
    """A number of a config, and the range in which it is searched.

    Attributes:
        name: Name on the command line and in tables.
        low: Lowest value.
        high: Highest value.
        start: Value in the config.
        keys: Values of the config by dotted key when the knob has the value ``start``. Numbers are multiplied by the
            knob's share of ``start``; of a pair only the first number.
    """

    name: str
    low: float
    high: float
    start: float
    keys: Mapping[str, Any]

    @property
    def is_wide(self) -> bool:
        """Whether values are drawn by their logarithm."""
        return self.low > 0 and self.high / self.low >= _WIDE

    def find_options(self, value: float) -> dict[str, Any]:
        """Return the values of the config by dotted key.

        Args:
            value: Value of the knob.

        Examples:
            >>> Knob("lr", 0.001, 0.1, 0.01, {"lr": 0.01, "eta_min": 0.001}).find_options(0.02)
            {'lr': 0.02, 'eta_min': 0.002}
        """
        return {key: self._scale(own, value) for key, own in self.keys.items()}

    def _scale(self, own: Any, value: float) -> Any:
        if isinstance(own, (list, tuple)):
            return [self._scale(own[0], value), *own[1:]]
        return value if own == self.start else float(f"{own * value / self.start:.6g}")

    def place(self, share: float) -> float:
        """Return the value at a share of the range, which is that of the logarithm if the range is wide.

        A number that is whole in the config stays whole.

        Args:
            share: Share of the range, 0..1.

        Examples:
            >>> Knob("lr", 0.001, 0.1, 0.01, {}).place(0.5), Knob("patience", 1, 4, 2, {}).place(0.5)
            (0.01, 2)
        """
        if self.is_wide:
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + (self.high - self.low) * share
        rounded = min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)
        return round(rounded) if isinstance(self.start, int) else rounded

    def describe(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return asdict(self)


def find_knobs(cfg: Mapping[str, Any], wanted: Sequence[str] = ()) -> list[Knob]:
    """Return the knobs of a tuning.

    Args:
        cfg: Config of the training.
        wanted: Names of knobs, or dotted keys of numbers in the config, each alone or as ``NAME=LOW,HIGH``. Default:
            the four named knobs, as far as the config has them.

    Raises:
        ConfigError: A knob is unknown, named twice, or its range is wrong.

    Examples:
        >>> cfg = {"optim_wrapper": {"optimizer": {"lr": 0.001, "weight_decay": 0.05}}}
        >>> [(knob.name, knob.low, knob.high) for knob in find_knobs(cfg)]
        [('lr', 0.000125, 0.004), ('weight_decay', 0.005, 0.2)]
        >>> find_knobs(cfg, ["lr=1e-4,1e-2"])[0].high
        0.01
    """
    if not wanted:
        found = [knob for knob in (find(cfg) for find in _NAMED.values()) if knob]
        if not found:
            raise ConfigError(f"The config has none of {', '.join(_NAMED)}: name numbers of it with --knob.")
        return found
    knobs = [_read_knob(cfg, text) for text in wanted]
    names = [knob.name for knob in knobs]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"--knob {repeated[0]} is given twice: give it one range.")
    return knobs


def draw_trials(knobs: Sequence[Knob], num_trials: int, seed: int) -> list[dict[str, float]]:
    """Return the values of each trial by the knobs' names.

    The first trial has the values of the config. The others spread evenly over all ranges (Halton's sequence), and do
    not depend on the number of trials.

    Args:
        knobs: Knobs of the tuning.
        num_trials: Number of trials.
        seed: Seed of the sequence.
    """
    from scipy.stats import qmc  # slow to import

    sampler = qmc.Halton(len(knobs), scramble=True, seed=seed)
    start = {knob.name: knob.start for knob in knobs}
    places = sampler.random(num_trials - 1).tolist() if num_trials > 1 else []
    return [start, *({knob.name: knob.place(share) for knob, share in zip(knobs, row)} for row in places)]


def _read_knob(cfg: Mapping[str, Any], text: str) -> Knob:
    name, has_range, numbers = text.partition("=")
    if name in _NAMED:
        knob = _NAMED[name](cfg)
        if knob is None:
            raise ConfigError(f"--knob {name}: the config has no number for it.")
    else:
        value = find_value(cfg, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigError(
                f"--knob {name[:60]} is not a number of the config: take {', '.join(_NAMED)}, or a dotted key such "
                f"as {_LR}."
            )
        if not has_range:
            raise ConfigError(f"--knob {name} needs a range: --knob {name}=LOW,HIGH.")
        knob = Knob(name, value, value, value, {name: value})
    if not has_range:
        return knob
    try:
        low, high = (float(number) for number in numbers.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"--knob {text[:60]} needs two numbers, the lower one first, such as lr=1e-4,1e-2.")
    if knob.name in _NAMED and low <= 0:
        raise ConfigError(f"--knob {text[:60]}: {knob.name} must be above 0.")
    return Knob(knob.name, low, high, knob.start, knob.keys)


def find_value(cfg: Mapping[str, Any], key: str) -> Any:
    """Return the value of a config at a dotted key, with list indices as numbers, or None if there is none."""
    value: Any = cfg
    for part in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, (list, tuple)) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _find_lr(cfg: Mapping[str, Any]) -> Knob | None:
    """Return the learning rate; the rates at which its schedulers end keep their ratio to it."""
    rate = find_value(cfg, _LR)
    if not rate:
        return None
    schedulers = cfg.get("param_scheduler") or ()
    ends = {
        f"param_scheduler.{index}.eta_min": each["eta_min"]
        for index, each in enumerate(schedulers)
        if isinstance(each, Mapping) and each.get("eta_min")
    }
    return Knob("lr", rate / 8, 4 * rate, rate, {_LR: rate, **ends})


def _find_decay(cfg: Mapping[str, Any]) -> Knob | None:
    decay = find_value(cfg, _DECAY)
    return Knob("weight_decay", decay / 10, 4 * decay, decay, {_DECAY: decay}) if decay else None


def _find_momentum(cfg: Mapping[str, Any]) -> Knob | None:
    """Return the momentum of the moving average of weights."""
    for index, hook in enumerate(cfg.get("custom_hooks") or ()):
        if str(hook.get("type")).endswith("EMAHook") and hook.get("momentum"):
            momentum = hook["momentum"]
            most = min(25 * momentum, 0.5)
            return Knob("ema_momentum", momentum / 2, most, momentum, {f"custom_hooks.{index}.momentum": momentum})
    return None


def _find_scale(cfg: Mapping[str, Any]) -> Knob | None:
    """Return the lower end of the random scale of training images, in the pipeline that training begins with."""
    for key, transform in _list_transforms(cfg):
        factors = transform.get("scale_factor")
        if not (isinstance(factors, (list, tuple)) and len(factors) == 2 and factors[0] > 0):
            continue
        if str(transform.get("type")).endswith("BottomupRandomAffine"):
            low, high = factors
            return Knob("scale", 0.4 * low, min(1.25 * low, high), low, {f"{key}.scale_factor": [low, high]})
    return None


def _list_transforms(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the transforms of the training data with their dotted keys."""
    key = "train_dataloader.dataset.pipeline"
    for index, each in enumerate(find_value(cfg, key) or ()):
        if isinstance(each, Mapping):
            yield f"{key}.{index}", each


_NAMED: dict[str, Callable[[Mapping[str, Any]], Knob | None]] = {
    "lr": _find_lr,
    "weight_decay": _find_decay,
    "ema_momentum": _find_momentum,
    "scale": _find_scale,
}
