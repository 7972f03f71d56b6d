"""Metrics as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping


def find_average_precision(metrics: Mapping[str, float]) -> float | None:
    """Return the AP among ``metrics``, whatever data set its name begins with, or None."""
    return next((value for name, value in metrics.items() if _strip_prefix(name) == "AP"), None)


def format_table(metrics: Mapping[str, float]) -> str:
    """Return ``metrics`` as a table of two lines: names above values.

    Example:
        >>> print(format_table({"coco/AP": 0.677, "coco/AP .5": 0.878}))
           AP  AP .5
        0.677  0.878
    """
    # The COCO tools say -1 where the data have no person of that size.
    cells = [(_strip_prefix(name), f"{value:.3f}" if value >= 0 else "-") for name, value in metrics.items()]
    widths = [max(map(len, cell)) for cell in cells]
    rows = zip(*cells)
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(row, widths)) for row in rows)


def _strip_prefix(name: str) -> str:
    return name.rpartition("/")[2]
