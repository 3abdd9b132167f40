"""Requests over real TLS arrive in time and in bounded size, or their connection is closed with the reason."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.researchers_ports import ANNA, BERT, OpenPort, ask, enrolment, is_cut, send, served
from support.waiting import wait_for

from datasites.web import exchanges
from datasites.web.listening import listen
from researcher.hospitals.secure_channel import client_context


@pytest.fixture
def north(tmp_path: Path) -> Iterator[OpenPort]:
    with served(enrolment(tmp_path)) as opened:
        yield opened


def _code(answered: bytes) -> tuple[bytes, bytes]:
    """Status and error code of an answer."""
    found = answered.rpartition(b'"code": "')[2][:5]
    return answered[9:12], found


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nhost", b"\r\n", b"GET / HTTP/1.1\r\n\r\nGET /"])
def test_a_head_that_does_not_end_in_time_is_refused_and_its_connection_closed(tmp_path: Path, sent: bytes) -> None:
    with (
        served(enrolment(tmp_path), head_seconds=1) as north,
        north.knock(client_context(north.credentials(ANNA))) as slow,
    ):
        answered = send(slow, sent)
        if sent.endswith(b"GET /"):  # behind one that was whole
            answered = send(slow, b"")
        assert _code(answered) == (b"408", b"WW613")
        assert is_cut(slow)


def test_a_body_that_comes_too_slowly_is_refused_and_one_that_comes_fast_enough_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "BODY_INTERVAL_SECONDS", 0.5)
    head = b"PUT /read HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
    with served(enrolment(tmp_path), min_upload_bytes_per_second=1000) as north:
        context = client_context(north.credentials(ANNA))
        with north.knock(context) as slow:
            assert _code(send(slow, head + b"x" * 100)) == (b"408", b"WW613")
            assert is_cut(slow)
        monkeypatch.undo()  # the usual time again, which is enough on any machine
        with north.knock(context) as quick:
            assert b"anna" in send(quick, head + b"x" * 100_000)


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 50,
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"b" * 40_000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\nhost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    ids=["no HTTP", "path", "one header", "many headers", "another host as target", "no path"],
)
def test_what_is_no_request_of_the_own_client_is_refused_in_the_one_shape(north: OpenPort, sent: bytes) -> None:
    with north.knock(client_context(north.credentials(ANNA))) as connection:
        assert _code(send(connection, sent)) == (b"400", b"WW611")
        assert is_cut(connection)
    assert north.app.requests == 0


def test_a_bounded_number_of_requests_waits_in_one_connection(north: OpenPort) -> None:
    request = b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n"
    with north.knock(client_context(north.credentials(ANNA))) as connection:
        assert _code(send(connection, request * 1000)) == (b"400", b"WW611")
        assert is_cut(connection)
    assert north.app.requests <= 1


def test_one_researchers_requests_under_way_leave_room_for_anothers(tmp_path: Path) -> None:
    with served(enrolment(tmp_path), max_requests_at_once_per_researcher=2) as north:
        annas, berts = (client_context(north.credentials(email)) for email in (ANNA, BERT))
        held = [north.knock(annas) for _ in range(6)]
        for one in held:
            one.sendall(b"GET /hold HTTP/1.1\r\nhost: x\r\n\r\n")
        assert wait_for(lambda: north.app.requests == 2)
        with north.knock(berts) as bert:
            assert b"bert" in ask(bert)
        assert north.app.requests == 3
        for one in held:
            one.close()


def test_an_answers_end_does_not_wait_for_an_acknowledgement_of_its_beginning() -> None:
    async def undelayed() -> int:
        made: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            made.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen("127.0.0.1", 0) as listening:
            async with await asyncio.start_server(connected, sock=listening):
                _, writer = await asyncio.open_connection(*listening.getsockname())
                found = await made
                writer.close()
        return found

    assert asyncio.run(undelayed()) != 0
