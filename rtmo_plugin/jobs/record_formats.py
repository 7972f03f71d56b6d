"""Files of records: JSON lines or Parquet, written and read.

A record is what ``PoseResult.to_dict`` returns; both formats hold the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import ConfigError, DataError

Record = dict[str, Any]


def check_format(name: str) -> None:
    """Check the name of a format of records.

    Raises:
        ConfigError: The format does not exist, or its package is not installed.
    """
    if name not in FORMATS:
        raise ConfigError(f"Records cannot be written as {name!r}: choose {' or '.join(FORMATS)}.")
    if name == "parquet" and not find_spec("pyarrow"):
        raise ConfigError("Parquet needs a package: pip install pyarrow")


def encode(records: Sequence[Record], name: str) -> bytes:
    """Return the content of a file of records."""
    return FORMATS[name][0](records)


def decode(path: Path) -> Iterable[Record]:
    """Return an iterator over the records of a file, whose suffix names the format.

    Raises:
        DataError: The file is damaged, found while iterating; the message names the place.
    """
    return FORMATS[path.suffix[1:]][1](path)


def _encode_lines(records: Sequence[Record]) -> bytes:
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records).encode()


def _decode_lines(path: Path) -> Iterable[Record]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict) or not line.endswith(b"\n"):
                raise DataError(f"line {number} of {path} is not a whole record")
            yield record


def _encode_parquet(records: Sequence[Record]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    text, number, numbers = pyarrow.string(), pyarrow.float64(), pyarrow.list_(pyarrow.float64())
    person = {"score": number, "box": numbers, "keypoints": pyarrow.list_(numbers), "class": text}
    people = pyarrow.list_(pyarrow.struct(person.items()))
    columns = {"image": text, "index": pyarrow.int64(), "time": number, "people": people, "error": text}
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(records, pyarrow.schema(columns.items())), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _decode_parquet(path: Path) -> Iterable[Record]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for record in batch.to_pylist():
                    # JSON has a class only where there is one.
                    people = [{key: each[key] for key in each if each[key] is not None} for each in record["people"]]
                    yield {**record, "people": people}
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a whole Parquet file ({' '.join(str(error).split())[:200]})") from error


_Encode = Callable[[Sequence[Record]], bytes]
_Decode = Callable[[Path], Iterable[Record]]
FORMATS: dict[str, tuple[_Encode, _Decode]] = {
    "jsonl": (_encode_lines, _decode_lines),
    "parquet": (_encode_parquet, _decode_parquet),
}
