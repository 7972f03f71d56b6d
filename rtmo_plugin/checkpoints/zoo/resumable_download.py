"""Download one file from one address, however often the connection breaks.

What has arrived stays in a part file, and the next attempt asks only for the rest (HTTP ``Range``).
A server that does not know ``Range`` sends everything again, which is noticed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError

from rtmo_plugin.downloads import CHUNK_BYTES, ERRORS, Answer, DownloadLimitError, open_url
from rtmo_plugin.progress_bar import is_terminal

TIMEOUT_S = 20.0
MAX_DOWNLOAD_BYTES = 2 * 10**9  # of a model or an archive; the largest published one has 0.2 GB
_MAX_ATTEMPTS = 20
_RANGE_IS_BEYOND_END = 416
_PARTIAL_CONTENT = 206

Progress = Callable[[int, "int | None"], None]


class DownloadError(Exception):
    """A file cannot be downloaded from an address; the message says why."""


class ResumableDownload:
    """The download of one address into a part file, and what the server has said about it.

    Args:
        url: Address of the file.
        part: File for what has arrived; if it exists, only the rest is asked for.
        timeout_s: Seconds in which 64 KiB must arrive; otherwise the attempt ends.
        is_checked: True if the hash of the whole file is compared afterwards, so that parts from
            different times and places may be put together.
        show: Function that takes the number of received bytes, and of all bytes or None if that is unknown.
    """

    def __init__(self, url: str, part: Path, *, timeout_s: float, is_checked: bool, show: Progress) -> None:
        self._url, self._part, self._timeout_s = url, part, timeout_s
        self._is_checked, self._show = is_checked, show
        self._version: str | None = None  # by which the server can tell that its file has not changed

    def run(self) -> None:
        """Download, and continue after a broken connection as long as each attempt brings 64 KiB or more.

        Raises:
            DownloadError: The server refuses, stalls, or breaks off again and again.
        """
        if not self._is_checked:
            self._part.unlink(missing_ok=True)
        for _ in range(_MAX_ATTEMPTS):
            before = self._count_bytes()
            try:
                self._attempt()
                return
            except DownloadLimitError as error:
                self._part.unlink(missing_ok=True)
                raise DownloadError(f"it {error}") from error
            except ERRORS as error:
                if isinstance(error, HTTPError) or self._count_bytes() < before + CHUNK_BYTES:
                    reason = None if isinstance(error, HTTPError) else getattr(error, "reason", None)
                    cause = reason if isinstance(reason, (OSError, str)) else error  # urllib wraps it while connecting
                    raise DownloadError(str(cause) or type(error).__name__) from error
        raise DownloadError(f"the connection broke {_MAX_ATTEMPTS} times")

    def _count_bytes(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _attempt(self) -> None:
        """Ask once for what is missing, and append it to the part file."""
        start = self._count_bytes() if self._is_checked or self._version else 0
        headers = {"Range": f"bytes={start}-"} if start else {}
        if start and self._version and not self._is_checked:
            headers["If-Range"] = self._version
        try:
            with open_url(self._url, timeout_s=self._timeout_s, headers=headers) as response:
                start, total = self._agree(response, start)
                with self._part.open("ab") as file:
                    file.seek(file.truncate(start))
                    self._receive(response, file, total)
        except HTTPError as error:
            if not start or error.code != _RANGE_IS_BEYOND_END:
                raise
            if _read_total(error.headers.get("Content-Range")) != start:  # not a part of this file
                self._part.unlink()
                self._attempt()

    def _agree(self, response: Answer, start: int) -> tuple[int, int | None]:
        """Return from which byte on the server sends, and how many bytes the whole file has.

        Raises:
            DownloadError: It sends something else than it was asked for.
        """
        headers = response.headers
        if (headers.get("Content-Type") or "").startswith("text/html"):
            raise DownloadError("a web page came in place of the file")
        tag = headers.get("ETag") or ""
        # What names this version in ``If-Range``: a strong ETag, or the date.
        self._version = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
        if response.status == _PARTIAL_CONTENT:
            if not (headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
                raise DownloadError(f"it was asked for the bytes from {start} on, and sends others")
        else:
            start = 0
        length = headers.get("Content-Length") or ""
        return start, start + int(length) if length.isdigit() else None

    def _receive(self, response: Answer, file: BinaryIO, total: int | None) -> None:
        """Write what comes, and see that it keeps coming and that it is all.

        Raises:
            DownloadLimitError: It is too much.
            TimeoutError: It comes too slowly.
            ConnectionError: It ends early.
        """
        received = file.tell()
        if total is not None and total > MAX_DOWNLOAD_BYTES:
            raise DownloadLimitError(f"has more than {MAX_DOWNLOAD_BYTES / 1e6:g} MB, the limit")
        for chunk in response.read_chunks(MAX_DOWNLOAD_BYTES - received):
            file.write(chunk)
            received += len(chunk)
            self._show(received, total)
        if total is not None and received != total:
            raise ConnectionError(f"the connection broke after {received} of {total} bytes")


def _read_total(content_range: str | None) -> int | None:
    """Return the size of the whole file from ``Content-Range``, if it is there.

    Examples:
        >>> _read_total("bytes 200-999/1000")
        1000
    """
    found = re.search(r"/(\d+)$", content_range or "")
    return int(found[1]) if found else None


def show_percentage(received: int, total: int | None) -> None:
    """Show on a terminal how much of a file has arrived."""
    if is_terminal():
        share = f"{received / total:4.0%}" if total else f"{received / 1e6:.0f} MB"
        print(f"\r{share}", end="\n" if received == total else "", file=sys.stderr, flush=True)
