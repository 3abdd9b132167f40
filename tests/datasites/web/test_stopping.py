"""A datasite that stops while it is asked: who waits for an answer gets one, and knows to ask again."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send
from support.waiting import CEILING_SECONDS, wait_for

from datasites.web.listening import console_server, listen
from datasites.web.port_limits import PortLimits
from datasites.web.stopping import ToldWhenStopping


class Never:
    """An app that does not come to its answer's end, and begins it or not."""

    def __init__(self, *, begins: bool) -> None:
        self.begins, self.asked = begins, threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.begins:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        self.asked.set()
        await asyncio.Event().wait()


def asked_while_it_stops(app: Never) -> Any:
    """What a peer gets: an answer, or the error that it ends with."""
    found: list[Any] = []
    with listen("127.0.0.1", 0) as sock:
        server = console_server(app, PortLimits())
        serving = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[sock]),))
        serving.start()
        wait_for(lambda: server.started, alive=serving.is_alive)

        def ask() -> None:
            try:
                found.append(httpx.get(f"http://127.0.0.1:{sock.getsockname()[1]}/", timeout=CEILING_SECONDS))
            except httpx.TransportError as error:
                found.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        assert app.asked.wait(CEILING_SECONDS)
        server.should_exit = server.force_exit = True
        for one in (serving, asking):
            one.join()
    return found[0]


def test_a_request_that_waits_while_the_datasite_stops_is_answered_that_it_stops() -> None:
    answer = asked_while_it_stops(Never(begins=False))
    assert answer.status_code == 503 and answer.headers["connection"] == "close"
    assert answer.json()["code"] == "WW705" and "ask again" in answer.json()["error"]


def test_an_answer_that_has_begun_is_cut_off_and_nothing_put_behind_it() -> None:
    assert isinstance(asked_while_it_stops(Never(begins=True)), httpx.RemoteProtocolError)


@pytest.mark.parametrize("begins", [False, True])
def test_what_is_cancelled_says_one_thing_and_ends_cancelled_where_it_had_begun(begins: bool) -> None:
    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def ask() -> None:
        app = Never(begins=begins)
        asked = asyncio.create_task(ToldWhenStopping(app)({"type": "http"}, None, send))  # type: ignore[arg-type]
        while not app.asked.is_set():
            await asyncio.sleep(0)
        asked.cancel()
        await asked

    if begins:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(ask())
    else:
        asyncio.run(ask())
    assert sent == ["http.response.start", "http.response.body"]
