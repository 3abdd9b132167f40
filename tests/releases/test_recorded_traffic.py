"""Sides of earlier releases at today's: recorded researchers ask today's datasite, recorded datasites answer here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import support.imported_pysyft  # noqa: F401
from support import protocol_0_2, recorded_traffic
from support.hospitals import RESEARCHER, Hospital, make_hospital, running, write_pictures
from support.recorded_study import STUDY, call_of, researchers_side
from support.recorded_traffic import CALL, SIGN_IN, Decided, Exchange, Recording, Replayed, bytes_of, texts_of
from support.waiting import CEILING_SECONDS, wait_for

from policies.contracts.outputs import take_update
from policies.errors import VersionMismatch
from policies.ledger.receipt import verify
from policies.plans.kinds import parse
from policies.versions.releases import MINORS, told, worked_with
from researcher.hospitals import hospital as connecting
from researcher.hospitals import secure_channel
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.pysyft_connection import SignedCalls

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parents[1]
RECORDED = {folder.name: Recording.load(folder / STUDY) for folder in sorted(FOLDER.glob("*.*/"))}
MOST_BYTES = 300_000
# As which release's researcher a recording is replayed.
PROTOCOLS = {"0.2": protocol_0_2}
# What an answer gives out anew each time.
IDENTIFIER = re.compile("[0-9a-f]{16}|[0-9a-f]{32}|[0-9a-f]{64}")
# Parts of answers that say when, how fast, or what is installed: their form has to stay, and what they say has not.
ELSEWHERE = {"versions", "limits", "time", "at", "receipt", "assumptions", "server_version", "syft_version"}
each = pytest.mark.parametrize("release", sorted(RECORDED))


def test_every_released_minor_version_that_is_worked_with_is_recorded_and_no_other() -> None:
    released = set(re.findall(r"^## \[(\d+\.\d+)\.\d+\]", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE))
    known = set(map(told, worked_with(MINORS)))
    assert released & known <= set(RECORDED) <= known
    assert sorted(PROTOCOLS) == sorted(RECORDED)
    assert all(recording.release.startswith(f"{name}.") for name, recording in RECORDED.items())


@each
def test_a_recording_is_small_and_holds_no_key_and_no_password(release: str) -> None:
    assert sum(file.stat().st_size for file in (FOLDER / release).iterdir()) < MOST_BYTES
    text = (FOLDER / release / STUDY).read_text()
    assert not re.search(r"x-wanwu-(?:key|nonce|signature|time)|PRIVATE KEY|BEGIN CERTIFICATE", text)
    passwords = {value for one in RECORDED[release].exchanges for value in texts_of(one.body) if "password" in value}
    assert passwords == {"password", recorded_traffic.PASSWORD}
    assert recorded_traffic.SEED in text


# --- an earlier researcher's side at today's datasite ---------------------------------------------------------------


@pytest.fixture(scope="module")
def datasite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("recorded")
    write_pictures(folder / "pictures.npz", sites=("north",))
    with running(make_hospital(folder, "north", folder / "pictures.npz", rehearses=True)) as started:
        yield started["north"]


class EarlierResearcher:
    """Asks what was recorded, signs as its release did, and takes what an answer gives out from the answer."""

    def __init__(self, datasite: Hospital, protocol: Any) -> None:
        self._datasite, self._protocol = datasite, protocol
        self._own = Credentials.from_file(datasite.credentials())
        context = secure_channel.client_context(self._own)
        self._http = httpx.Client(base_url=self._own.url, verify=context, trust_env=False, timeout=CEILING_SECONDS)
        self._seed = b""
        self.receipt = self.public_key = ""
        self._metadata: dict[str, Any] = {}
        self.now: dict[str, str] = {}  # what was given out then → what is given out now

    def __enter__(self) -> EarlierResearcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def take(self, step: Exchange | Decided) -> None:
        if isinstance(step, Decided):
            self._datasite.admin(*(self._today(word) for word in step.hospital))
            return
        state = step.answer.get("json", {}).get("state") if step.method == "GET" else None
        answer = wait_for(lambda: self._when(self.ask(step), state))
        assert answer.status_code == step.status, (step.place, answer.text)
        for name in step.answer_headers:
            assert name in answer.headers, (step.place, name)
        self._learn_from(step, answer)

    def _when(self, answer: httpx.Response, state: str | None) -> httpx.Response | None:
        """The answer, once it tells the state that was recorded, where that is one a question waits for."""
        return answer if state is None or answer.json().get("state") == state else None

    def ask(self, step: Exchange) -> httpx.Response:
        path, content = self._today(step.path), self._body(step)
        headers = dict(step.headers)
        if step.signed:
            covered = self._today(headers.pop("x-wanwu-body-sha256"))
            covered = self._protocol.digest(content) if "text" in step.body else covered
            headers |= self._protocol.signed(self._seed, step.method, path, covered)
        return self._http.request(step.method, path, headers=headers, content=content)

    def _body(self, step: Exchange) -> bytes:
        if "call" in step.body:
            call = {**step.body["call"], "asset": self._today(step.body["call"]["asset"])}
            return bytes(self._protocol.submission(call, self._seed, self._metadata))
        if step.path.endswith(SIGN_IN):
            return json.dumps({"email": self._own.email, "password": self._own.password}).encode()
        return self._today(step.body["text"]).encode() if "text" in step.body else bytes_of(step.body)

    def _learn_from(self, step: Exchange, answer: httpx.Response) -> None:
        if step.path.endswith(SIGN_IN):
            self._seed = bytes.fromhex(answer.json()["seed"])
        elif step.path == CALL:
            then, now = (self._protocol.submitted(one) for one in (bytes_of(step.answer), answer.content))
            self.now.update(zip(then, now, strict=True))
        elif "json" in step.answer:
            came = answer.json()
            self._compare(step.answer["json"], came, step.path)
            if step.path.endswith("/metadata"):
                self._metadata = came
            self.receipt, self.public_key = came.get("receipt", self.receipt), came.get("public_key", self.public_key)
        else:
            assert len(answer.content) == len(bytes_of(step.answer))

    def _compare(self, then: Any, now: Any, where: str, *, elsewhere: bool = False) -> None:
        """Holds an answer against the recorded one: all that was told is told, in its form; more may be."""
        if isinstance(then, dict):
            assert isinstance(now, dict) and set(then) <= set(now), where
            for name, value in then.items():
                self._compare(value, now[name], f"{where} {name}", elsewhere=elsewhere or name in ELSEWHERE)
        elif isinstance(then, list):
            assert isinstance(now, list) and (elsewhere or len(then) == len(now)), where
            for one, other in zip(then, now, strict=False):
                self._compare(one, other, where, elsewhere=elsewhere)
        elif isinstance(then, str) and not elsewhere:
            assert isinstance(now, str), where
            if IDENTIFIER.fullmatch(then):
                assert len(now) == len(then) and self.now.setdefault(then, now) == now, where
            else:
                assert now == then, where
        else:
            assert isinstance(now, int | float if isinstance(then, float) else type(then)), where

    def _today(self, text: str) -> str:
        for then, now in self.now.items():
            text = text.replace(then, now)
        return text


@each
def test_an_earlier_researchers_study_runs_at_todays_datasite(release: str, datasite: Hospital) -> None:
    recording, before = RECORDED[release], datasite.ledger_entries()
    with EarlierResearcher(datasite, PROTOCOLS[release]) as researcher:
        for step in recording.steps:
            researcher.take(step)
    receipt = verify(researcher.receipt, researcher.public_key)
    assert len(receipt.rounds) == 1 and datasite.ledger_entries() > before
    (then,) = (step.answer["json"]["receipt"] for step in recording.exchanges if step.path.endswith("/receipt"))
    assert names_of(json.loads(researcher.receipt)) == names_of(json.loads(then))


def names_of(value: object) -> object:
    """The fields of a receipt, and of what is in it; whatever they hold."""
    if isinstance(value, dict):
        return {name: names_of(one) for name, one in value.items() if name not in ("plan", "versions")}
    return [names_of(one) for one in value] if isinstance(value, list) else None


def test_a_side_from_before_the_first_release_is_told_what_to_install_and_nothing_is_charged(
    datasite: Hospital,
) -> None:
    before = datasite.ledger_entries(), len(datasite.events("request submitted"))
    with EarlierResearcher(datasite, protocol_0_2) as researcher:
        for headers in ({}, {"x-wanwu-release": "0.1.0", "x-wanwu-protocol": "1"}):
            for step in RECORDED["0.2"].exchanges:
                answer = researcher.ask(replace(step, headers=headers, signed=False, body={}))
                assert (answer.status_code, answer.json()["code"]) == (VersionMismatch.status, VersionMismatch.code)
                assert "Install Wanwu" in answer.json()["error"] and "Nothing was asked for" in answer.json()["error"]
    assert (datasite.ledger_entries(), len(datasite.events("request submitted"))) == before


# --- today's researcher's side at an earlier datasite ----------------------------------------------------------------


class Asked:
    """Holds what today's side asks against what was asked then."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request, then: Exchange) -> None:
        assert set(then.headers) <= set(request.headers), then.place
        assert then.signed <= ("x-wanwu-signature" in request.headers), then.place
        if "call" in then.body:
            now, name = self.calls[-1], then.body["call"]["function"]
            renamed = {**now, "function": name, "code": now["code"].replace(now["function"], name)}
            assert renamed == then.body["call"]
            assert now["function"].rpartition("_")[0] == name.rpartition("_")[0]  # the plan's digest
        elif not then.path.endswith(SIGN_IN):
            assert request.content == bytes_of(then.body), then.place


