"""The catalogue as a table to read."""

from __future__ import annotations

from rtmo_plugin.checkpoints.zoo.cache import get_cache_folder, locate
from rtmo_plugin.checkpoints.zoo.catalogue import CATALOGUE, Weights

_HEADER = ("name", "AP", "on", "bytes", "SHA-256", "here")
_UNKNOWN = "unknown"


def format_catalogue() -> str:
    """Return the catalogue as lines of text, and where its files are kept."""
    rows = [_HEADER, *map(_format_row, CATALOGUE.values())]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    notes = (
        "AP as MMPose publishes it; sizes and SHA-256 as far as they are known (a checkpoint's name has 8 digits).",
        f"Files are kept in {get_cache_folder()}.",
    )
    return "\n".join([*lines, "", *notes])


def _format_row(weights: Weights) -> tuple[str, ...]:
    return (
        weights.name,
        f"{weights.ap:.3f}" if weights.ap else "-",
        weights.ap_on if weights.ap else "-",
        f"{weights.size:,}" if weights.size else _UNKNOWN,
        (weights.sha256 or _UNKNOWN)[:8],
        "yes" if locate(weights).is_file() else "no",
    )
