"""The other images that mosaic and mixup combine with a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import Compose

from rtmo_plugin.data.transforms.global_rng import coin_flip, draw_integer
from rtmo_plugin.errors import ConfigError


class MixSampler:
    """Draws other records of a dataset and loads their images as late as possible.

    Args:
        pre_transform: Configs of the transforms that load an image. Default: ``rtmo_plugin.LoadImage``.
        prob: Probability that a sample is mixed with others.
        number: Number of other records for each sample.

    Raises:
        ConfigError: ``prob`` is not a probability.
    """

    def __init__(self, pre_transform: Sequence[Mapping[str, Any]] | None, prob: float, number: int) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError(f"prob of a mosaic or mixup must be between 0 and 1, got {prob}.")
        steps = [{"type": "rtmo_plugin.LoadImage"}] if pre_transform is None else pre_transform
        self.load = Compose(steps)
        self.prob, self.number = prob, number

    def should_mix(self) -> bool:
        """Return whether to mix this sample, from one random number."""
        return coin_flip(self.prob)

    def draw(self, dataset: Any) -> list[dict[str, Any]]:
        """Return records drawn with replacement, without images."""
        indices = [draw_integer(len(dataset)) for _ in range(self.number)]
        # get_data_info returns copies
        return [{**dataset.get_data_info(index), "dataset": dataset} for index in indices]

    def read_shape(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return a record with ``img_shape``, and with ``img`` only if the loader has to decode it for that."""
        if "img" in record:
            return record
        steps = self.load.transforms
        can_read_shape = len(steps) == 1 and hasattr(steps[0], "read_shape")
        with_shape: dict[str, Any] = steps[0].read_shape(record) if can_read_shape else self.load(record)
        return with_shape
