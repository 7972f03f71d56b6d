"""The other images that a sample is mixed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import Compose

from rtmo_plugin.data.transforms.chance import draw_integer, toss
from rtmo_plugin.errors import ConfigError


class Companions:
    """Draws other records of a dataset, and loads their images as late as can be.

    Args:
        pre_transform: Configs of the transforms that load an image. Default: ``rtmo_plugin.LoadImage``.
        prob: Probability that a sample has companions.
        number: Number of companions.

    Raises:
        ConfigError: ``prob`` is not a probability.
    """

    def __init__(self, pre_transform: Sequence[Mapping[str, Any]] | None, prob: float, number: int) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError(f"prob of a mosaic or mixup must be between 0 and 1, got {prob}.")
        steps = [{"type": "rtmo_plugin.LoadImage"}] if pre_transform is None else pre_transform
        self.load = Compose(steps)
        self.prob, self.number = prob, number

    def toss(self) -> bool:
        """Decide by one random number whether this sample has companions."""
        return toss(self.prob)

    def draw(self, dataset: Any) -> list[dict[str, Any]]:
        """Return records drawn with replacement, without images."""
        indices = [draw_integer(len(dataset)) for _ in range(self.number)]
        # these are copies already
        return [{**dataset.get_data_info(index), "dataset": dataset} for index in indices]

    def glance(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return a record with its ``img_shape``, and with ``img`` unless the loader can do without."""
        if "img" in record:
            return record
        steps = self.load.transforms
        if len(steps) == 1 and hasattr(steps[0], "glance"):
            return steps[0].glance(record)
        return self.load(record)
