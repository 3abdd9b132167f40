"""A bad line: a loopback proxy that is slow, thin, resets connections, cuts an upload, or is down for a while."""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

_CHUNK = 16_384


@dataclass
class BadLine:
    """Stands between a researcher and a datasite; use it as a context manager. What it does may be changed at any time.

    Attributes:
        port: Of the datasite.
        latency_seconds: Before each piece of bytes, either way.
        bytes_per_second: Either way; 0 is as many as the machine can.
        resets: Share of connections that are reset after some bytes.
        cuts: So many bytes of a connection's way up after which it is reset, one for each connection; then none.
        down: Whether it takes no connections and lets nothing through.
        seed: Of what is drawn.
    """

    port: int
    latency_seconds: float = 0.0
    bytes_per_second: float = 0.0
    resets: float = 0.0
    cuts: list[int] = field(default_factory=list)
    down: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self.connections = self.broken = self.bytes_up = 0
        self._random, self._open = random.Random(self.seed), True
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.own_port = int(self._listening.getsockname()[1])

    def __enter__(self) -> BadLine:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        """Lets bytes through until one side closes, or the line breaks."""
        breaks = self.cuts.pop(0) if self.cuts else 0
        if not breaks and self._random.random() < self.resets:
            breaks = self._random.randrange(1, 1 << 18)
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self.port)) as server:
            if self.down or self._passes_until(breaks, client, server):
                self.broken += 1
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _passes_until(self, breaks: int, client: socket.socket, server: socket.socket) -> bool:
        """Whether the line broke, after so many bytes up or because it is down."""
        up = 0
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while self._open and not self.down:
                for key, _ in selector.select(0.05):
                    content = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
                    if not content:
                        return False
                    if key.data is server:
                        if breaks and up + len(content) >= breaks:
                            server.sendall(content[: breaks - up])
                            return True
                        up += len(content)
                        self.bytes_up += len(content)
                    time.sleep(self.latency_seconds + (len(content) / (self.bytes_per_second or 1e12)))
                    key.data.sendall(content)
        return self.down
