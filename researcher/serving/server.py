"""A served model's process: it listens, answers until it is told to stop, and then answers what is under way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from policies.errors import ConfigError
from policies.web.listening import listen
from researcher.evaluation.hold_out import load_hold_out
from researcher.exported.session import ModelSession
from researcher.serving.app import make_app
from researcher.serving.classifier import Classifier
from researcher.serving.port.guard import App, read_token
from researcher.serving.port.protocol import BoundedHttp
from researcher.serving.settings import ServingSettings
from researcher.serving.usual_look import UsualLook

KEEP_ALIVE_SECONDS = 30  # longer than programs keep a connection between two pictures that come now and then


def serve(
    model: Path,
    settings: ServingSettings,
    *,
    public_pictures: Path | None = None,
    ready: Callable[[str], None],
) -> None:
    """Serves a model until SIGTERM or SIGINT.

    Args:
        model: The ONNX file that an export wrote.
        settings: Where, for whom, and how much.
        public_pictures: A hold-out, or other public pictures in such a form, to flag what is unlike them; None leaves
            that open.
        ready: Told the address once requests are answered.

    Raises:
        ModelRefused: The file cannot be served.
        DataError: The public pictures cannot be read.
        ConfigError: They are too few, or a setting, the token, the certificate or the port cannot be used.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # pictures in memory are not for a dump on the disk
    warnings.simplefilter("ignore")  # decoders tell of odd values in files: nothing of a picture goes to a log
    token = read_token(settings.token_file)
    session = ModelSession.open(model, threads=settings.threads)
    look = None
    if public_pictures is not None:
        look = UsualLook.of(load_hold_out(public_pictures, form=session.about.picture_form).images)
    classifier = Classifier(session, settings, look)
    classifier.warm()
    server = make_server(make_app(classifier, token=token), settings)
    sock = listen(settings.host, settings.port, chosen_by="--port")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{'https' if settings.certificate else 'http'}://{host}:{sock.getsockname()[1]}"
    asyncio.run(_until_told(server, sock, lambda: ready(address)))


async def _until_told(server: uvicorn.Server, sock: socket.socket, ready: Callable[[], None]) -> None:
    """Runs the server on its socket; it ends once what is under way is answered."""
    loop = asyncio.get_running_loop()
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    while not (server.started or serving.done()):
        await asyncio.sleep(0.01)
    if server.started:
        ready()
    await serving


def make_server(app: App, settings: ServingSettings) -> uvicorn.Server:
    """A server of an app, that bounds what a peer may drag out.

    Raises:
        ConfigError: The certificate cannot be used.
    """
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # it logs exceptions with their texts
    protocol: Any = BoundedHttp
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.timeout_seconds,
    )
    config.load()
    if settings.certificate:
        config.ssl = _tls(settings)
    return uvicorn.Server(config)


def _tls(settings: ServingSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=lambda: "")
    except (OSError, ValueError, ssl.SSLError) as error:
        raise ConfigError(
            f"{settings.certificate} and {settings.key} are no certificate and key, PEM, without a password: "
            f"{getattr(error, 'strerror', None) or error}."
        ) from error
    return context
