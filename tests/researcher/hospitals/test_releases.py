"""A datasite of another release is recognised at its first answer: worked with, or left out with what to update."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import httpx
import pytest

from policies.errors import FederationError, SignInFailed, VersionMismatch
from policies.versions.protocol import PROTOCOL, RELEASE, check_researcher, of_datasite, of_researcher, read
from policies.versions.releases import Release, own
from researcher.hospitals.hospital import Hospital
from researcher.hospitals.secure_channel import SecureChannel
from researcher.hospitals.sign_in import sign_in

CREDENTIALS = SimpleNamespace(
    datasite="north", url="https://north.example.org", email="me@x.org", password="p", check_time=lambda: None
)


@dataclass(frozen=True)
class LaterPlan:
    """A kind of plan that came after the first release."""

    kind_added_in: ClassVar[tuple[int, int]] = (0, 3)
    dataset: str = "d"


class Answering(httpx.BaseTransport):
    """A datasite that answers everything the same, and keeps what came."""

    def __init__(self, status: int, headers: dict[str, str], content: dict[str, str]) -> None:
        self._answer, self.came = (status, headers, content), list[httpx.Request]()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.came.append(request)
        status, headers, content = self._answer
        return httpx.Response(status, headers=headers, json=content)


@contextlib.contextmanager
def channel_to(
    monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str], **content: str
) -> Iterator[tuple[SecureChannel, Answering]]:
    datasite = Answering(status, headers, content)
    monkeypatch.setattr("researcher.hospitals.secure_channel.client_context", lambda credentials: None)
    monkeypatch.setattr("researcher.hospitals.secure_channel.transport_of", lambda context: datasite)
    given: Any = CREDENTIALS
    with contextlib.closing(SecureChannel(given)) as channel:
        yield channel, datasite


def signed_in(channel: SecureChannel) -> bytes:
    given: Any = CREDENTIALS
    return sign_in(channel, given)


def test_every_request_tells_this_sides_release_and_the_datasites_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with channel_to(monkeypatch, 200, of_datasite(), seed="ab" * 32) as (channel, datasite):
        assert signed_in(channel) == bytes.fromhex("ab" * 32)
        assert channel.release == own()
        check_researcher(read(datasite.came[0].headers))
        assert {name: datasite.came[0].headers[name] for name in (RELEASE, PROTOCOL)} == of_researcher()


@pytest.mark.parametrize(("status", "told"), [(200, {"seed": "ab" * 32}), (404, {"code": "WW000", "error": "-"})])
def test_a_datasite_from_before_the_first_release_is_named_with_what_to_update(
    monkeypatch: pytest.MonkeyPatch, status: int, told: dict[str, str]
) -> None:
    with (
        channel_to(monkeypatch, status, {}, **told) as (channel, datasite),
        pytest.raises(VersionMismatch, match=r"'north' runs Wanwu from before 0\.2.*Ask the hospital to update to"),
    ):
        signed_in(channel)
    assert len(datasite.came) == 1


def test_a_protocol_that_is_not_spoken_here_is_named_whatever_the_answer_was(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {RELEASE: "4.0.0", PROTOCOL: "2"}
    for status, told in ((200, {"seed": "ab" * 32}), (404, {"code": "WW000", "error": "-"})):
        with (
            channel_to(monkeypatch, status, headers, **told) as (channel, _),
            pytest.raises(VersionMismatch, match=r"4\.0\.0 and speaks protocol 2.*Install Wanwu 4\.0 here"),
        ):
            signed_in(channel)


def test_a_datasite_that_says_this_side_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    headers, told = {RELEASE: "0.7.0", PROTOCOL: "1"}, {"code": VersionMismatch.code, "error": "Yours is 0.2.0."}
    with (
        channel_to(monkeypatch, VersionMismatch.status, headers, **told) as (channel, _),
        pytest.raises(VersionMismatch, match=r"Datasite 'north': Yours is 0\.2\.0\."),
    ):
        signed_in(channel)


def test_other_refusals_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        channel_to(monkeypatch, 401, {}, code=SignInFailed.code, error="Wrong.") as (channel, _),
        pytest.raises(SignInFailed, match="Wrong"),
    ):
        signed_in(channel)


def test_a_plan_that_needs_more_than_the_hospital_knows_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, object]] = []
    hospital = object.__new__(Hospital)
    hospital._assets = {"d": "a" * 32}
    hospital.name, hospital.datasets = "north", {"d": SimpleNamespace()}  # type: ignore[dict-item]
    hospital.channel = SimpleNamespace(release=Release(0, 2, 0))  # type: ignore[assignment]
    monkeypatch.setattr(Hospital, "_pysyft", lambda self: SimpleNamespace(submit=lambda *given: sent.append(given)))
    newer: Any = LaterPlan()
    with pytest.raises(VersionMismatch, match=r"'north' runs Wanwu 0\.2\.0, and this plan needs 0\.3: kind"):
        hospital.submit(newer)
    assert sent == []
    hospital.channel = SimpleNamespace(release=Release(0, 3, 0))  # type: ignore[assignment]
    hospital.submit(newer)
    assert sent == [("a" * 32, newer, "")]
    hospital._assets.clear()
    with pytest.raises(FederationError, match="'north' did not say which of PySyft's assets the dataset 'd' is"):
        hospital.submit(newer)
    assert len(sent) == 1
