"""The progress bar of all commands: shown on terminals only, including those of unknown size."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_FALLBACK_COLUMNS, _FALLBACK_ROWS = 80, 24


def is_terminal() -> bool:
    """Whether stderr, where bars are drawn, is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()  # None if the shell closed it with 2>&-


def write_above_bar(text: str) -> None:
    """Print to stdout, above the bar if stdout is a terminal.

    Into a pipe, ``tqdm.write`` would hold its lock and hang the process after the reader has gone.
    """
    if sys.stdout.isatty():
        from tqdm import tqdm

        tqdm.write(text, file=sys.stdout)
    else:
        print(text)


def show_progress(items: Iterable[Any] | None = None, **options: Any) -> tqdm[Any]:
    """Return ``items`` with a progress bar on stderr; nothing is drawn unless stderr is a terminal.

    A terminal with zero columns or rows (under ``script`` or in some containers) does not know its size, and tqdm would
    draw nothing: 80 columns are assumed.

    Args:
        items: Iterable to count. None: the bar is advanced with ``update``.
        **options: Options of tqdm, such as ``desc``, ``total``, ``unit``.
    """
    from tqdm import tqdm  # slow to import, and not needed without a bar

    try:
        size = os.get_terminal_size(sys.stderr.fileno())
        has_room = size.columns > 0 and size.lines > 1  # for a bar, and the cursor below it
    except (AttributeError, OSError, ValueError):  # not a terminal, or a stream of the caller
        has_room = True
    if has_room:
        return tqdm(items, disable=not is_terminal(), dynamic_ncols=True, **options)
    return tqdm(items, disable=not is_terminal(), ncols=_FALLBACK_COLUMNS, nrows=_FALLBACK_ROWS, **options)
