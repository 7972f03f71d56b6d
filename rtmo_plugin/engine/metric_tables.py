"""Metrics as human-readable tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_OF = " of "  # as in "AP of foot", the metric of a part of the keypoints or of a class


def find_average_precision(metrics: Mapping[str, float]) -> float | None:
    """Return the AP among ``metrics``, whatever data set its name begins with, or None."""
    name = find_average_precision_name(metrics)
    return None if name is None else metrics[name]


def find_average_precision_name(metrics: Mapping[str, float]) -> str | None:
    """Return the name of the AP among ``metrics``, or None."""
    return next((name for name in _leave_out_parts(metrics) if _strip_prefix(name) == "AP"), None)


def format_table(metrics: Mapping[str, float]) -> str:
    """Return ``metrics`` as a table of two lines, names above values, and those of parts as a table with a row each.

    Examples:
        >>> print(format_table({"coco/AP": 0.677, "coco/AP .5": 0.878}))
           AP  AP .5
        0.677  0.878
        >>> print(format_table({"x/AP": 0.4, "x/AP of body": 0.5, "x/AR of body": 0.6, "x/AP of foot": 0.3}))
           AP
        0.400
        <BLANKLINE>
                 AP     AR
        body  0.500  0.600
        foot  0.300      -
    """
    whole = _leave_out_parts(metrics)
    tables = [_format_rows([("", _name_columns(whole)), ("", _format_values(whole))])]
    parts: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        kind, is_part, part = name.partition(_OF)
        if is_part:
            parts.setdefault(part, {})[_strip_prefix(kind)] = value
    if parts:
        kinds = list(dict.fromkeys(kind for each in parts.values() for kind in each))
        rows = [(part, _format_values({kind: each.get(kind, -1) for kind in kinds})) for part, each in parts.items()]
        tables.append(_format_rows([("", kinds), *rows]))
    return "\n\n".join(tables)


def format_tables(models: Mapping[str, Mapping[str, float]], differences: Mapping[str, Mapping[str, float]]) -> str:
    """Return the metrics of several models under one head, and differences of them with their signs; none of parts.

    Examples:
        >>> print(format_tables({"a": {"coco/AP": 0.5}, "b": {"coco/AP": 0.625}}, {"b - a": {"coco/AP": 0.125}}))
                   AP
        a       0.500
        b       0.625
        b - a  +0.125
    """
    head = _name_columns(_leave_out_parts(next(iter(models.values()))))
    rows = [("", head), *((name, _format_values(_leave_out_parts(metrics))) for name, metrics in models.items())]
    changes = [
        (name, [f"{value:+.3f}" for value in _leave_out_parts(change).values()]) for name, change in differences.items()
    ]
    return _format_rows([*rows, *changes])


def _leave_out_parts(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics without those of a class or of a part of the keypoints."""
    return {name: value for name, value in metrics.items() if _OF not in name}


def _name_columns(metrics: Mapping[str, float]) -> list[str]:
    return [_strip_prefix(name) for name in metrics]


def _format_values(metrics: Mapping[str, float]) -> list[str]:
    # The COCO tools say -1 where the data have no person of that size.
    return [f"{value:.3f}" if value >= 0 else "-" for value in metrics.values()]


def _format_rows(rows: Sequence[tuple[str, list[str]]]) -> str:
    """Return named rows with their cells under each other, to the right; names only where there are any."""
    widest = max(len(name) for name, _ in rows)
    widths = [max(map(len, column)) for column in zip(*(cells for _, cells in rows))]
    names = [[name.ljust(widest)] if widest else [] for name, _ in rows]
    lines = zip(names, ([text.rjust(width) for text, width in zip(cells, widths)] for _, cells in rows))
    return "\n".join("  ".join([*name, *cells]) for name, cells in lines)


def _strip_prefix(name: str) -> str:
    return name.rpartition("/")[2]
