"""Tables of points that pandas wrote to HDF5, as DeepLabCut stores labels: read without running code.

``pandas.read_hdf`` unpickles what a file holds, which may be any program. Here h5py reads arrays and texts; the names
of the columns of an appendable table, which are pickled, are read by an unpickler that knows no classes.
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any, NoReturn

from rtmo_plugin.errors import DataError, MissingPackageError, write_install_line
from rtmo_plugin.files import check_regular
from rtmo_plugin.labels.tool_files.deeplabcut import LEVELS, PointTable, make_columns

_MAX_CELLS = 10**8


def read_point_table(file: Path) -> PointTable:
    """Return the table of a file, in pandas' form ``fixed`` or ``table``.

    Raises:
        MissingFileError: The file does not exist.
        MissingPackageError: h5py is not installed.
        DataError: The file is damaged, or does not hold one table of DeepLabCut.
    """
    check_regular(file)
    try:
        import h5py
    except ImportError:
        raise MissingPackageError(
            f"{file} needs the package h5py (the .csv beside it does not): {write_install_line('labels')}"
        ) from None
    try:
        with h5py.File(file, "r") as content:
            groups = [group for group in content.values() if "pandas_type" in group.attrs]
            if len(groups) != 1:
                raise DataError(f"{file} holds {len(groups)} tables of pandas, not one: convert its .csv file.")
            group = groups[0]
            is_table = group.attrs["pandas_type"] == b"frame_table"
            names, paths, rows = _read_appendable(group) if is_table else _read_fixed(group)
    except (OSError, KeyError, ValueError, IndexError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        if isinstance(error, DataError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{file} cannot be read as a table of pandas: {reason}; convert its .csv file.") from None
    columns = make_columns({level: names[level] for level in LEVELS if level in names}, str(file))
    if len(set(paths)) < len(paths):
        raise DataError(f"{file}: an image is there twice.")
    cells = [[None if math.isnan(number) else number for number in row] for row in rows]
    wrong = [path for path, row in zip(paths, cells) if any(cell in (math.inf, -math.inf) for cell in row)]
    if wrong:
        raise DataError(f"{file}: the image {wrong[0]} has an infinite coordinate.")
    return PointTable(columns, dict(zip(paths, cells)))


def _read_fixed(group: Any) -> tuple[dict[str, list[str]], list[str], list[list[float]]]:
    """Return names of the columns by level, image paths, and rows of a table in the form ``fixed``."""
    order = list(zip(*_read_index(group, "axis0").values()))
    paths = ["/".join(parts) for parts in zip(*_read_index(group, "axis1").values())]
    values: dict[tuple[str, ...], list[float]] = {}
    for number in range(int(group.attrs["nblocks"])):
        block = _read_array(group[f"block{number}_values"])
        items = zip(*_read_index(group, f"block{number}_items").values())
        values.update({item: [float(row[place]) for row in block] for place, item in enumerate(items)})
    columns = [values[column] for column in order]
    names = {level: list(column) for level, column in zip(_read_index(group, "axis0"), zip(*order))}
    return names, paths, [list(row) for row in zip(*columns)]


def _read_index(group: Any, name: str) -> dict[str, list[str]]:
    """Return an index of pandas: its texts by the name of the level; numbers name levels without a name."""
    if group.attrs[f"{name}_variety"] != b"multi":
        return {"0": [_decode(text) for text in _read_array(group[name])]}
    levels = {}
    for number in range(int(group.attrs[f"{name}_nlevels"])):
        texts = [_decode(text) for text in _read_array(group[f"{name}_level{number}"])]
        title = _decode(group[f"{name}_level{number}"].attrs["name"])
        places = [int(place) for place in _read_array(group[f"{name}_label{number}"])]
        if any(not 0 <= place < len(texts) for place in places):
            raise ValueError("an index has a missing entry")
        levels[title if title in LEVELS else str(number)] = [texts[place] for place in places]
    return levels


def _read_appendable(group: Any) -> tuple[dict[str, list[str]], list[str], list[list[float]]]:
    """Return names of the columns by level, image paths, and rows of a table in the form ``table``."""
    table = _read_array(group["table"])
    pickled = bytes(group["table"].attrs["values_block_0_kind"])
    columns = _PlainUnpickler(io.BytesIO(pickled)).load()
    if "values_block_1" in (table.dtype.names or ()):
        raise ValueError("its columns are of several types")
    titles = LEVELS if len(columns[0]) == len(LEVELS) else [level for level in LEVELS if level != "individuals"]
    names = {level: [str(column[place]) for column in columns] for place, level in enumerate(titles)}
    return (
        names,
        [_decode(text) for text in table["index"]],
        [[float(x) for x in row] for row in table["values_block_0"]],
    )


def _read_array(data: Any) -> Any:
    if data.size > _MAX_CELLS or data.dtype.hasobject:
        raise ValueError(f"{data.name} is too large, or holds pickled values")
    return data[()]


def _decode(text: Any) -> str:
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, tuples and texts, and nothing that names a class or function."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}")
