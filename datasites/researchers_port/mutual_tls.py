"""The researchers' port: mutual TLS in front of everything. No byte of a peer without a valid certificate passes it.

The handshake asks for a certificate of the hospital's own authority. Then, before the first byte is parsed and with
every piece that arrives later, the certificate must stand in the hospital's list, neither revoked nor expired. Whoever
is refused is told so where that is of use, leaves at once, and is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from datasites.access.enrolment import Enrolment
from datasites.researchers_port.enrolled_protocol import EnrolledProtocol, NamesPeer
from datasites.researchers_port.fair_share import FairShare
from datasites.researchers_port.refusals import Refusals
from datasites.web.exchanges import LEAVE_SECONDS
from datasites.web.port_limits import PortLimits
from datasites.web.stopping import ToldWhenStopping
from policies.errors import ConfigError

log = logging.getLogger(__name__)

LEFT = "left before the handshake was done"  # as whoever only looks whether the port answers, the doctor among them
HANDSHAKE_SECONDS = 10.0
MAX_HANDSHAKES = 64
MAX_HANDSHAKES_PER_ADDRESS = 16
# Longer than a researcher's client keeps an unused connection, so that it is the client who closes it.
KEEP_ALIVE_SECONDS = 60


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


class MutualTlsServer(uvicorn.Server):
    """uvicorn's server with an accepting end of its own: bounded handshakes, bounded connections."""

    def __init__(
        self,
        app: ASGIApp,
        sock: socket.socket,
        enrolment: Enrolment,
        context: ssl.SSLContext,
        *,
        limits: PortLimits,
        refused: Callable[[str, str, int], None],
    ) -> None:
        """Prepares the port.

        Args:
            app: What lies behind it.
            sock: Where it listens.
            enrolment: Who may pass.
            context: TLS.
            limits: What peers may take of it.
            refused: Told, in a thread, of peers that were refused: reason, account or "", how many.
        """
        super().__init__(
            uvicorn.Config(
                ToldWhenStopping(NamesPeer(FairShare(app, limits))),
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
        self._limits, self._refused = limits, refused
        self._open: set[EnrolledProtocol] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens the port."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        refusals = Refusals(self._refused)
        parts = {
            "enrolment": self._enrolment,
            "limits": self._limits,
            "refusals": refusals,
            "open_connections": self._open,
            "leaving": set(),
        }
        protocol: Any = type("OwnProtocol", (EnrolledProtocol,), parts)

        def end(serials: frozenset[str]) -> None:
            loop.call_soon_threadsafe(self._end, serials)

        self._enrolment.on_revoked(end)

        def make_protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = protocol(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop
            )
            return made

        def is_full(shaking: int) -> bool:
            return len(self.server_state.connections) + shaking >= self._limits.max_connections

        self.servers.append(MutualTlsListener(self._sock, self._context, make_protocol, is_full, refusals))  # type: ignore[arg-type]

    def _end(self, serials: frozenset[str]) -> None:
        """Cuts the connections that were made with these certificates, whatever is under way on them."""
        for connection in list(self._open):
            if connection.peer and connection.peer.serial in serials:
                connection.transport.abort()


class MutualTlsListener:
    """Accepts connections and shakes hands, as `asyncio.Server` does, but never with more than a bounded number."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        make_protocol: Callable[[], asyncio.Protocol],
        is_full: Callable[[int], bool],
        refusals: Refusals,
    ) -> None:
        sock.setblocking(False)
        self._sock, self._context = sock, context
        self._make_protocol, self._all_taken, self._refusals = make_protocol, is_full, refusals
        self._shaking: Counter[str] = Counter()
        self._hands: dict[asyncio.Task[None], str] = {}  # and from where, oldest first
        self._working = [asyncio.create_task(self._accept()), asyncio.create_task(refusals.report())]

    def close(self) -> None:
        """Takes no more connections, and drops those that have not shown a certificate."""
        for task in (*self._working, *self._hands):
            task.cancel()

    async def wait_closed(self) -> None:
        """Returns once it is closed."""
        await asyncio.gather(*self._working, *self._hands, return_exceptions=True)
        self._refusals.tell_all()

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
            if reason := self._reason_not_to_shake(host):
                sock.close()
                self._refusals.add(reason)
                continue
            if self._shaking.total() >= MAX_HANDSHAKES:
                self._drop_oldest()
            self._shaking[host] += 1
            task = asyncio.create_task(self._shake(sock, host))
            self._hands[task] = host
            task.add_done_callback(self._hands.pop)
            await asyncio.sleep(0)  # the others have their turn, however many knock

    def _reason_not_to_shake(self, host: str) -> str:
        """Why a connection from an address is not taken up at all; empty if it is."""
        if self._refusals.is_held_off(host):
            return "refused too often"
        if self._shaking[host] >= MAX_HANDSHAKES_PER_ADDRESS or self._all_taken(self._shaking.total()):
            return "too many at once"
        return ""

    def _drop_oldest(self) -> None:
        """Ends the oldest handshake of the address that has most: whoever means it is done in milliseconds."""
        (host, _), *_ = self._shaking.most_common(1)
        for task, own in self._hands.items():
            if own == host and not task.cancelling():
                task.cancel()
                self._refusals.add("handshake took too long")
                self._refusals.hold_against(host)
                return

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
                ssl_shutdown_timeout=LEAVE_SECONDS,
            )
        except OSError as error:
            self._refusals.add(_reason(error))
            self._refusals.hold_against(host)
        except BaseException:
            with contextlib.suppress(OSError):
                sock.close()
            raise
        finally:
            self._shaking[host] -= 1
            self._shaking += Counter()  # forgets addresses at zero


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionResetError):
        return LEFT
    return str(error.reason) if isinstance(error, ssl.SSLError) else type(error).__name__
