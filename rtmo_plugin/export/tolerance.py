"""How far a file may be from PyTorch, and how far it was found to be."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from rtmo_plugin.errors import ExportError


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from PyTorch.

    Attributes:
        score: Of scores of people and keypoints.
        box: Of box corners, relative to the longer side of the box.
        keypoint: Pixels of the input.
        maps: Of the head's maps: norm of the difference relative to the norm.
        disturbance: Relative size of what rounding does to the head's outputs.
        outliers: Share of the people, and of their scores, boxes and keypoints, that may be anywhere.
    """

    score: float
    box: float
    keypoint: float
    maps: float
    disturbance: float
    outliers: float = 0.0


FLOAT32 = Tolerance(score=0.002, box=0.002, keypoint=0.5, maps=0.002, disturbance=0.0005)
# Wide, because untrained weights multiply rounding; what was found is reported.
FLOAT16 = Tolerance(score=0.15, box=0.2, keypoint=4.0, maps=0.15, disturbance=0.05)
# As wide, and for half of the people, to find a file that is wholly wrong: beside people and in images
# unlike those of the training eight bits change a lot that AP does not see.  What they cost, AP says.
INT8 = Tolerance(score=0.25, box=0.3, keypoint=8.0, maps=0.35, disturbance=0.1, outliers=0.5)


def choose_tolerance(precision: str) -> Tolerance:
    """Return what a file of a precision, ``float32``, ``float16`` or ``int8``, is held to."""
    return {"float32": FLOAT32, "float16": FLOAT16, "int8": INT8}[precision]


@dataclass(frozen=True)
class Differences:
    """The largest differences as shares of the tolerance, and how much was compared."""

    score: float = 0.0
    box: float = 0.0
    keypoint: float = 0.0
    maps: float = 0.0
    num_images: int = 0
    num_people: int = 0

    def merge(self, other: Differences) -> Differences:
        """Return the larger differences of both, and the sum of what they compared."""
        mine, theirs = asdict(self), asdict(other)
        merged = {n: (v + theirs[n] if n.startswith("num_") else max(v, theirs[n])) for n, v in mine.items()}
        return Differences(**merged)

    def check(self, what: str) -> None:
        """Accept the differences.

        Raises:
            ExportError: One is larger than allowed, or no number; the message calls the file ``what``.
        """
        names = {"score": "a score differs", "box": "a box differs", "keypoint": "a keypoint differs"}
        for name, words in {**names, "maps": "the maps differ"}.items():
            share = getattr(self, name)
            if not share <= 1:
                raise ExportError(
                    f"{what} does not compute what PyTorch computes: {words} by {share:.3g} times the tolerance, "
                    "so the file was not kept."
                )
