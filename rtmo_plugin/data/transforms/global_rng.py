"""Draws from NumPy's global random generator, which MMEngine seeds in each worker and MMCV and MMPose use as well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def coin_flip(prob: float) -> bool:
    """Return True with probability ``prob``."""
    return np.random.rand() < prob  # noqa: NPY002  (see above)


def draw_index(probs: Sequence[float]) -> int:
    """Return a random index with the given probabilities."""
    return int(np.random.choice(len(probs), p=probs))  # noqa: NPY002


def draw_uniform(low: float, high: float) -> float:
    """Return a number between ``low`` and ``high``."""
    return np.random.uniform(low, high)  # noqa: NPY002


def draw_signed(size: int) -> NDArray[np.float64]:
    """Return ``size`` numbers between -1 and 1."""
    return np.random.uniform(-1, 1, size)  # noqa: NPY002


def draw_integer(below: int) -> int:
    """Return an integer from 0 to ``below`` - 1."""
    return int(np.random.randint(0, below))  # noqa: NPY002


def draw_bits(size: int) -> NDArray[np.int64]:
    """Return ``size`` zeros and ones."""
    return np.random.randint(0, 2, size)  # noqa: NPY002


def draw_order(size: int) -> list[int]:
    """Return the integers from 0 to ``size`` - 1 in a random order."""
    order: list[int] = np.random.permutation(size).tolist()  # noqa: NPY002
    return order
