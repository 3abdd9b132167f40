"""Sockets and servers: two, each in its own event loop, on a socket that was opened before anything else started.

What may pass the researchers' one is decided in `datasites/researchers_port/mutual_tls.py`; the console's stays on
loopback, or has the hospital's own certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from datasites.web.exchanges import BoundedProtocol
from datasites.web.port_limits import PortLimits
from datasites.web.stopping import ToldWhenStopping
from policies.web.listening import listen as listen

MAX_CONSOLE_CONNECTIONS = 64
Listening = tuple[uvicorn.Server, socket.socket]


async def serve_until_told(researchers_port: Listening, console: Listening, ready: Callable[[], None]) -> None:
    """Runs each server on its socket until SIGTERM or SIGINT; calls `ready` once both answer.

    The researchers' port has this event loop. The console has one of its own in a thread of its own, and so threads
    that no researcher's request can take.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    for server, _ in (researchers_port, console):
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    own = asyncio.create_task(researchers_port[0].serve(sockets=[researchers_port[1]]))
    other = asyncio.create_task(asyncio.to_thread(_serve_apart, console))
    try:
        while not (researchers_port[0].started and console[0].started):
            await asyncio.sleep(0.01)
            for ended in (task for task in (own, other) if task.done()):
                await ended
        ready()
        await stopping.wait()
    finally:
        for server, _ in (researchers_port, console):
            server.should_exit = True
            server.force_exit = True
        await asyncio.gather(own, other)
        for _, sock in (researchers_port, console):
            sock.close()


def _serve_apart(listening: Listening) -> None:
    server, sock = listening
    asyncio.run(server.serve(sockets=[sock]))


def console_server(app: ASGIApp, limits: PortLimits, tls: ssl.SSLContext | None = None) -> uvicorn.Server:
    """A server for the console; one without TLS is for loopback only, which the settings see to."""
    protocol: Any = type("ConsoleProtocol", (_ConsoleProtocol,), {"limits": limits})
    config = uvicorn.Config(
        ToldWhenStopping(app),
        http=protocol,
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    config.load()
    config.ssl = tls
    return uvicorn.Server(config)


class _ConsoleProtocol(BoundedProtocol):
    """HTTP for the console: from whoever reaches its port, in bounded number."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes the connection if there is room."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONSOLE_CONNECTIONS:
            transport.abort()
