"""A socket to listen at, opened before anything else starts; what may pass it is decided by who serves on it."""

from __future__ import annotations

import socket

from policies.errors import ConfigError


def listen(host: str, port: int, *, chosen_by: str = "") -> socket.socket:
    """An open socket.

    Args:
        host: Address to listen at.
        port: Which port; 0 for any that is free.
        chosen_by: What chooses the port, in words for who reads that it is taken; empty where nobody does.

    Raises:
        ConfigError: The port is taken, or may not be opened.
    """
    # Said to be TCP, asyncio does not hold the end of an answer back until its beginning was acknowledged.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"Port {port} on {host} cannot be opened: {error.strerror}. Stop what listens there, "
            f"or choose another port{chosen_by and ': '}{chosen_by}."
        ) from error
    return sock
