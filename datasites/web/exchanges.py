"""HTTP as both ports speak it: a head and a body that come in time and in bounded size, and errors of one shape.

uvicorn bounds neither the size of a head nor the time that a request takes to arrive.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import TimerHandle
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from datasites.web.port_limits import PortLimits
from policies.errors import RequestMalformed, TooSlow, WanwuError

MAX_HEAD_BYTES = 1 << 15
MAX_PIPELINED = 16
_LINE_BYTES = 4  # of a header, beside its name and value
# A body is looked at in such intervals; none is refused for a shorter pause.
BODY_INTERVAL_SECONDS = 10.0
# How long an answer may find nobody who reads it, and a closed connection somebody who does not leave.
UNREAD_SECONDS, LEAVE_SECONDS = 120.0, 2.0


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to everything that a peer can drag out.

    Guarantees:
        A request whose head takes longer than `head_seconds` or more than about `MAX_HEAD_BYTES`, or whose body comes
        more slowly than `min_upload_bytes_per_second`, is not served: its connection is closed.
    """

    limits: PortLimits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._receiving: TimerHandle | None = None  # runs from a request's first byte to its last
        self._unread: TimerHandle | None = None
        self._framing = 0  # bytes since the last that were a body's, or ended a head
        self._body = 0  # bytes of a body in this interval
        self._held_back = False  # whether it was the datasite that did not read in this interval

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection; one over which no request comes is closed, like one that has been used and is idle."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        """Parses what came."""
        if self.transport.is_closing():
            return
        if self._receiving is None:
            self._expect_head()
        self._framing += len(data)
        super().data_received(data)
        if self._framing > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.refuse(RequestMalformed(_TOO_LONG))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._received()
        self.resume_writing()
        super().connection_lost(exc)

    # --- a request arrives -------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        if self._receiving is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """A head is there. What is raised here, the parser makes a malformed request."""
        size = len(self.url) + sum(len(name) + len(value) + _LINE_BYTES for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.pipeline) >= MAX_PIPELINED or not self.url.startswith(b"/"):
            raise RequestMalformed(_TOO_LONG)
        super().on_headers_complete()
        self._framing = self._body = 0
        self._expect_body()

    def on_body(self, body: bytes) -> None:
        """A part of a body is there."""
        self._framing = 0
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of a request is there."""
        self._received()
        self._framing = 0
        super().on_message_complete()

    def _expect_head(self) -> None:
        error = TooSlow(f"The head of a request must arrive within {self.limits.head_seconds} seconds. Send it again.")
        self._receiving = self.loop.call_later(self.limits.head_seconds, self.refuse, error)

    def _expect_body(self) -> None:
        self._received()
        self._held_back = self.flow.read_paused
        self._receiving = self.loop.call_later(BODY_INTERVAL_SECONDS, self._look_at_body)

    def _look_at_body(self) -> None:
        """A body goes on if enough of it came, or if it was the datasite that did not read."""
        least, came = self.limits.min_upload_bytes_per_second, self._body / BODY_INTERVAL_SECONDS
        if came < least and not (self._held_back or self.flow.read_paused):
            self.refuse(TooSlow(f"A body must arrive at {least} bytes a second or faster. Send it again."))
            return
        self._body = 0
        self._expect_body()

    def _received(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    # --- an answer leaves --------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The peer reads more slowly than it is answered, which it may do for a while."""
        super().pause_writing()
        self._unread = self._unread or self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer has read on."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers to what is not HTTP, in the shape of all errors."""
        self.refuse(RequestMalformed("This is not a request as the platform's own client makes it."))

    def refuse(self, error: WanwuError) -> None:
        """Answers with an error, unless an answer is under way, and closes."""
        self._received()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(refusal(error))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.leave()

    def leave(self) -> None:
        """Closes, also towards a peer that does not."""
        self.transport.close()
        self.loop.call_later(LEAVE_SECONDS, self.transport.abort)


def refusal(error: WanwuError) -> bytes:
    """A whole answer that holds an error, after which the connection is closed."""
    body = json.dumps(error.to_json()).encode()
    head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


_TOO_LONG = f"The head of a request has at most {MAX_HEAD_BYTES} bytes and a path as its target. Use the own client."
