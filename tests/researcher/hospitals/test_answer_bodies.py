"""A datasite whose answer comes a byte at a time holds no request; a slow line that comes forward is waited for."""

from __future__ import annotations

import httpcore
import pytest
from support.slow_answers import channel_to

from policies.errors import DatasiteUnreachable, FederationError
from researcher.hospitals.connections import answer_body
from researcher.hospitals.connections.answer_body import BODY_SECONDS, LEAST_BYTES, AnswerBody

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 600000\r\n\r\n"


class Line:
    """Bytes that take as long to come as a test says, by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.body = 0.0, AnswerBody("datasite")
        monkeypatch.setattr(answer_body.time, "monotonic", lambda: self.now)

    def come(self, size: int, *, after: float, timeout: float | None = 60.0) -> int:
        def read(seconds: float | None) -> bytes:
            if seconds is not None and after > seconds:
                self.now += seconds
                raise httpcore.ReadTimeout
            self.now += after
            return bytes(size)

        return len(self.body.read(read, timeout))


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(monkeypatch)


def test_a_body_that_comes_a_byte_at_a_time_is_refused_in_a_bounded_time(line: Line) -> None:
    with pytest.raises(FederationError, match=r"expected 262144 bytes more, or its end, within 300 s; got \d+\."):
        for _ in range(1000):
            line.come(1, after=59.0)
    assert line.now <= BODY_SECONDS


def test_a_line_of_1_mbit_a_second_with_pauses_brings_a_large_body(line: Line) -> None:
    for second in range(1000):  # 125 MB, with a pause just under the timeout every half minute
        assert line.come(125_000, after=59.0 if second % 30 == 0 else 1.0)
    assert line.now > 2 * BODY_SECONDS


def test_what_is_done_with_the_bytes_takes_nothing_from_the_time(line: Line) -> None:
    for _ in range(3):
        line.come(1, after=1.0)
        line.now += 2 * BODY_SECONDS


def test_the_requests_own_timeout_between_bytes_stays(line: Line) -> None:
    line.come(LEAST_BYTES - 1, after=200.0, timeout=None)
    with pytest.raises(httpcore.ReadTimeout):
        line.come(1, after=61.0)
    with pytest.raises(FederationError, match=f"got {LEAST_BYTES - 1}"):
        line.come(1, after=400.0, timeout=None)


def test_a_body_that_stops_half_way_is_refused_though_the_request_would_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_body, "BODY_SECONDS", 0.1)
    with channel_to([_HEAD, b"x"]) as channel, pytest.raises(FederationError, match="too slowly"):
        channel.request("GET", "/")


def test_each_answer_has_a_pace_of_its_own_and_a_whole_one_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_body, "BODY_SECONDS", 0.0)  # a body of which nothing need be waited for is none
    with channel_to([b"HTTP/1.1 204 No Content\r\n\r\n"]) as channel:
        assert channel.request("GET", "/").content == b""
    monkeypatch.undo()
    with channel_to([_HEAD, bytes(600_000)]) as channel:
        assert len(channel.request("GET", "/").content) == 600_000


def test_silence_within_a_body_is_the_requests_own_to_limit() -> None:
    with channel_to([_HEAD, b"x"], timeout=0.1) as channel, pytest.raises(DatasiteUnreachable, match="in time"):
        channel.request("GET", "/")


@pytest.mark.parametrize("length", [b"-5", b"many", b"1\r\ncontent-length: 2"])
def test_a_length_that_is_none_is_told_as_an_answer_that_breaks_the_rules(length: bytes) -> None:
    told = r"breaks the rules of HTTP \(.*[Cc]ontent-[Ll]ength.*proxy"
    pieces = [b"HTTP/1.1 200 OK\r\ncontent-length: " + length + b"\r\n\r\n{}"]
    with channel_to(pieces) as channel, pytest.raises(DatasiteUnreachable, match=told):
        channel.request("GET", "/")
