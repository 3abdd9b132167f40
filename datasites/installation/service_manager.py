"""Telling the manager that started a service how it is, by systemd's protocol (sd_notify(3)): a datagram, no answer."""

from __future__ import annotations

import contextlib
import os
import socket

_ADDRESS = "NOTIFY_SOCKET"


def tell_service_manager(state: str) -> None:
    """Tells it a state, once: nothing that this process starts later knows its address. Without a manager, nobody.

    Args:
        state: An assignment of the protocol, such as `READY=1`.
    """
    address = os.environ.pop(_ADDRESS, "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.connect("\0" + address[1:] if address.startswith("@") else address)
        told.sendall(state.encode())
