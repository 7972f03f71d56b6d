"""From the keypoints of one data set to those of another (``pred_converter`` and ``gt_converter``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class KeypointMapping:
    """Which keypoint becomes which; keypoints that nothing becomes are zeros.

    Raises:
        ValueError: An index is negative, or a target is not below ``num_keypoints``.
    """

    num_keypoints: int
    sources: tuple[int, ...]
    targets: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the indices."""
        if min((*self.sources, *self.targets), default=0) < 0 or max(self.targets, default=0) >= self.num_keypoints:
            raise ValueError(
                f"A keypoint mapping has sources {self.sources} and targets {self.targets}: all must be at least 0, "
                f"and the targets below num_keypoints={self.num_keypoints}."
            )

    @classmethod
    def from_config(cls, converter: Mapping[str, Any] | None) -> KeypointMapping | None:
        """Return the mapping of MMPose's ``dict(num_keypoints=.., mapping=[(source, target), ..])``, or None."""
        if converter is None:
            return None
        pairs: Sequence[Any] = converter.get("mapping", ())
        if any(not isinstance(index, int) for pair in pairs for index in pair):
            raise ValueError(
                f"A keypoint mapping for evaluation needs pairs (source, target) of integers, not {pairs}."
            )
        return cls(converter["num_keypoints"], tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))

    def apply(self, values: np.ndarray, fill: float = 0) -> np.ndarray:
        """Return (N, K, ...) values in the order of the targets, ``fill`` where there is no source."""
        if max(self.sources, default=-1) >= values.shape[1]:
            raise ValueError(f"A keypoint mapping reads keypoint {max(self.sources)} of {values.shape[1]}.")
        mapped = np.full((len(values), self.num_keypoints, *values.shape[2:]), fill, values.dtype)
        mapped[:, list(self.targets)] = values[:, list(self.sources)]
        return mapped