@each
def test_todays_researcher_runs_a_study_at_an_earlier_datasite(
    release: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recording, asked = RECORDED[release], Asked()
    replayed = Replayed(recording, asked)
    make = SignedCalls.make

    def noted(self: SignedCalls, path: str, **arguments: Any) -> Any:
        asked.calls.append(call_of(path, arguments))
        return make(self, path, **arguments)

    monkeypatch.setattr(SignedCalls, "make", noted)
    monkeypatch.setattr(secure_channel, "client_context", lambda credentials: None)
    monkeypatch.setattr(secure_channel, "transport_of", lambda context: replayed)
    given: Any = SimpleNamespace(
        datasite="north",
        url="https://north.example.org",
        email=RESEARCHER,
        password=recorded_traffic.PASSWORD,
        certificate="",
        check_time=lambda: None,
    )
    submitted = [step.body["call"]["plan"] for step in recording.exchanges if "call" in step.body]
    other, plan = (parse(text) for text in submitted)
    assert [one.to_json() for one in (other, plan)] == submitted
    decide: Callable[..., None] = lambda *words: None  # noqa: E731
    hospital = connecting.Hospital(given)
    try:
        came = researchers_side(hospital, (plan, other), decide, tmp_path)
    finally:
        hospital.close()
    assert replayed.left == []
    assert str(hospital.channel.release) == recording.release
    receipt = verify(came["receipt"], came["public_key"])
    assert receipt.study == plan.study and len(receipt.rounds) == 1
    shapes = {"head.bias": (2,), "head.weight": (2, 256)}
    assert dict(take_update(came["update"], shapes, max_bytes=1 << 20)).keys() == shapes.keys()
