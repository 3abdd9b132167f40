"""A bad line: a loopback proxy that is slow, thin, resets connections, cuts an upload, or is down for a while.

Down, it resets what is open, as a router does that restarts. Silent, it loses every packet on the researcher's side, as
a cable does that is pulled: nothing is answered or acknowledged, and nobody is told.
"""

from __future__ import annotations

import contextlib
import ctypes
import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

_CHUNK = 16_384
# From Linux's socket.h: a socket's own filter of packets, here one that takes none.
_ATTACH_FILTER, _DETACH_FILTER, _TAKE_NONE = 26, 27, struct.pack("HBBI", 0x06, 0, 0, 0)


@dataclass
class BadLine:
    """Stands between a researcher and a datasite; use it as a context manager. What it does may be changed at any time.

    Attributes:
        port: Of the datasite.
        latency_seconds: Before each piece of bytes, either way.
        bytes_per_second: Either way; 0 is as many as the machine can.
        resets: Share of connections that are reset after some bytes.
        tears: Share of pieces of bytes on the way up, each about a request, at which the connection is reset: half of
            them before they come through, half when the answer comes.
        cuts: So many bytes of a connection's way up after which it is reset, one for each connection; then none.
        down: Whether it takes no connections and lets nothing through.
        seed: Of what is drawn.
    """

    port: int
    latency_seconds: float = 0.0
    bytes_per_second: float = 0.0
    resets: float = 0.0
    tears: float = 0.0
    cuts: list[int] = field(default_factory=list)
    down: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self.connections = self.broken = self.bytes_up = 0
        self.silent = False
        self._random, self._open = random.Random(self.seed), True
        self._clients: set[socket.socket] = set()
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

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Inside, every packet of the researcher's is lost, and nothing comes through."""
        self.silent, place = True, ctypes.create_string_buffer(_TAKE_NONE)
        takes_none = struct.pack("HL", 1, ctypes.addressof(place))
        for one in (self._listening, *self._clients):
            with contextlib.suppress(OSError):  # closed meanwhile
                one.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, takes_none)
        try:
            yield
        finally:
            for one in (self._listening, *self._clients):
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
            self.silent = False

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
        self._clients.add(client)
        try:
            with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self.port)) as server:
                if self.down or self._passes_until(breaks, client, server):
                    self.broken += 1
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            self._clients.discard(client)

    def _passes_until(self, breaks: int, client: socket.socket, server: socket.socket) -> bool:
        """Whether the line broke, after so many bytes up or because it is down."""
        up, torn = 0, False
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while self._open and not self.down:
                for key, _ in selector.select(0.05) if not self.silent else ():
                    content = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
                    if not content:
                        return False
                    if torn:
                        return True
                    if key.data is server:
                        torn = self._random.random() < self.tears
                        if torn and self._random.random() < 0.5:
                            return True
                        if breaks and up + len(content) >= breaks:
                            server.sendall(content[: breaks - up])
                            return True
                        up += len(content)
                        self.bytes_up += len(content)
                    time.sleep(self.latency_seconds + (len(content) / (self.bytes_per_second or 1e12)))
                    key.data.sendall(content)
                if self.silent:
                    time.sleep(0.05)
        return self.down
