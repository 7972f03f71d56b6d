"""HTTP connections with limits of time and number, so that idle and slow clients never block others."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_S = 10.0  # seconds for the header of a request, from the connection or its first byte
REQUEST_S = 180.0  # seconds to receive a request, to process it and to send the response
MAX_CONNECTIONS = 256


class LimitedProtocol(H11Protocol):
    """Closes connections whose request or header takes too long, and the oldest waiting one if there are too many.

    Uvicorn itself limits only the time between requests.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._is_waiting = True  # for the header of a request

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the header; above ``MAX_CONNECTIONS``, close the connection that waits longest."""
        super().connection_made(transport)
        self._start(HEADER_S)
        if len(self.connections) > MAX_CONNECTIONS:
            others = [each for each in self.connections if isinstance(each, LimitedProtocol) and each is not self]
            # First close one without a header, then one whose upload is incomplete.
            waiting = [each for each in others if each._is_waiting] or [each for each in others if each._is_sending]
            if waiting:
                # A connection between requests has no timer, and is closed first.
                oldest = min(waiting, key=lambda each: each._timer.when() if each._timer else 0.0)
                self.connections.discard(oldest)  # now, because others may connect before it is lost
                oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Process received bytes; once the header is complete, the limit of the request applies."""
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Stop the timer once the response is sent; uvicorn limits the time until the next request."""
        self._stop()
        self._is_waiting = self.transport.get_write_buffer_size() == 0
        if not self._is_waiting:  # the client has not read all of it
            self._start(REQUEST_S)
        super().on_response_complete()
        if self.conn.their_state is not h11.IDLE:  # the next request has begun
            self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection at once if its request is incomplete, else after the response."""
        if self._is_sending:
            self.transport.abort()
        else:
            super().shutdown()

    @property
    def _is_sending(self) -> bool:
        return self.conn.their_state is h11.SEND_BODY

    def _follow(self) -> None:
        """Start the timer that the state of the connection requires, unless it runs."""
        is_waiting = self.conn.their_state is h11.IDLE
        if self._timer is None or is_waiting != self._is_waiting:
            self._is_waiting = is_waiting
            self._start(HEADER_S if is_waiting else REQUEST_S)

    def _start(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
