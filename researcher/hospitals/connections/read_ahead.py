"""Connections whose reads take all that has come, so that a large update does not come a TLS record at a time, and that
send a small request whole.

TLS hands out one record, at most 16 KiB, whatever was asked for, and each piece of an answer passes through httpx and
its parser of HTTP: of 100 MB that is six thousand times, by threads that wait for one another's turn at Python.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable
from functools import partial
from typing import Any

import httpcore

from researcher.hospitals.connections.answer_head import body_being_read, head_being_read

RECORD_BYTES = 1 << 14
"""The most plain bytes of one TLS record (RFC 8446, 5.1)."""
MOST_BYTES = 1 << 18
"""Of one read: what a connection holds of an answer at once. httpx and its parser copy it: that fits a core's cache."""


class ReadAhead(httpcore.NetworkStream):
    """An open connection: a read that fills a record goes on, without waiting, to what else has come."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._held = b""  # written, and not sent yet
        self._timeout: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes of the answer; none where the other side has ended the connection.

        Args:
            max_bytes: Of the first record. What came behind a full one is returned with it, up to `MOST_BYTES` in all.
            timeout: Seconds to wait for the first record; None waits for as long as it takes.

        Raises:
            httpcore.ReadTimeout: Nothing came in time.
            httpcore.ReadError: The connection broke before anything came. Where it breaks behind the first record, the
                next read says so.
            FederationError: What is read is an answer's head, and it goes over its limits (`answer_head`), or its body,
                and it comes too slowly (`answer_body`).
        """
        with contextlib.suppress(httpcore.WriteError):  # as httpcore does: an answer may have come all the same
            self._send_held()
        head = head_being_read()
        if head is not None:  # a record at a time: how much of more is body is not known here
            return head.read(partial(self._stream.read, max_bytes), timeout)
        come, body = partial(self._come, max_bytes), body_being_read()
        return come(timeout) if body is None else body.read(come, timeout)

    def _come(self, max_bytes: int, timeout: float | None) -> bytes:
        """The next record, and what has come behind a full one."""
        first = self._stream.read(max_bytes, timeout)
        if len(first) < RECORD_BYTES:
            return first
        socket, pieces, size = self._stream.get_extra_info("socket"), [first], len(first)
        socket.settimeout(0)  # each read and write sets its own
        with contextlib.suppress(OSError):  # nothing more has come, or the next read meets it again
            while size <= MOST_BYTES - RECORD_BYTES and (piece := socket.recv(RECORD_BYTES)):
                pieces.append(piece)
                size += len(piece)
        return b"".join(pieces)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends bytes; waits so many seconds for room for them, or as long as it takes if None.

        What does not fill a record is held until it does, or until an answer is read: httpcore writes the head of a
        request apart from its body, and each would be a record, and a packet, of its own.
        """
        if len(self._held) + len(buffer) < RECORD_BYTES:
            self._held, self._timeout = self._held + buffer, timeout
            return
        self._send_held()
        self._stream.write(buffer, timeout)

    def _send_held(self) -> None:
        if held := self._held:
            self._held = b""
            self._stream.write(held, self._timeout)

    def close(self) -> None:
        """Ends the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection with TLS over it, made within so many seconds."""
        return ReadAhead(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What the connection below tells of itself, by httpcore's names."""
        return self._stream.get_extra_info(info)


class ReadAheadBackend(httpcore.SyncBackend):
    """Opens connections of `ReadAhead`."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection over TCP, made within so many seconds.

        Raises:
            httpcore.ConnectTimeout: It was not made in time.
            httpcore.ConnectError: It cannot be made.
        """
        return ReadAhead(super().connect_tcp(host, port, timeout, local_address, socket_options))
