"""The first and the last of each HTTP exchange on both ports: what is let in, how much of it, and which headers go out.

What asks for another host, by a path with two readings, or with more than its path allows, is refused before it is
parsed, whether or not it said its length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from datasites.web.served_path import served_path
from policies.errors import BodyTooLarge, HostRefused, RequestMalformed, WanwuError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Nothing that a datasite answers is to be framed, sniffed, cached, or read by a page from elsewhere.
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # with none at all, browsers do not say where a form was sent from
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
# Answers of the researchers' port are data; the console's may be pages, of its own files only, with nothing inline.
DATA_ONLY = b"default-src 'none'; frame-ancestors 'none'"
OWN_PAGES = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    b"frame-ancestors 'none'; base-uri 'none'"
)


# Most bytes of a body for a path that has no limit of its own.
OTHERWISE = 1 << 16
# A name or an address as a Host header holds it, and perhaps a port.
_HOST = re.compile(r"([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LENGTH_DIGITS = 15


@dataclass(frozen=True)
class BodyLimit:
    """Most bytes of a body sent to paths that begin with `prefix`; `methods` empty means all."""

    prefix: str
    max_bytes: int
    methods: tuple[str, ...] = ()


class RequestBounds:
    """ASGI middleware around an app; the app may answer `BodyTooLarge` itself.

    Guarantees:
        The app sees only requests for one of `hosts`, by a path that has one reading. No more bytes of a body reach it
        than the first limit whose prefix and method fit allows, or `OTHERWISE` where none does. Every answer carries
        the security headers, errors included.
    """

    def __init__(
        self,
        app: Any,
        *,
        hosts: Collection[str],
        limits: tuple[BodyLimit, ...],
        content_policy: bytes,
        refused: Callable[[WanwuError], None] = lambda error: None,
    ) -> None:
        self._app, self._limits, self._refused = app, limits, refused
        self._hosts = frozenset(host.lower() for host in hosts)
        self._headers = (*_HEADERS, (b"content-security-policy", content_policy))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serves one exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def answering(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                ours = {name for name, _ in _HEADERS}  # a page's own content policy stands beside this: both hold
                kept = [header for header in message.get("headers", ()) if header[0].lower() not in ours]
                message = {**message, "headers": [*kept, *self._headers]}
            await send(message)

        try:
            most = self._let_in(scope)
            await self._app(scope, _counting(receive, most), answering)
        except (BodyTooLarge, HostRefused, RequestMalformed) as error:
            await run_in_threadpool(self._refused, error)
            if not begun:
                await refuse(answering, error)

    def _let_in(self, scope: Message) -> int:
        """Most bytes of the body of a request that may pass.

        Raises:
            HostRefused, RequestMalformed, BodyTooLarge
        """
        _check_host(scope, self._hosts)
        most = self._most(served_path(scope), scope["method"])
        if _announced(scope) > most:
            raise _too_large(most)
        return most

    def _most(self, path: str, method: str) -> int:
        for limit in self._limits:
            if path.startswith(limit.prefix) and (not limit.methods or method in limit.methods):
                return limit.max_bytes
        return OTHERWISE


def enclose(app: FastAPI, **bounds: Any) -> None:
    """Puts a `RequestBounds` around all of an app, so that the answers to its own failures pass through it too."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: RequestBounds(build(), **bounds)  # type: ignore[method-assign]


def _check_host(scope: Message, hosts: Collection[str]) -> None:
    """Returns if the request asks for one of these hosts, by whatever port it came.

    Raises:
        HostRefused: It asks for another one, for several, or does not say for which.
    """
    asked = [value for name, value in scope["headers"] if name == b"host"]
    found = _HOST.fullmatch(asked[0].decode("latin-1").lower()) if len(asked) == 1 else None
    if found is None or found[1].strip("[]") not in hosts:
        raise HostRefused(
            "This datasite answers under the names of its own certificate only. Use the address in yours."
        )


def _announced(scope: Message) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    if not lengths:
        return 0
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > _LENGTH_DIGITS:
        raise BodyTooLarge("A body must say its length once, in at most 15 digits, or come in chunks.")
    return int(lengths[0])


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is larger than the {most} bytes that this path takes.")


def _counting(receive: Receive, most: int) -> Receive:
    came = 0

    async def counted() -> Message:
        nonlocal came
        message = await receive()
        if message["type"] == "http.request":
            came += len(message.get("body", b""))
            if came > most:
                raise _too_large(most)
        return message

    return counted


async def refuse(send: Send, error: WanwuError) -> None:
    """Answers a request that is not read to its end, and closes the connection."""
    body = json.dumps(error.to_json()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send(
        {"type": "http.response.start", "status": error.status, "headers": [*headers, (b"connection", b"close")]}
    )
    await send({"type": "http.response.body", "body": body})
