"""The allowed differences between a file and PyTorch, and the measured ones."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from rtmo_plugin.errors import ExportError


@dataclass(frozen=True)
class Tolerance:
    """Allowed differences between a file and PyTorch.

    Attributes:
        precision: Precision of the file.
        score: Scores of people and keypoints.
        box: Box corners, relative to the longer side of the box.
        keypoint: Keypoints and their standard deviations, in pixels of the input.
        maps: The head's maps: norm of the difference relative to the norm.
        disturbance: Relative change of the head's outputs by rounding.
        typical: Share of these limits that half of the people may differ by in the same coordinate or score.
        outliers: Share of the people, and of their scores, boxes and keypoints, that may be anywhere.
    """

    precision: str
    score: float
    box: float
    keypoint: float
    maps: float
    disturbance: float
    typical: float = 1.0
    outliers: float = 0.0

    @property
    def logit(self) -> float:
        """Difference of the logits of scores, which also distinguishes scores near 0."""
        return 25 * self.score

    def describe(self, *kinds: str) -> str:
        """Return the limits of kinds of differences in words, such as ``keypoints 0.5 pixels``."""
        words = {
            "score": f"scores {self.score:g}",
            "box": f"boxes {100 * self.box:g} % of their longer side",
            "keypoint": f"keypoints {self.keypoint:g} pixels",
            "uncertainty": f"standard deviations {self.keypoint:g} pixels",
            "maps": f"maps {100 * self.maps:g} %",
        }
        return ", ".join(words[kind] for kind in kinds)


FLOAT32 = Tolerance("float32", score=0.002, box=0.002, keypoint=0.5, maps=0.002, disturbance=0.0005)
# Wide, because untrained weights multiply rounding; the measured differences are reported.
FLOAT16 = Tolerance("float16", score=0.15, box=0.2, keypoint=4.0, maps=0.15, disturbance=0.05, typical=0.2)
# As wide, and for half of the people: finds files that are entirely wrong. Background, and images unlike those of the
# training, change a lot in eight bits without an effect on AP. AP measures the cost of eight bits.
INT8 = Tolerance("int8", score=0.25, box=0.3, keypoint=8.0, maps=0.35, disturbance=0.1, outliers=0.5)


def choose_tolerance(precision: str) -> Tolerance:
    """Return the tolerance of a precision: ``float32``, ``float16`` or ``int8``."""
    return {each.precision: each for each in (FLOAT32, FLOAT16, INT8)}[precision]


def find_worst(shares: list[float]) -> float:
    """Return the largest share; NaN if one of them is NaN, which ``max`` would miss.

    Examples:
        >>> find_worst([0.5, float("nan"), 2.0])
        nan
    """
    return math.nan if any(map(math.isnan, shares)) else max(shares)


@dataclass(frozen=True)
class Differences:
    """The largest differences as shares of the tolerance, and the number of images and people compared."""

    score: float = 0.0
    box: float = 0.0
    keypoint: float = 0.0
    uncertainty: float = 0.0
    maps: float = 0.0
    num_images: int = 0
    num_people: int = 0

    def merge(self, other: Differences) -> Differences:
        """Return the larger differences of both, NaN where one is NaN, and the sum of what they compared."""
        mine, theirs = asdict(self), asdict(other)
        merged: dict[str, Any] = {
            name: value + theirs[name] if name.startswith("num_") else find_worst([value, theirs[name]])
            for name, value in mine.items()
        }
        return Differences(**merged)

    def find_largest(self) -> str:
        """Return the kind of the largest difference: ``score``, ``box``, ``keypoint``, ``uncertainty`` or ``maps``."""
        shares = {kind: getattr(self, kind) for kind in _WORDS}
        return max(shares, key=lambda kind: math.inf if math.isnan(shares[kind]) else shares[kind])

    def check(self, what: str, tolerance: Tolerance) -> None:
        """Check that the differences are within the tolerance.

        Args:
            what: Name of the file, for the message.
            tolerance: Tolerance to which the differences are relative.

        Raises:
            ExportError: A difference is larger than allowed, or is NaN.
        """
        kind = self.find_largest()
        share = getattr(self, kind)
        if not share <= 1:
            raise ExportError(
                f"{what} does not compute what PyTorch computes, and was not kept: {_WORDS[kind]} by {share:.3g} times "
                f"the tolerance ({tolerance.precision}: {tolerance.describe(kind)})."
            )


_WORDS = {
    "score": "a score differs",
    "box": "a box differs",
    "keypoint": "a keypoint differs",
    "uncertainty": "a standard deviation differs",
    "maps": "the maps differ",
}
