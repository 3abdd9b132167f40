"""Sockets and servers: two in one event loop, each on a socket that was opened before anything else started.

What may pass the researchers' one is decided in `datasites/door.py`; the console's stays on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from policies.errors import ConfigError

Listening = tuple[uvicorn.Server, socket.socket]


def listen(host: str, port: int) -> socket.socket:
    """An open socket.

    Raises:
        ConfigError: The port is taken, or may not be opened.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"Port {port} on {host} cannot be opened: {error.strerror}. Stop what listens there, "
            "or choose another port."
        ) from error
    return sock


async def serve_until_told(listening: tuple[Listening, ...], ready: Callable[[], None]) -> None:
    """Runs each server on its socket until SIGTERM or SIGINT; calls `ready` once all of them answer."""
    servers = [server for server, _ in listening]
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with contextlib.ExitStack() as stack:
        tasks = []
        for server, sock in listening:
            server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
            stack.callback(sock.close)
            tasks.append(asyncio.create_task(server.serve(sockets=[sock])))
        while not all(server.started for server in servers):
            await asyncio.sleep(0.01)
        ready()
        await stopping.wait()
        for server in servers:
            server.should_exit = True
            server.force_exit = True
        await asyncio.gather(*tasks)


def plain_server(app: FastAPI) -> uvicorn.Server:
    """A server without TLS, for loopback only."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
        )
    )
