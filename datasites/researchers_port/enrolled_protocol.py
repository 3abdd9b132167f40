"""HTTP of enrolled peers. Of whoever is not enrolled no byte reaches the parser; who is refused leaves at once.

A peer is known by its certificate, which the handshake has proven; the hospital's list says whether it counts.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from datasites.access.enrolment import Enrolment, Peer, current_peer, named_in
from datasites.researchers_port.refusals import Refusals
from datasites.web.exchanges import BoundedProtocol
from policies.errors import CertificateRefused

# Refused peers that are still being told why; one more is cut without a word.
MAX_LEAVING = 32
_PEER = "peer"


class EnrolledProtocol(BoundedProtocol):
    """HTTP for enrolled peers: what others send is never handed to the parser.

    Guarantees:
        `BoundedProtocol.data_received`, which parses, is reached only while the connection's certificate counts. A
        peer whose certificate does not count takes no connection from others, from its handshake on.
    """

    enrolment: Enrolment
    refusals: Refusals
    open_connections: set[EnrolledProtocol]
    leaving: set[EnrolledProtocol]
    app_state: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.peer: Peer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Notes whose connection it is, or turns it away."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        peer = named_in(tls.getpeercert() if tls else None)
        try:
            self.enrolment.check(peer)
        except CertificateRefused as error:
            self._turn_away(error, peer)
            return
        own = [one for one in self.open_connections if one.peer and one.peer.email == peer.email]
        if len(own) >= self.limits.max_connections_per_researcher:
            self.connections.discard(self)
            self._count("too many of one researcher", peer.email)
            transport.abort()
            return
        self.peer = peer
        self.open_connections.add(self)
        self.app_state = {**self.app_state, _PEER: peer}

    def data_received(self, data: bytes) -> None:
        """Hands on what an enrolled peer sends."""
        if self.peer is None or self.transport.is_closing():
            return
        try:
            self.enrolment.check(self.peer)
        except CertificateRefused as error:
            self._turn_away(error, self.peer)
            return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self.open_connections.discard(self)
        self.leaving.discard(self)
        super().connection_lost(exc)

    def _turn_away(self, error: CertificateRefused, peer: Peer) -> None:
        """Tells a peer of this hospital's own authority why it is not served, whatever it sends, and closes."""
        state = self.enrolment.state_of(peer)
        self._count(state, "" if state == "unlisted" else peer.email)
        self.peer = None
        self.open_connections.discard(self)
        self.connections.discard(self)
        if len(self.leaving) >= MAX_LEAVING:
            self.transport.abort()
            return
        self.leaving.add(self)
        self.refuse(error)

    def _count(self, reason: str, account: str) -> None:
        self.refusals.add(reason, account=account)
        self.refusals.hold_against(self.client[0] if self.client else "")


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
