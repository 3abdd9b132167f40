"""Answers of a datasite that is stopping: whoever still waits for one is told to ask again, on both ports.

What is under way when the datasite is told to stop is cancelled, and uvicorn answers it with a bare status 500, as if
the datasite were broken. A researcher's side would give up a round for that which is charged.
"""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from policies.errors import DatasiteUnreachable

_STOPPING = "The datasite is stopping. What was asked may have been done; ask again once it is back."


class ToldWhenStopping:
    """Around the app: a request that is cancelled is answered, unless its answer has begun, which is cut off then."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:  # the task ends with this, and nothing else waits for its cancellation
            if begun:
                raise
            told = DatasiteUnreachable(_STOPPING).to_json()
            await JSONResponse(told, status_code=503, headers={"connection": "close"})(scope, receive, send)
