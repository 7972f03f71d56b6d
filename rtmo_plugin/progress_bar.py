"""The progress bar of every command: on terminals only, also on those that do not tell their size."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_FALLBACK_COLUMNS, _FALLBACK_ROWS = 80, 24


def is_terminal() -> bool:
    """Whether stderr, on which bars are drawn, is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()  # None: closed by the shell with 2>&-


def write_above_bar(text: str) -> None:
    """Print to stdout, above the bar where both are on a terminal.

    tqdm's own way keeps its lock, and so the process, where the reader of a pipe has gone.
    """
    if sys.stdout.isatty():
        from tqdm import tqdm

        tqdm.write(text, file=sys.stdout)
    else:
        print(text)


def show_progress(items: Iterable[Any] | None = None, **options: Any) -> tqdm[Any]:
    """Return ``items`` with a progress bar on stderr; nothing is drawn unless stderr is a terminal.

    A terminal of no columns or rows (``script`` without one, some containers) does not know its size, and
    tqdm would draw nothing at all on it: 80 columns are assumed there.

    Args:
        items: Iterable to count; None for a bar that is advanced with ``update``.
        **options: Options of tqdm, such as ``desc``, ``total``, ``unit``.
    """
    from tqdm import tqdm  # slow to import, and programs have no bars

    if _is_size_known():
        return tqdm(items, disable=not is_terminal(), dynamic_ncols=True, **options)
    return tqdm(items, disable=not is_terminal(), ncols=_FALLBACK_COLUMNS, nrows=_FALLBACK_ROWS, **options)


def _is_size_known() -> bool:
    """Whether the terminal has room for a bar and the cursor below it, by its own account."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # not a terminal, or a stream of the program's own
        return True
    return size.columns > 0 and size.lines > 1
