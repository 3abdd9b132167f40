"""Ports for tests to listen at, while other tests and other programs take ports of the same machine."""

from __future__ import annotations

import random
import socket

# Below the ports that a system gives to whoever asks for any: no connection can take one before it is listened at.
_FIRST, _END = 10_000, 32_000


def free_port(in_a_row: int = 1) -> int:
    """The first of so many free ports in a row; drawn, so that two processes that ask hardly get the same."""
    while True:
        first = random.SystemRandom().randrange(_FIRST, _END)
        if all(_is_free(port) for port in range(first, first + in_a_row)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
