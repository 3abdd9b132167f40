"""A datasite's port for tests: the platform's own listening code over loopback, with a fake app behind it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.waiting import CEILING_SECONDS
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from datasites.access.certificates import Certified
from datasites.access.enrolment import Enrolment, current_peer
from datasites.files.state_folder import StateFolder
from datasites.researchers_port.mutual_tls import MutualTlsServer, server_context
from datasites.web.port_limits import PortLimits
from researcher.hospitals.credentials import Credentials

ANNA, BERT = "anna@university.org", "bert@university.org"


def enrolment(folder: Path, *, name: str = "north", names: tuple[str, ...] = ("127.0.0.1",), **given: Any) -> Enrolment:
    """A hospital's enrolment in a new state folder."""
    state = StateFolder(folder / name)
    state.create()
    made = Enrolment(state, **given)
    made.prepare_server(names)
    return made


@dataclass
class App:
    """A fake of all that lies behind the port: counts requests, and says whose they are."""

    requests: int = 0
    held: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests += 1
        peer = current_peer.get()
        if scope["path"] == "/hold":
            self.held.set()
            await asyncio.sleep(86_400)
        if scope["path"] == "/read":
            while (await receive()).get("more_body"):
                continue
        body = json.dumps({"peer": peer.email if peer else None}).encode()
        head = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})


@dataclass
class OpenPort:
    """One that is being served, and what it told of peers that were refused."""

    enrolment: Enrolment
    app: App
    port: int
    refused: list[tuple[str, str, int]]

    def credentials(self, email: str = ANNA, *, made: Certified | None = None, **changed: str) -> Credentials:
        made = made or self.enrolment.issue(email)
        given = {
            "datasite": "north",
            "url": f"https://127.0.0.1:{self.port}",
            "email": email,
            "password": "",
            "authority": self.enrolment.authority_pem,
            "certificate": made.certificate_pem,
            "key": made.key_pem,
        }
        return Credentials(**{**given, **changed})

    def dial(self, *, source: str = "127.0.0.1") -> socket.socket:
        """A connection on which nothing has been said."""
        return socket.create_connection(("127.0.0.1", self.port), CEILING_SECONDS, source_address=(source, 0))

    def knock(self, context: ssl.SSLContext, *, source: str = "127.0.0.1") -> ssl.SSLSocket:
        """A TLS connection of which the client's half of the handshake is done."""
        raw = self.dial(source=source)
        try:
            return context.wrap_socket(raw, server_hostname="127.0.0.1")
        except BaseException:
            raw.close()
            raise


def ask(connection: ssl.SSLSocket, path: str = "/") -> bytes:
    """What one request over an open connection is answered with; nothing if it is cut."""
    return send(connection, f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())


def send(connection: ssl.SSLSocket, sent: bytes) -> bytes:
    """What comes back for these bytes: up to the end of a JSON object, or all until it is cut."""
    answered = b""
    try:
        connection.sendall(sent)
        while not answered.endswith(b"}") and (more := connection.recv(65536)):
            answered += more
    except (ConnectionError, ssl.SSLError):
        pass
    return answered


def is_cut(connection: socket.socket) -> bool:
    """Whether the other side has ended a connection."""
    try:
        return connection.recv(1000) == b""
    except (ConnectionError, ssl.SSLEOFError):
        return True


@contextmanager
def served(own: Enrolment, **limits: int) -> Iterator[OpenPort]:
    """Serves a port in a thread of its own."""
    sock = socket.create_server(("127.0.0.1", 0))
    app, loop = App(), asyncio.new_event_loop()
    refused: list[tuple[str, str, int]] = []
    context = server_context(own.authority_pem, *own.server_files)
    server = MutualTlsServer(
        app, sock, own, context, limits=PortLimits(**limits), refused=lambda *told: refused.append(told)
    )
    server.force_exit = True
    started = threading.Event()

    async def serve() -> None:
        serving = asyncio.create_task(server._serve([sock]))
        while not server.started:
            await asyncio.sleep(0.01)
        started.set()
        await serving
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.05)

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(CEILING_SECONDS)
    try:
        yield OpenPort(own, app, int(sock.getsockname()[1]), refused)
    finally:
        server.should_exit = True
        thread.join(CEILING_SECONDS)
        assert not thread.is_alive()


@contextmanager
def counting_parser(monkeypatch: Any) -> Iterator[Callable[[], int]]:
    """Counts the bytes that the HTTP parser is given."""
    seen, parse = [], HttpToolsProtocol.data_received

    def data_received(self: Any, data: bytes) -> None:
        seen.append(len(data))
        parse(self, data)

    monkeypatch.setattr(HttpToolsProtocol, "data_received", data_received)
    yield lambda: sum(seen)
