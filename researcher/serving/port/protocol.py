"""HTTP with an end to what a peer can drag out: a head comes in time and in bounded size, over bounded connections.

uvicorn bounds none of these. How long a body may take is the request's own limit.
"""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_CONNECTIONS = 128
MAX_HEAD_BYTES = 1 << 15
HEAD_SECONDS, LEAVE_SECONDS = 10.0, 5.0


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol for the served model's port."""

    _timer: TimerHandle | None = None
    _framing = 0  # bytes since the last that were a body's

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection if there is room, and waits for a head."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Parses what came; what is neither a body nor an end of a head adds up."""
        if self._framing > MAX_HEAD_BYTES:
            self.transport.abort()
            return
        self._framing += len(data)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """A head is there."""
        self._stop_waiting()
        self._framing = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body is there."""
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of a request is there."""
        self._framing = 0
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection that is idle, also towards a peer that does not read its last answer."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(LEAVE_SECONDS, self.transport.abort)

    def _expect_head(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
