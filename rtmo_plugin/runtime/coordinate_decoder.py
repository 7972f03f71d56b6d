"""The Dynamic Coordinate Classifier in NumPy, for files that end before it (the cut ``raw``).

Its weights travel in an ``.npz`` file beside the model.  Formulas and letters as in
``rtmo_plugin.models.heads.dcc``, which is the reference of the tests.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import check_regular, replace_file
from rtmo_plugin.keypoints.person_boxes import PERSON_SHARE

Floats = NDArray[np.floating[Any]]


def _make_empty() -> Floats:
    return np.zeros(0, np.float32)


_NORM_EPS = 1e-5
_ADDED_LATER = ("sigma_weight", "sigma_bias", "sigma_limits")
MAX_PARAMETER_BYTES = 10**8  # unpacked; the largest model has 2 MB


@dataclass(frozen=True)
class CoordinateParameters:
    """Weights and settings of the classifier; the arrays of attention are empty in a model without it."""

    pose_weight: Floats  # (K x F, D)
    pose_bias: Floats  # (K x F,)
    norm_gain: Floats  # (1,)
    uv_weight: Floats  # (2 x V + A, F)
    scale: Floats  # (2, A) of queries and keys
    offset: Floats  # (2, K, A) of queries and keys, positions added
    out_weight: Floats  # (F, V)
    residual: Floats  # (F,)
    projection_x: Floats  # (F, E)
    projection_y: Floats  # (F, E)
    encoding_x: Floats  # (X, E) where they are learned
    encoding_y: Floats  # (Y, E)
    num_bins: NDArray[np.int64]  # (2,)
    temperature: Floats  # ()
    box_padding: Floats  # ()
    covers_image: NDArray[np.bool_]  # () the bins cover the image instead of the box
    # Of standard deviations; empty in files of earlier versions.
    sigma_weight: Floats = field(default_factory=_make_empty)  # (K, D)
    sigma_bias: Floats = field(default_factory=_make_empty)  # (K,)
    sigma_limits: Floats = field(default_factory=_make_empty)  # (2,) least and largest sigma

    def save(self, path: Path) -> None:
        """Write the parameters to an ``.npz`` file."""
        arrays: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        with replace_file(path) as draft:
            np.savez(draft, **arrays)

    @classmethod
    def load(cls, path: Path) -> CoordinateParameters:
        """Read parameters that ``save`` wrote.

        Raises:
            MissingFileError: The file does not exist.
            DataError: The file is of another kind or too large.
        """
        if not path.is_file():
            raise MissingFileError(f"{path} is missing: a file with the cut raw needs the parameters written with it.")
        try:
            check_regular(path)
            with zipfile.ZipFile(path) as archive:
                if sum(each.file_size for each in archive.infolist()) > MAX_PARAMETER_BYTES:
                    raise DataError(f"{path} unpacks to more than {MAX_PARAMETER_BYTES / 1e6:g} MB, the limit.")
            with np.load(path, allow_pickle=False) as arrays:
                names = [each.name for each in fields(cls) if each.name in arrays or each.name not in _ADDED_LATER]
                return cls(**{name: arrays[name] for name in names})
        except DataError:
            raise
        except (KeyError, ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} does not hold the parameters of a coordinate classifier.") from error


def locate_parameters(model: Path) -> Path:
    """Return the path of the parameters beside a model file, which ends with ``.npz``."""
    return model.with_suffix(".npz")


class CoordinateDecoder:
    """Decoder from pose vectors and boxes to keypoints.

    Args:
        parameters: Weights and settings of the classifier.
    """

    def __init__(self, parameters: CoordinateParameters) -> None:
        self._p = parameters
        num_features = parameters.projection_x.shape[0]
        self._shape = (len(parameters.pose_bias) // num_features, num_features)  # K, F

    def locate(self, poses: Floats, boxes: Floats, centers: Floats, size_wh: tuple[int, int]) -> Floats:
        """Return the keypoints of N people.

        Args:
            poses: (N, D) pose vectors.
            boxes: (N, 4) x1, y1, x2, y2.
            centers: (N, 2) centers of the priors.
            size_wh: Input width and height in pixels.

        Returns:
            (N, K, 2) x and y in pixels of the input.
        """
        sides = self._classify(poses, boxes, centers, size_wh)
        return np.stack([(probs @ steps[..., None])[..., 0] + middle for probs, steps, middle in sides], axis=-1)

    def locate_with_deviations(
        self, poses: Floats, boxes: Floats, centers: Floats, size_wh: tuple[int, int]
    ) -> tuple[Floats, Floats]:
        """Return the keypoints of N people, and their standard deviations.

        Formulas as in ``rtmo_plugin.models.heads.uncertainty``; arguments as in ``locate``.

        Returns:
            (N, K, 2) x and y, and (N, K, 2) standard deviations, in pixels of the input.
        """
        p, keypoints, spreads = self._p, [], []
        for probs, steps, middle in self._classify(poses, boxes, centers, size_wh):
            mean = probs @ steps[..., None]
            spreads.append((probs * np.square(steps[:, None] - mean)).sum(axis=-1))
            keypoints.append(mean[..., 0] + middle)
        logits = poses @ p.sigma_weight.T + p.sigma_bias
        least, largest = p.sigma_limits
        sigmas = np.maximum(largest / (1 + np.exp(-np.clip(logits, -80, None))), least)
        areas = PERSON_SHARE * np.maximum(boxes[:, 2:] - boxes[:, :2], 1).prod(axis=-1)
        variances = np.stack(spreads, axis=-1) + (8 * np.square(sigmas) * areas[:, None])[..., None]
        return np.stack(keypoints, axis=-1), np.sqrt(variances)

    def _classify(
        self, poses: Floats, boxes: Floats, centers: Floats, size_wh: tuple[int, int]
    ) -> Iterator[tuple[Floats, Floats, Floats]]:
        """Yield for x and y the probabilities (N, K, X), the bins (N, X), and their middles (N, 1)."""
        p = self._p
        features = self._mix((poses @ p.pose_weight.T + p.pose_bias).reshape(len(poses), *self._shape))
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        lengths = (boxes[:, 2:] - boxes[:, :2]) * np.float32(p.box_padding)
        if p.covers_image:  # the bins lie over the whole image, not over each padded box
            lengths = np.broadcast_to(np.array(size_wh, np.float32), (len(boxes), 2))
            middles = lengths / 2
        sides = ((p.projection_x, p.encoding_x), (p.projection_y, p.encoding_y))
        for axis, (projection, learned) in enumerate(sides):
            unit = np.linspace(-0.5, 0.5, int(p.num_bins[axis]), dtype=np.float32)
            steps = unit * lengths[:, axis, None]
            offsets = steps + (middles[:, axis] - centers[:, axis])[:, None]
            encoding = learned
            if not learned.size:  # (N, X, E) cosines and sines of the offsets
                half = projection.shape[1] // 2
                periods = float(p.temperature) ** (np.arange(half, dtype=np.float32) / np.float32(half))
                angles = offsets[..., None] / periods.astype(np.float32)
                encoding = np.concatenate([np.cos(angles), np.sin(angles)], axis=-1)
            logits = np.matmul(features @ projection, np.swapaxes(encoding, -1, -2))
            powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
            probs = powers / powers.sum(axis=-1, keepdims=True)
            yield probs, steps, middles[:, axis, None]

    def _mix(self, features: Floats) -> Floats:
        """Return (N, K, F) features after gated attention between the keypoints."""
        p = self._p
        if not p.uv_weight.size:
            return features
        rms = np.sqrt(np.square(features).mean(axis=-1, keepdims=True))
        hidden = (features / np.maximum(rms, _NORM_EPS) * p.norm_gain) @ p.uv_weight.T
        hidden = hidden / (1 + np.exp(-np.clip(hidden, -80, None)))
        width, queries = p.out_weight.shape[1], p.scale.shape[1]
        gate, value, base = np.split(hidden, [width, 2 * width], axis=-1)
        query, key = (base * p.scale[i] + p.offset[i] for i in range(2))
        weights = np.square(np.maximum(query @ np.swapaxes(key, 1, 2) / queries**0.5, 0))
        mixed: Floats = p.residual * features + (gate * (weights @ value)) @ p.out_weight.T
        return mixed
