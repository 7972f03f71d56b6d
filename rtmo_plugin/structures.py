"""The data that passes between the parts of RTMO: frozen dataclasses, shapes in comments.

Shape letters, used in the whole package:

    B images    P priors    G people in the ground truth (padded)    N selected priors
    K keypoints    C classes    D pose vector channels    X, Y bins

Coordinates are pixels of the network's input unless a name says otherwise (``_stride``: in units of
the prior's stride).  torch is imported for type checkers only, so that the runtimes which run
exported models can use ``KeypointSchema`` without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class KeypointSchema:
    """The K keypoints of a data set: names, OKS sigmas, left-right pairs, skeleton.

    Attributes:
        names: K names.
        sigmas: K standard deviations of the object keypoint similarity, relative to sqrt(area).
        flip_pairs: Pairs of indices that a horizontal flip exchanges.
        skeleton: Pairs of indices to draw as limbs.

    Raises:
        ValueError: No keypoint, another number of sigmas than of names, a sigma that is not
            positive, or an index outside 0..K-1.

    Examples:
        >>> KeypointSchema(names=("head", "tail"), sigmas=(0.05, 0.1)).num_keypoints
        2
    """

    names: tuple[str, ...]
    sigmas: tuple[float, ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not self.names or len(self.sigmas) != len(self.names):
            raise ValueError(
                f"A keypoint set needs one sigma for each name, got {len(self.names)} names and "
                f"{len(self.sigmas)} sigmas."
            )
        if any(not sigma > 0 for sigma in self.sigmas):
            raise ValueError(f"Keypoint sigmas must be positive, got {self.sigmas}.")
        for name in ("flip_pairs", "skeleton"):
            outside = [i for pair in getattr(self, name) for i in pair if not 0 <= i < len(self.names)]
            if outside:
                raise ValueError(f"{name} names keypoint {outside[0]}, but there are only {len(self.names)}.")

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.names)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> KeypointSchema:
        """Build a schema from a plain dict, as a config holds it.

        Raises:
            ValueError: An unknown field, or ``names`` or ``sigmas`` missing.
        """
        known = [field.name for field in fields(cls)]
        wrong = sorted(set(values) - set(known)) or [name for name in known[:2] if name not in values]
        if wrong:
            raise ValueError(f"A keypoint set has the fields {known}, the first two required; check {wrong}.")
        pairs = {name: tuple((int(a), int(b)) for a, b in values.get(name, ())) for name in ("flip_pairs", "skeleton")}
        return cls(names=tuple(values["names"]), sigmas=tuple(float(s) for s in values["sigmas"]), **pairs)


@dataclass(frozen=True)
class Priors:
    """The cells of all feature maps, in the order of the flattened predictions."""

    centers: Tensor  # (P, 2) x, y
    strides: Tensor  # (P,) pixels


@dataclass(frozen=True)
class DensePredictions:
    """The outputs of the head at every prior."""

    priors: Priors
    class_logits: Tensor  # (B, P, C)
    box_deltas: Tensor  # (B, P, 4) center offset and log size, in strides
    boxes: Tensor  # (B, P, 4) x1, y1, x2, y2, decoded from box_deltas
    visibility_logits: Tensor  # (B, P, K)
    pose_vectors: Tensor  # (B, P, D)
    proxy_keypoints: Tensor | None = None  # (B, P, K, 2), in training only


@dataclass(frozen=True)
class People:
    """The ground truth of a batch, padded to the image with the most people."""

    is_person: Tensor  # (B, G) bool, False in the padding
    labels: Tensor  # (B, G) long, 0..C-1
    boxes: Tensor  # (B, G, 4) x1, y1, x2, y2
    keypoints: Tensor  # (B, G, K, 2)
    visible: Tensor  # (B, G, K) 1 where the keypoint is labeled
    visible_weights: Tensor  # (B, G, K) how much the visibility label counts
    areas: Tensor  # (B, G) pixels squared


@dataclass(frozen=True)
class Assignment:
    """The person that each prior is assigned to."""

    person: Tensor  # (B, P) long, index into G, -1 for background
    quality: Tensor  # (B, P) similarity of the prior's proxy pose or box to that person, 0 elsewhere


@dataclass(frozen=True)
class Targets:
    """The ground truth of the N assigned priors, image by image, in the order of the priors."""

    image: Tensor  # (N,) long, index into B
    prior: Tensor  # (N,) long, index into P
    labels: Tensor  # (N,) long
    boxes: Tensor  # (N, 4)
    keypoints: Tensor  # (N, K, 2)
    visible: Tensor  # (N, K)
    visible_weights: Tensor  # (N, K)
    areas: Tensor  # (N,)
    quality: Tensor  # (N,)
    class_weights: Tensor  # (B, P, 1) 0..1, less than 1 where people are not labeled


@dataclass(frozen=True)
class CoordinateDistribution:
    """Output of the Dynamic Coordinate Classifier: a distribution over bins for each keypoint and axis."""

    probs_x: Tensor  # (N, K, X), sums to 1 over X
    probs_y: Tensor  # (N, K, Y)
    bins_x: Tensor  # (N, X) coordinate of each bin
    bins_y: Tensor  # (N, Y)
    sigmas: Tensor  # (N, K) learned scale of the error, relative to sqrt(area)
    keypoints: Tensor  # (N, K, 2), the expectation of the two distributions

    def __getitem__(self, people: Tensor) -> CoordinateDistribution:
        """Return the distributions of the people that a mask or indices select."""
        return CoordinateDistribution(*(value[people] for value in vars(self).values()))
