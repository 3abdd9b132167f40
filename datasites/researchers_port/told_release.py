"""Each answer tells the datasite's release, and a researcher's side that is too old is told what to update.

What a request says of its release is not proven. It decides only whether the request is served at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from datasites.web.request_bounds import Message, Receive, Send, refuse
from policies.errors import VersionMismatch, WanwuError
from policies.versions import protocol

_OURS = tuple((name.encode(), value.encode()) for name, value in protocol.of_datasite().items())
_ASKED = (protocol.RELEASE.encode(), protocol.PROTOCOL.encode())


class TellsRelease:
    """ASGI middleware around the app of the researchers' port.

    Guarantees:
        No request reaches the app unless it tells, once, a release that this datasite works with, and a protocol that
        it speaks. What it tells opens nothing: every other check comes after this one, whatever it was.
    """

    def __init__(self, app: Any, refused: Callable[[WanwuError], None]) -> None:
        self._app, self._refused = app, refused

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serves one exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_OURS]}
            await send(message)

        try:
            protocol.check_researcher(_told(scope))
        except VersionMismatch as error:
            await run_in_threadpool(self._refused, error)
            await refuse(answering, error)
            return
        await self._app(scope, receive, answering)


def tell_release(app: FastAPI, refused: Callable[[WanwuError], None]) -> None:
    """Puts a `TellsRelease` around all of an app, so that the answers to its own failures tell the release too.

    Args:
        app: Of the researchers' port.
        refused: Told of each refusal, to count it.
    """
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: TellsRelease(build(), refused)  # type: ignore[method-assign]


def _told(scope: Message) -> protocol.Told:
    """What a request tells; of a header that came twice, nothing."""
    names = [name for name, _ in scope["headers"]]
    once = {name: value for name, value in scope["headers"] if name in _ASKED and names.count(name) == 1}
    return protocol.read({name.decode(): value.decode("latin-1") for name, value in once.items()})
