"""Labels of people who are covered by something that is drawn over them.

As in COCO, a keypoint that is covered stays labeled, as hidden: its visibility of 2 becomes 1. MMPose's records say
only whether a keypoint is labeled, 0 or 1, so there nothing changes. Boxes and areas stay those of the whole person:
OKS divides by the area, and a person does not become smaller behind a table.

Shape letters: G people, K keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.data.transforms.person_labels import PersonLabels

_OPAQUE = 128  # of 255


def find_labeled(visible: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which keypoints are labeled, (G, K), from ``keypoints_visible``, with weights or without."""
    is_labeled: NDArray[np.bool_] = (visible[..., 0] if visible.ndim == 3 else visible) > 0
    return is_labeled


def find_on_mask(
    keypoints: NDArray[Any], mask: NDArray[np.uint8], corner_xy: Sequence[int] = (0, 0)
) -> NDArray[np.bool_]:
    """Return which keypoints (G, K, 2) lie on a mask (h, w), whose upper left corner is at ``corner_xy``.

    Examples:
        >>> mask = np.array([[0, 255]], np.uint8)
        >>> find_on_mask(np.array([[[10, 5], [11, 5], [12, 5]]]), mask, (10, 5)).tolist()
        [[False, True, False]]
    """
    columns, rows = (np.rint(keypoints) - corner_xy).astype(int).transpose(2, 0, 1)
    height, width = mask.shape
    is_inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    levels = mask[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    on_mask: NDArray[np.bool_] = is_inside & (levels >= _OPAQUE)
    return on_mask


def hide_keypoints(
    people: Mapping[str, Any], mask: NDArray[np.uint8], corner_xy: Sequence[int], max_covered: float
) -> PersonLabels | None:
    """Return the labels of people over whom something is drawn.

    Args:
        people: Labels, or a record that holds them.
        mask: (h, w) opacity of what is drawn, from 0 to 255.
        corner_xy: Its upper left corner in pixels.
        max_covered: Largest share of a person's labeled keypoints that may be covered.

    Returns:
        ``keypoints_visible``, with 1 in place of 2 for covered keypoints; None if more of a person would be covered.
    """
    visible = people["keypoints_visible"]
    labeled = find_labeled(visible)
    covered = find_on_mask(people["keypoints"], mask, corner_xy) & labeled
    if (covered.sum(axis=1) > max_covered * labeled.sum(axis=1)).any():
        return None
    hidden = visible.copy()
    where = (covered, 0) if visible.ndim == 3 else covered
    hidden[where] = np.minimum(hidden[where], 1)
    return {"keypoints_visible": hidden}
