"""The limit of what comes before an answer's body: a request's timeouts count from byte to byte, so that a head which
never ends, or interim answers without an end, would hold a request for as long as the other side likes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import httpcore

from policies.errors import FederationError
from researcher.hospitals.connections.answer_body import AnswerBody

if TYPE_CHECKING:
    import httpx

MOST_HEAD_BYTES = 32 << 10
"""Of an answer's head and all interim answers before it; a datasite's own take less than one KiB."""
MOST_INTERIM = 16
"""Interim answers (status 1xx, RFC 9110, 15.2) before the answer; a datasite sends none."""
HEAD_SECONDS = 30.0
"""From a head's first byte to its end. How long a datasite thinks before its first byte is the request's to limit."""
_STATUS_LINE = len(b"HTTP/1.1 1")
_now_read = threading.local()


class AnswerHead:
    """What has come of one answer's head, its interim answers included."""

    def __init__(self, host: str) -> None:
        """Nothing has come yet.

        Args:
            host: Of the datasite, for the error.
        """
        self._host = host
        self._bytes = self._interim = 0
        self._begun: float | None = None
        self._line = b""  # how the line begins that has not ended

    def read(self, read: Callable[[float | None], bytes], timeout: float | None) -> bytes:
        """The next bytes of the answer, where what came before them was head alone.

        Args:
            read: Takes the seconds to wait for bytes, None for as long as it takes.
            timeout: Of the request, in seconds.

        Raises:
            FederationError: The head has more bytes or interim answers than it may, or does not end in time.
            httpcore.ReadTimeout: Nothing came within the request's own timeout.
        """
        if self._bytes >= MOST_HEAD_BYTES or self._interim > MOST_INTERIM:
            raise self._endless()
        if self._begun is None:
            came = read(timeout)
            self._begun = time.monotonic()
        else:
            left = self._begun + HEAD_SECONDS - time.monotonic()
            if left <= 0:
                raise self._endless()
            try:
                came = read(left if timeout is None else min(left, timeout))
            except httpcore.ReadTimeout as error:
                if timeout is not None and timeout <= left:
                    raise
                raise self._endless() from error
        self._count(came)
        return came

    def _count(self, came: bytes) -> None:
        self._bytes += len(came)
        *ended, rest = (self._line + came).split(b"\n")
        self._interim += sum(line.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")) for line in ended)
        self._line = rest[:_STATUS_LINE]

    def _endless(self) -> FederationError:
        return FederationError(
            f"{self._host} began an answer and did not come to its content: expected at most {MOST_HEAD_BYTES} bytes "
            f"and {MOST_INTERIM} interim answers (status 1xx) before it, within {HEAD_SECONDS:g} s; got {self._bytes} "
            f"bytes and {self._interim} interim answers. The connection was ended. Ask the hospital."
        )


def watch(request: httpx.Request) -> None:
    """Limits the head of a request's answer, and its body's pace; for requests over `ReadAhead` connections."""

    def trace(event: str, _told: Mapping[str, Any]) -> None:
        if event.endswith("receive_response_headers.started"):
            _now_read.head = AnswerHead(request.url.netloc.decode())
        elif event.endswith(("receive_response_headers.complete", "receive_response_headers.failed")):
            _now_read.head = None
        elif event.endswith("receive_response_body.started"):
            _now_read.body = AnswerBody(request.url.netloc.decode())
        elif event.endswith(("receive_response_body.complete", "receive_response_body.failed")):
            _now_read.body = None

    request.extensions["trace"] = trace


def head_being_read() -> AnswerHead | None:
    """The head of which this thread reads; None where it reads a body, or for a client without `watch`."""
    head: AnswerHead | None = getattr(_now_read, "head", None)
    return head


def body_being_read() -> AnswerBody | None:
    """The body of which this thread reads; None for a client without `watch`."""
    body: AnswerBody | None = getattr(_now_read, "body", None)
    return body
