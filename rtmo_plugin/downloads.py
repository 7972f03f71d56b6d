"""Responses of web servers, read within limits of bytes and time and with a minimum rate.

The timeout of a socket limits only the wait for the next byte: a server that sends one byte per second, in the header
or the body, would never end.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

CHUNK_BYTES = 1 << 16  # must arrive within each timeout
ERRORS = (OSError, ValueError, http.client.HTTPException)  # ValueError: malformed addresses


class DownloadLimitError(Exception):
    """A response exceeds a limit of bytes or time; the message names the limit, and continues the address."""


class Answer:
    """Response of a server, read within limits.

    Args:
        response: Response of urllib.
        watch: Thread that cuts the connection when it is too slow.
        timeout_s: Seconds in which ``CHUNK_BYTES`` must arrive.
        total_s: Seconds for the whole response. Default: unlimited, as long as the rate is kept.

    Attributes:
        status: HTTP status.
        headers: HTTP headers.
    """

    def __init__(self, response: Any, watch: _Watch, timeout_s: float, total_s: float | None) -> None:
        self._response, self._watch, self._timeout_s = response, watch, timeout_s
        self._end = None if total_s is None else time.monotonic() + total_s
        self.status: int = response.status
        self.headers: Any = response.headers

    def read_chunks(self, max_bytes: int) -> Iterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            DownloadLimitError: The body has more than ``max_bytes``, or takes more than the total time.
            TimeoutError: The body arrives too slowly.
            OSError: The connection breaks. Errors of ``http.client`` are raised too.
        """
        received = counted = 0
        self._extend()
        while chunk := self._read():
            received += len(chunk)
            if received > max_bytes:
                raise DownloadLimitError(f"has more than {max_bytes / 1e6:g} MB, the limit")
            if received - counted >= CHUNK_BYTES:
                counted = received
                self._extend()
            yield chunk

    def _read(self) -> bytes:
        try:
            chunk: bytes = self._response.read1(CHUNK_BYTES)
        except ERRORS as error:
            if self._watch.has_cut:
                raise self._explain() from error
            raise
        if self._watch.has_cut:  # the cut looks like the end of the body
            raise self._explain()
        return chunk

    def _explain(self) -> Exception:
        if self._end is not None and time.monotonic() >= self._end:
            return DownloadLimitError("takes more time than the limit")
        return TimeoutError(f"less than {CHUNK_BYTES // 1024} KiB came in {self._timeout_s:g} s")

    def _extend(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        self._watch.set_deadline(deadline if self._end is None else min(deadline, self._end))


@contextmanager
def open_url(
    url: str, *, timeout_s: float, total_s: float | None = None, headers: Mapping[str, str] | None = None
) -> Iterator[Answer]:
    """Open a web address.

    Args:
        url: Address with ``http``, ``https`` or ``file``; a server cannot redirect to ``file``.
        timeout_s: Seconds for the header of the response, and for each 64 KiB of the body.
        total_s: Seconds for the body. Default: unlimited, as long as the rate is kept.
        headers: Additional headers of the request.

    Raises:
        TimeoutError: The header does not arrive in time.
        OSError: The address cannot be reached. ``ValueError`` and errors of ``http.client`` are raised too.
    """
    watch = _Watch(time.monotonic() + timeout_s)
    try:
        opener = urllib.request.build_opener(_WatchedHandler(watch))
        request = urllib.request.Request(url, headers={"User-Agent": "rtmo-plugin", **(headers or {})})
        try:
            response = opener.open(request, timeout=timeout_s)
        except ERRORS as error:
            if watch.has_cut:
                raise TimeoutError(f"no answer came in {timeout_s:g} s") from error
            raise
        with response:
            if watch.has_cut:  # the cut looks like the end of the header
                raise TimeoutError(f"no answer came in {timeout_s:g} s")
            yield Answer(response, watch, timeout_s, total_s)
    finally:
        watch.stop()


class _Watch(threading.Thread):
    """Thread that cuts connections at a deadline, even while another thread waits for them.

    Args:
        deadline: Time of the monotonic clock.
    """

    def __init__(self, deadline: float) -> None:
        super().__init__(daemon=True, name="download watch")
        self.has_cut = False
        self._deadline, self._is_stopped = deadline, False
        self._sockets: list[socket.socket] = []
        self._changed = threading.Condition()
        self.start()

    def connect(self, *arguments: Any, **options: Any) -> socket.socket:
        """Return a new watched connection."""
        connection = socket.create_connection(*arguments, **options)
        with self._changed:
            self._sockets.append(connection.dup())  # TLS takes over the connection itself
        return connection

    def set_deadline(self, deadline: float) -> None:
        """Set another deadline."""
        with self._changed:
            self._deadline = deadline
            self._changed.notify()

    def stop(self) -> None:
        """Stop watching."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self.join()

    def run(self) -> None:
        """Wait for the deadline, or for ``stop``."""
        with self._changed:
            while not self._is_stopped and (left := self._deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            self.has_cut = not self._is_stopped
            for connection in self._sockets:
                if self.has_cut:
                    with suppress(OSError):  # it is closed already
                        connection.shutdown(socket.SHUT_RDWR)
                connection.close()


class _WatchedHandler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens ``http`` and ``https`` addresses with watched connections; replaces both handlers of urllib."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: Any) -> Any:
        return self._connect(http.client.HTTPConnection, req)

    def https_open(self, req: Any) -> Any:
        return self._connect(http.client.HTTPSConnection, req)

    def _connect(self, kind: Any, req: Any) -> Any:
        def make_connection(host: str, **options: Any) -> http.client.HTTPConnection:
            connection: http.client.HTTPConnection = kind(host, **options)
            connection._create_connection = self._watch.connect  # type: ignore[attr-defined]
            return connection

        return self.do_open(make_connection, req)
