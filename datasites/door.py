"""The researchers' door: mutual TLS in front of everything. No byte of a peer without a valid certificate passes it.

The handshake asks for a certificate of the hospital's own authority. Then, before the first byte is parsed and with
every piece that arrives later, the certificate must stand in the hospital's list, neither revoked nor expired.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from datasites.enrolment import Enrolment, Peer, current_peer
from policies.errors import CertificateRefused, ConfigError

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 10.0
SHUTDOWN_SECONDS = 2.0
MAX_HANDSHAKES = 64
MAX_HANDSHAKES_PER_ADDRESS = 16
MAX_CONNECTIONS = 256
MAX_CONNECTIONS_PER_RESEARCHER = 32
# Longer than a researcher's client keeps an unused connection, so that it is the client who closes it.
KEEP_ALIVE_SECONDS = 60
_PEER, _REFUSAL_LOG_SECONDS = "peer", 10.0


def server_context(authority_pem: str, certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.3 with a client certificate of the given authority, and of no other, required.

    Guarantees:
        No session is resumed: each connection shows its certificate.

    Raises:
        ConfigError: The server's own certificate or key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_verify_locations(cadata=authority_pem)
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"The datasite's certificate {certificate.name} cannot be used. Restore identity/ from a backup.",
            private=str(error),
        ) from error
    return context


class EnrolledProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """HTTP for enrolled peers: what others send is never handed to the parser.

    Guarantees:
        `AutoHTTPProtocol.data_received`, which parses, is reached only while the connection's certificate counts.
    """

    enrolment: Enrolment
    open_connections: set[EnrolledProtocol]
    app_state: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.peer: Peer | None = None
        self._why_not = CertificateRefused("This certificate is not on the hospital's list.")
        self._answered = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Notes whose connection it is; what is sent with one that does not count is not read."""
        super().connection_made(transport)
        self._sooner_or_later_closed()
        tls = transport.get_extra_info("ssl_object")
        try:
            self.peer = self.enrolment.admit(tls.getpeercert() if tls else None)
        except CertificateRefused as error:
            self._why_not = error
            return
        own = [one for one in self.open_connections if one.peer and one.peer.email == self.peer.email]
        if len(own) >= MAX_CONNECTIONS_PER_RESEARCHER:
            transport.abort()
            return
        self.open_connections.add(self)
        self.app_state = {**self.app_state, _PEER: self.peer}

    def data_received(self, data: bytes) -> None:
        """Hands on what an enrolled peer sends."""
        if self._answered or self.transport.is_closing():
            return
        try:
            if self.peer is None:
                raise self._why_not
            self.enrolment.check(self.peer)
        except CertificateRefused as error:
            self._refuse(error)
            return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self.open_connections.discard(self)
        super().connection_lost(exc)

    def _sooner_or_later_closed(self) -> None:
        """A connection over which no request comes is closed, like one that has been used and is idle."""
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _refuse(self, error: CertificateRefused) -> None:
        """Tells a peer of this hospital's own authority why it is not served, whatever it sent, and closes."""
        self._answered = True
        log.warning("connection refused: %s", error.public)
        body = json.dumps(error.to_json()).encode()
        head = f"HTTP/1.1 {error.status} Forbidden\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()


def protocol_of(enrolment: Enrolment) -> type[EnrolledProtocol]:
    """The protocol of one datasite's door."""
    opened: set[EnrolledProtocol] = set()
    return type("OwnProtocol", (EnrolledProtocol,), {"enrolment": enrolment, "open_connections": opened})


class NamesPeer:
    """Around the app: says, for the time of one request, whose certificate it came with."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request as its peer's."""
        token = current_peer.set(scope.get("state", {}).get(_PEER))
        try:
            await self._app(scope, receive, send)
        finally:
            current_peer.reset(token)


class DoorServer(uvicorn.Server):
    """uvicorn's server with an accepting end of its own: bounded handshakes, bounded connections."""

    def __init__(self, app: ASGIApp, sock: socket.socket, enrolment: Enrolment, context: ssl.SSLContext):
        protocol = protocol_of(enrolment)
        super().__init__(
            uvicorn.Config(
                NamesPeer(app),
                http=protocol,
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
            )
        )
        self._enrolment, self._sock, self._context = enrolment, sock, context
        self._open = protocol.open_connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens the door."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()

        def end(serials: frozenset[str]) -> None:
            loop.call_soon_threadsafe(self._end, serials)

        self._enrolment.on_revoked(end)

        def make_protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop
            )
            return made

        self.servers.append(Door(self._sock, self._context, make_protocol, lambda: len(self.server_state.connections)))  # type: ignore[arg-type]

    def _end(self, serials: frozenset[str]) -> None:
        """Cuts the connections that were made with these certificates, whatever is under way on them."""
        for connection in list(self._open):
            if connection.peer and connection.peer.serial in serials:
                connection.transport.abort()


class Door:
    """Accepts connections and shakes hands, as `asyncio.Server` does, but never with more than a bounded number."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        make_protocol: Callable[[], asyncio.Protocol],
        connections: Callable[[], int],
    ) -> None:
        sock.setblocking(False)
        self._sock, self._context = sock, context
        self._make_protocol, self._connections = make_protocol, connections
        self._shaking: Counter[str] = Counter()
        self._hands: set[asyncio.Task[None]] = set()
        self._told, self._untold = float("-inf"), 0
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Takes no more connections, and drops those that have not shown a certificate."""
        self._accepting.cancel()
        for task in self._hands:
            task.cancel()

    async def wait_closed(self) -> None:
        """Returns once it is closed."""
        await asyncio.gather(self._accepting, *self._hands, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(self._sock)
            except OSError as error:  # out of descriptors, or the peer has gone already
                log.warning("no connection taken: %s", errno.errorcode.get(error.errno or 0, "unknown"))
                await asyncio.sleep(0.1)
                continue
            host = str(address[0])
            if self._is_full(host):
                sock.close()
                self._tell("too many at once")
                continue
            self._shaking[host] += 1
            task = asyncio.create_task(self._shake(sock, host))
            self._hands.add(task)
            task.add_done_callback(self._hands.discard)

    def _is_full(self, host: str) -> bool:
        return (
            self._shaking.total() >= MAX_HANDSHAKES
            or self._shaking[host] >= MAX_HANDSHAKES_PER_ADDRESS
            or self._connections() + self._shaking.total() >= MAX_CONNECTIONS
        )

    async def _shake(self, sock: socket.socket, host: str) -> None:
        """One handshake. asyncio makes the protocol's connection only after it has succeeded."""
        loop = asyncio.get_running_loop()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(
                self._make_protocol,
                sock,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except ssl.SSLError as error:
            self._tell(str(error.reason))
        except OSError as error:
            self._tell(type(error).__name__)
        except BaseException:
            with contextlib.suppress(OSError):
                sock.close()
            raise
        finally:
            self._shaking[host] -= 1
            self._shaking += Counter()  # forgets addresses at zero

    def _tell(self, reason: str) -> None:
        """Into the hospital's log, but not at the pace at which a stranger can knock."""
        self._untold += 1
        if time.monotonic() - self._told < _REFUSAL_LOG_SECONDS:
            return
        log.warning("%d connections refused at the handshake, the last for: %s", self._untold, reason)
        self._told, self._untold = time.monotonic(), 0
