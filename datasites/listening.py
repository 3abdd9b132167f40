"""Sockets and servers: two apps in one event loop, each on a socket that was opened before anything else started."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from policies.errors import ConfigError

Listening = tuple[FastAPI, socket.socket]


def listen(host: str, port: int) -> socket.socket:
    """An open socket.

    Raises:
        ConfigError: The port is taken, or may not be opened.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
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


async def serve_until_told(apps: tuple[Listening, ...], ready: Callable[[], None]) -> None:
    """Serves each app on its socket until SIGTERM or SIGINT; calls `ready` once all of them answer."""
    servers = [uvicorn.Server(_settings(app)) for app, _ in apps]
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with contextlib.ExitStack() as stack:
        tasks = []
        for server, (_, sock) in zip(servers, apps, strict=True):
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


def _settings(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", server_header=False, date_header=False
    )
