"""What answers one request by given pieces of bytes, whatever they are, and is silent behind them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator

import httpx

from researcher.hospitals.secure_channel import SecureChannel, transport_of


@contextlib.contextmanager
def channel_to(pieces: Iterable[bytes], *, timeout: float | None = None) -> Iterator[SecureChannel]:
    """A channel to what answers its one request so; it waits for so many seconds from byte to byte, or without end."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            other, _ = server.accept()
            with other, contextlib.suppress(OSError):
                other.recv(1 << 16)
                for piece in pieces:
                    other.sendall(piece)
                over.wait()

        channel = SecureChannel.__new__(SecureChannel)
        channel.datasite, channel.url = "datasite", f"http://127.0.0.1:{server.getsockname()[1]}"
        channel.http = httpx.Client(
            base_url=channel.url, transport=transport_of(ssl.create_default_context()), timeout=timeout
        )
        serving = threading.Thread(target=answer, daemon=True)
        serving.start()
        try:
            with contextlib.closing(channel):
                yield channel
        finally:
            over.set()
            serving.join()
