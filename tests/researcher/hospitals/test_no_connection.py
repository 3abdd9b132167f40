"""What keeps a connection from being made, and whether an answer broke HTTP or did not come: told by what happened."""

from __future__ import annotations

import errno
import socket
import ssl

import httpx
import pytest

from policies.errors import DatasiteUnreachable, FederationError
from researcher.hospitals.connections.answered_errors import answered_error
from researcher.hospitals.connections.broken_answer import is_broken, told_of
from researcher.hospitals.connections.no_connection import causes_of, proxy_note, why_unreachable


def caused_by(cause: BaseException) -> Exception:
    error = RuntimeError("of the transport")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (socket.gaierror(-2, "unknown"), "its name is not known here"),
        (ConnectionRefusedError(), "nothing listens at that port"),
        (TimeoutError(), "no answer came in time"),
        (ConnectionResetError(), "ended before anything was said"),
        (ssl.SSLEOFError(), "ended before anything was said"),
        (ssl.SSLError("WRONG_VERSION_NUMBER"), "does not speak TLS"),
        *((OSError(number, "no way"), "no way leads") for number in (errno.ENETUNREACH, errno.EHOSTUNREACH)),
        *((OSError(number, "no way"), "no way leads") for number in (errno.ENETDOWN, errno.EHOSTDOWN)),
        (OSError(errno.EPIPE, "else"), "the network gives an error"),
    ],
)
def test_each_cause_is_told_with_who_can_help(cause: Exception, told: str) -> None:
    assert why_unreachable(caused_by(cause)).startswith(told) or told in why_unreachable(caused_by(cause))


def test_what_the_transport_calls_late_is_late_whatever_caused_it() -> None:
    assert "no answer came in time" in why_unreachable(RuntimeError("late"), timed_out=True)
    assert "gives an error (RuntimeError)" in why_unreachable(RuntimeError("late"))


def test_causes_that_lead_round_in_a_circle_are_told_once() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__context__ = other, one
    assert list(causes_of(one)) == [one, other]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_that_is_set_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(one, raising=False)
    assert proxy_note() == ""
    monkeypatch.setenv(name, "http://proxy.example:1")
    assert proxy_note().startswith(f" {name} is set here")


@pytest.mark.parametrize(
    ("words", "broken"),
    [
        ("Server disconnected without sending a response.", False),
        ("peer closed connection without sending complete message body (received 4 bytes, expected 9)", False),
        ("illegal status line", True),
        ("Too much data for declared Content-Length", True),
    ],
)
def test_an_answer_that_breaks_a_rule_is_told_from_one_that_did_not_come(words: str, broken: bool) -> None:
    assert is_broken(httpx.RemoteProtocolError(words)) == broken
    told = told_of(httpx.RemoteProtocolError(f"{words}\x1b[31m"), "Datasite 'north'")
    assert isinstance(told, DatasiteUnreachable) and words in told.public and "\x1b" not in told.public


@pytest.mark.parametrize("status", [400, 404, 500, 501, 502, 503, 504])
def test_only_what_a_proxy_or_a_stopping_datasite_answers_is_a_reason_to_ask_again(status: int) -> None:
    error = answered_error(httpx.Response(status, content=b"<html>no words of a datasite</html>"))
    assert isinstance(error, FederationError) and str(status) in error.public
    assert isinstance(error, DatasiteUnreachable) == (status in (500, 502, 503, 504))
