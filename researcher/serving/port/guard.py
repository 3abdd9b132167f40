"""The first and the last of each HTTP exchange: who may ask, and that a failure tells and logs nothing of a picture."""

from __future__ import annotations

import hmac
import json
import logging
import re
import stat
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from pathlib import Path
from typing import Any

from policies.errors import (
    BodyTooLarge,
    ConfigError,
    HostRefused,
    ServingBusy,
    ServingError,
    TokenRefused,
    TooSlow,
    WanwuError,
)
from researcher.serving.port.room import RETRY_SECONDS

log = logging.getLogger("wanwu.serving")

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN_PATHS = ("/", "/page.css", "/page.js", "/health", "/health/live", "/health/ready", "/openapi.json")
"""What anybody may ask for: nothing of a model or of its use is in it."""
LEAST_TOKEN, MOST_TOKEN = 16, 4096
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
)
_HOST = re.compile(r"([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")


def read_token(file: str) -> bytes | None:
    """The token in a file, None where no file is named.

    Raises:
        ConfigError: It cannot be read, everybody on the machine may read it, or it is too short to be one.
    """
    if not file:
        return None
    path = Path(file)
    try:
        if stat.S_IMODE(path.stat().st_mode) & stat.S_IROTH:
            raise ConfigError(f"Everybody on this machine may read {file}. Run 'chmod o= {file}'.")
        token = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}).") from error
    if not LEAST_TOKEN <= len(token) <= MOST_TOKEN or any(byte <= 0x20 or byte > 0x7E for byte in token):
        raise ConfigError(
            f"{file} must hold one token of {LEAST_TOKEN} to {MOST_TOKEN} printable ASCII characters. "
            f"Make one: (umask 077; openssl rand -hex 32 > {file})"
        )
    return token


class Guard:
    """ASGI middleware around all of an app.

    Guarantees:
        No request without the server's token reaches the app, but for `OPEN_PATHS`. A failure that is no `WanwuError`
        is answered and logged by its kind and its place in the code alone.
    """

    def __init__(
        self,
        app: App,
        *,
        token: bytes | None,
        hosts: Collection[str] | None,
        answered: Callable[[str, int, float], None],
    ) -> None:
        """Puts it around an app.

        Args:
            app: The app.
            token: That requests must bring; None lets everybody in.
            hosts: Under which names the server is asked, so that a page from elsewhere cannot ask it under its own;
                None for any.
            answered: Told the path, the status and the seconds of each exchange.
        """
        self._app, self._token, self._hosts, self._answered = app, token, hosts, answered

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serves one exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, came = 0, time.perf_counter()

        async def answering(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ours = {name for name, _ in _HEADERS}
                kept = [header for header in message.get("headers", ()) if header[0].lower() not in ours]
                message = {**message, "headers": [*kept, *_HEADERS]}
            await send(message)

        try:
            self._let_in(scope)
            await self._app(scope, receive, answering)
        except WanwuError as error:
            if not status:
                await refuse(answering, error)
        except Exception as error:  # noqa: BLE001 - its text may hold what was sent, and so may uvicorn's log of it
            log.error("A request failed: %s", told(error))  # noqa: TRY400 - a traceback ends with its text
            if not status:
                await refuse(answering, ServingError("The model could not answer. The server's log names the fault."))
        finally:
            self._answered(scope["path"], status, time.perf_counter() - came)

    def _let_in(self, scope: Message) -> None:
        """Returns if the request may reach the app.

        Raises:
            HostRefused, TokenRefused
        """
        headers = scope["headers"]
        if self._hosts is not None and _asked_host(headers) not in self._hosts:
            raise HostRefused(f"This server is asked as {', '.join(sorted(self._hosts))}, by no other name.")
        if self._token is None or scope["path"] in OPEN_PATHS:
            return
        given = [value for name, value in headers if name == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            raise TokenRefused("Expected the server's token, as 'Authorization: Bearer TOKEN'; none or another came.")


async def refuse(send: Send, error: WanwuError) -> None:
    """Answers with an error in the one shape that errors have."""
    body, headers = refusal(error)
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def refusal(error: WanwuError) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Body and headers of the answer that an error is."""
    body = json.dumps(error.to_json()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if isinstance(error, ServingBusy):
        headers.append((b"retry-after", str(RETRY_SECONDS).encode()))
    if isinstance(error, BodyTooLarge | TooSlow):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    if isinstance(error, TokenRefused):
        headers.append((b"www-authenticate", b"Bearer"))
    return body, headers


def told(error: BaseException) -> str:
    """An exception's kind, and where in the code it was raised; never its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"


def _asked_host(headers: Collection[tuple[bytes, bytes]]) -> str:
    asked = [value for name, value in headers if name == b"host"]
    found = _HOST.fullmatch(asked[0].decode("latin-1").lower()) if len(asked) == 1 else None
    return "" if found is None else found[1].strip("[]")
