"""HTTP connections with limits of time and number, so that idle and slow clients never keep others out."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_S = 10.0  # for the header of a request, from the connection or its first byte
REQUEST_S = 180.0  # for a whole request: to receive it, to process it, and to send the answer
MAX_CONNECTIONS = 256


class LimitedProtocol(H11Protocol):
    """Closes connections whose request or header takes too long; when there are too many, the one that waits longest.

    Uvicorn itself bounds only the time between requests.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._is_waiting = True  # for the header of a request

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a header, and make room for it."""
        super().connection_made(transport)
        self._start(HEADER_S)
        if len(self.connections) > MAX_CONNECTIONS:
            others = [each for each in self.connections if isinstance(each, LimitedProtocol) and each is not self]
            # Those who wait for a header come first, then those whose image has not arrived.
            owing = [each for each in others if each._is_waiting] or [each for each in others if each._is_sending]
            if owing:
                oldest = min(owing, key=lambda each: each._deadline)
                self.connections.discard(oldest)  # at once: others may come before its connection is lost
                oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on; another limit holds once the header is complete."""
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Stop the clock once the answer is sent: uvicorn bounds the time until the next request begins."""
        self._stop()
        self._is_waiting = self.transport.get_write_buffer_size() == 0
        if not self._is_waiting:  # the client has not read it yet
            self._start(REQUEST_S)
        super().on_response_complete()
        if self.conn.their_state is not h11.IDLE:  # the next request was there already
            self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the connection at once if its request is still to arrive, else after the answer."""
        if self._is_sending:
            self.transport.abort()
        else:
            super().shutdown()

    @property
    def _is_sending(self) -> bool:
        return self.conn.their_state is h11.SEND_BODY

    @property
    def _deadline(self) -> float:
        return self._timer.when() if self._timer else 0.0  # between requests: the first to go

    def _follow(self) -> None:
        """Start the clock that the state of the connection asks for, unless it runs."""
        is_waiting = self.conn.their_state is h11.IDLE
        if self._timer is None or is_waiting != self._is_waiting:
            self._is_waiting = is_waiting
            self._start(HEADER_S if is_waiting else REQUEST_S)

    def _start(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self.transport.abort()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
