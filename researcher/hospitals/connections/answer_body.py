"""The pace of an answer's body: a request's timeouts count from byte to byte, so that a body which comes a byte at a
time would hold a request for as long as the other side likes.

Waiting is by progress, over a time that a slow line's pauses fit into: at 1 Mbit/s what is asked for takes two seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import httpcore

from policies.errors import FederationError

LEAST_BYTES = 256 << 10
"""Of a body that have to come, or what is left of it, within `BODY_SECONDS` of waiting for them."""
BODY_SECONDS = 300.0


class AnswerBody:
    """What has come of one answer's body since it last came forward, and how long that was waited for."""

    def __init__(self, host: str) -> None:
        """Nothing has come yet.

        Args:
            host: Of the datasite, for the error.
        """
        self._host = host
        self._bytes, self._waited = 0, 0.0

    def read(self, read: Callable[[float | None], bytes], timeout: float | None) -> bytes:
        """The next bytes of the body. Only waiting counts, not what is done with the bytes.

        Args:
            read: Takes the seconds to wait for bytes, None for as long as it takes.
            timeout: Of the request, in seconds.

        Raises:
            FederationError: It comes more slowly than `LEAST_BYTES` in `BODY_SECONDS`.
            httpcore.ReadTimeout: Nothing came within the request's own timeout.
        """
        left, begun = BODY_SECONDS - self._waited, time.monotonic()
        if left <= 0:
            raise self._too_slow()
        try:
            came = read(left if timeout is None else min(left, timeout))
        except httpcore.ReadTimeout as error:
            if timeout is not None and timeout <= left:
                raise
            raise self._too_slow() from error
        self._bytes += len(came)
        self._waited += time.monotonic() - begun
        if self._bytes >= LEAST_BYTES:
            self._bytes, self._waited = 0, 0.0
        return came

    def _too_slow(self) -> FederationError:
        return FederationError(
            f"{self._host} sends an answer too slowly: expected {LEAST_BYTES} bytes more, or its end, within "
            f"{BODY_SECONDS:g} s; got {self._bytes}. The connection was ended. Ask the hospital, or try again over a "
            "better line."
        )
