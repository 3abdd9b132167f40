"""A datasite that begins an answer and never comes to its content holds no request, and the error says what came."""

from __future__ import annotations

import itertools

import pytest
from support.slow_answers import channel_to

from policies.errors import DatasiteUnreachable, FederationError
from researcher.hospitals.connections import answer_head
from researcher.hospitals.connections.answer_head import MOST_HEAD_BYTES, MOST_INTERIM

_INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone"


def test_interim_answers_without_an_end_are_refused() -> None:
    with (
        channel_to(itertools.repeat(_INTERIM)) as channel,
        pytest.raises(FederationError, match=r"got \d+ bytes and [1-9]\d* interim answers"),
    ):
        channel.request("GET", "/")


def test_interim_answers_are_counted_however_they_are_cut() -> None:
    cut = (bytes([byte]) for byte in _INTERIM * (MOST_INTERIM + 1))
    with (
        channel_to(cut) as channel,
        pytest.raises(FederationError, match=rf"and {MOST_INTERIM + 1} interim answers"),
    ):
        channel.request("GET", "/")


def test_a_head_without_an_end_is_refused() -> None:
    lines = itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"x-more: " + b"y" * 1000 + b"\r\n"))
    with (
        channel_to(lines) as channel,
        pytest.raises(FederationError, match=r"got \d{5} bytes and 0 interim answers") as told,
    ):
        channel.request("GET", "/")
    assert f"at most {MOST_HEAD_BYTES} bytes" in str(told.value)


def test_a_head_that_stops_half_way_is_refused_though_the_request_would_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_head, "HEAD_SECONDS", 0.1)
    with channel_to([b"HTTP/1.1 2"]) as channel, pytest.raises(FederationError, match="got 10 bytes"):
        channel.request("GET", "/")


def test_a_head_that_comes_slowly_is_refused_though_no_byte_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_head, "HEAD_SECONDS", 0.0)
    with channel_to([b"HTTP/1.1 2"], timeout=1.0) as channel, pytest.raises(FederationError, match="got 10 bytes"):
        channel.request("GET", "/")


def test_silence_before_the_first_byte_is_the_requests_own_to_limit() -> None:
    with channel_to([], timeout=0.1) as channel, pytest.raises(DatasiteUnreachable, match="in time"):
        channel.request("GET", "/")


def test_a_few_interim_answers_and_a_body_larger_than_a_head_come_through() -> None:
    body = b"HTTP/1.1 1\r\n" * MOST_HEAD_BYTES  # what looks like interim answers in a body is body
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with channel_to([_INTERIM * MOST_INTERIM, head, body]) as channel:
        assert channel.request("GET", "/").content == body


def test_an_answer_in_one_piece_comes_through() -> None:
    with channel_to([_ANSWER]) as channel:
        assert channel.request("GET", "/").content == b"done"
