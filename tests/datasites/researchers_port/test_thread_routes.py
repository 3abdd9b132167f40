"""Questions, answers, withdrawals and rounds as a researcher meets them: signed, own, bounded, without names."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from support.governed import Governed
from support.hospitals import RESEARCHER, STRANGER
from support.hostile_texts import HOSTILE

from datasites.runs.blobs import BlobLimits, BlobStore
from datasites.web.http_errors import add_error_handlers
from policies.answers.requests import MOST_IN_A_MESSAGE, MessageAnswer
from policies.contracts.inputs import MAX_TICKET_BYTES, MOST_TOGETHER_BYTES, Ticket
from policies.contracts.signatures import sign
from policies.errors import (
    BlobError,
    ConfigError,
    InputRefused,
    RequestDenied,
    RequestError,
    RequestPending,
    RequestUnknown,
    SignInFailed,
)
from policies.plans import stub
from policies.plans.training import MAX_ROUNDS, ModelSpec, PrivacySpec, TrainingPlan
from policies.versions.releases import Release

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from datasites.code_requests.conversation import MOST_MESSAGES
    from datasites.researchers_port import routes
    from datasites.researchers_port.shown_receipts import ShownReceipts
    from researcher.hospitals.code_requests import CodeRequest
    from researcher.hospitals.datasite_client import DatasiteClient
    from researcher.hospitals.secure_channel import SecureChannel
    from researcher.studies.submission import Submission

MODEL = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
PLAN = TrainingPlan("asked", "pictures", MODEL, 2, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5))
QUESTION = "Which endpoint is primary? 主要终点?"


@pytest.fixture
def request_id(governed_north: Governed) -> Iterator[str]:
    submitted = governed_north.submit(PLAN).request_id
    yield submitted
    if governed_north.book.state_of(submitted)[0] == "pending":
        governed_north.book.deny(submitted, reason="the test is over", by="tests")


def app_of(north: Governed, blobs: BlobStore | None = None) -> FastAPI:
    parts: dict[str, Any] = dict.fromkeys(
        ("name", "datasets", "terms_of_use", "queue", "supervisor", "receipts", "polls", "canaries"), None
    )
    parts["blobs"] = blobs
    shown = ShownReceipts(bytes(32), north.books)
    own = {"email_of": north.accounts.own_email, "books": north.books, "book": north.book, "shown": shown}
    wired = routes.ResearcherRoutes(rounds=north.server.serve_round, **own, **parts)
    app = FastAPI()
    add_error_handlers(app)
    app.include_router(routes.make_routes(wired))
    return app


@contextlib.contextmanager
def client(north: Governed, email: str = RESEARCHER, blobs: BlobStore | None = None) -> Iterator[DatasiteClient]:
    """The researcher's side of the routes, without a port in between."""
    channel = SecureChannel.__new__(SecureChannel)
    channel.datasite = channel.url = "http://testserver"
    channel.release = None
    channel.http = TestClient(app_of(north, blobs))
    with north.door(email):
        yield DatasiteClient(channel, bytes(north.key(email).signing_key))


def study_at(north: DatasiteClient, request_id: str) -> Submission[Any]:
    hospital = SimpleNamespace(routes=north)
    federation: Any = SimpleNamespace(hospitals={"north": hospital}, asked=lambda name, ask: ask(hospital))
    return Submission(federation, PLAN, {"north": CodeRequest(request_id, "f", "c")}, folder=Any)  # type: ignore[arg-type]


def test_a_question_is_answered_and_both_sides_read_the_thread(governed_north: Governed, request_id: str) -> None:
    book = governed_north.book
    with client(governed_north) as researcher:
        study = study_at(researcher, request_id)
        assert study.questions() == {"north": 0} and study.messages() == {"north": ()}
        book.conversation.ask(request_id, QUESTION, by="dr.wu")
        assert study.questions() == {"north": 1}
        thread = study.answer("Sensitivity at 95 % specificity.")
        assert [(one.side, one.text) for one in thread] == [
            ("hospital", QUESTION),
            ("researcher", "Sensitivity at 95 % specificity."),
        ]
        assert study.questions() == {"north": 0}
        with pytest.raises(ConfigError, match="wait at: none"):
            study.answer("More.")
    card = book.card(request_id)
    assert [(one.author, one.side) for one in card.thread] == [("dr.wu", "hospital"), (RESEARCHER, "researcher")]


def test_of_the_hospitals_people_no_name_leaves(governed_north: Governed, request_id: str) -> None:
    governed_north.book.conversation.ask(request_id, QUESTION, by="dr.canary")
    with client(governed_north) as researcher:
        path = f"/wanwu/v1/requests/{request_id}/messages"
        headers = sign(bytes(governed_north.key().signing_key), "GET", path)
        told = researcher._channel.http.get(path, headers=headers)
    assert "canary" not in told.text
    assert set(told.json()["messages"][0]) == {"side", "text", "at"}


def test_the_audit_log_has_who_wrote_and_the_texts_digest_and_no_text(
    governed_north: Governed, request_id: str
) -> None:
    conversation = governed_north.book.conversation
    conversation.ask(request_id, QUESTION, by="dr.wu")
    conversation.answer(request_id, "An answer.", by=RESEARCHER)
    asked, answered = (governed_north.events(f"question {what}")[-1] for what in ("asked", "answered"))
    assert (asked["by"], answered["by"]) == ("dr.wu", RESEARCHER)
    assert asked["text"] == hashlib.sha256(QUESTION.encode()).hexdigest()
    assert QUESTION not in governed_north.state.audit.read_text()


def test_another_accounts_thread_is_not_there(governed_north: Governed, request_id: str) -> None:
    governed_north.book.conversation.ask(request_id, QUESTION, by="dr.wu")
    with client(governed_north, STRANGER) as stranger:
        for work in (stranger.messages, lambda one: stranger.answer(one, "Mine."), stranger.withdraw):
            with pytest.raises(RequestUnknown, match="no such request"):
                work(request_id)
    assert governed_north.book.state_of(request_id)[0] == "pending"
    assert len(governed_north.book.conversation.of(request_id)) == 1


def test_an_account_finds_its_own_request_by_its_stubs_name_and_nobody_elses(
    governed_north: Governed, request_id: str
) -> None:
    name = stub.new_name(PLAN.digest())
    own = governed_north.submit(PLAN, name=name).request_id
    with client(governed_north, RESEARCHER) as mine:
        found = mine.request_of_stub(name)
        assert found is not None and (found.request, found.state) == (own, "pending") and own != request_id
        for other in (stub.new_name("0" * 64), "code", request_id):
            assert mine.request_of_stub(other) is None
    with client(governed_north, STRANGER) as stranger:
        assert stranger.request_of_stub(name) is None
    governed_north.book.deny(own, reason="the test is over", by="tests")


@pytest.mark.parametrize("name", ["controls", "line ends", "directions", "no width", "surrogates", "tags"])
def test_neither_side_writes_what_would_be_obeyed(governed_north: Governed, request_id: str, name: str) -> None:
    conversation = governed_north.book.conversation
    with pytest.raises(RequestError, match="a message must be"):
        conversation.ask(request_id, HOSTILE[name], by="dr.wu")
    conversation.ask(request_id, QUESTION, by="dr.wu")
    with pytest.raises(RequestError, match="a message must be"):
        conversation.answer(request_id, HOSTILE[name], by=RESEARCHER)


def test_a_message_and_a_thread_have_their_most(governed_north: Governed, request_id: str) -> None:
    conversation = governed_north.book.conversation
    with pytest.raises(RequestError, match="asked nothing"):
        conversation.answer(request_id, "First.", by=RESEARCHER)
    for text in ("", "  ", "x" * (MOST_IN_A_MESSAGE + 1)):
        with pytest.raises(RequestError):
            conversation.ask(request_id, text, by="dr.wu")
    for _ in range(MOST_MESSAGES):
        conversation.ask(request_id, "x" * MOST_IN_A_MESSAGE, by="dr.wu")
    with pytest.raises(RequestError, match="takes no more"):
        conversation.ask(request_id, "One more.", by="dr.wu")
    conversation.answer(request_id, "The researcher's own share is free.", by=RESEARCHER)


def test_a_body_that_was_not_signed_is_refused(governed_north: Governed, request_id: str) -> None:
    governed_north.book.conversation.ask(request_id, QUESTION, by="dr.wu")
    path = f"/wanwu/v1/requests/{request_id}/messages"
    with client(governed_north) as researcher:
        headers = sign(bytes(governed_north.key().signing_key), "POST", path, hashlib.sha256(b"mine").hexdigest())
        answer = researcher._channel.http.post(path, headers=headers, content=b"another's")
    assert answer.json()["code"] == SignInFailed.code
    assert len(governed_north.book.conversation.of(request_id)) == 1


def test_a_withdrawn_request_is_over_and_reserves_nothing(governed_north: Governed, request_id: str) -> None:
    book, before = governed_north.book, governed_north.books.ledger.head()
    book.conversation.ask(request_id, QUESTION, by="dr.wu")
    with client(governed_north) as researcher:
        study = study_at(researcher, request_id)
        assert study.withdraw() == {"north": "withdrawn"}
        assert study.decisions() == {"north": ("withdrawn", "The researcher withdrew the request.")}
        assert study.questions() == {"north": 0} and study.withdraw() == {}
        with pytest.raises(RequestError, match="is withdrawn"):
            study.answer("Late.", hospital="north")
        with pytest.raises(ConfigError, match="no request at 'south'"):
            study.withdraw(hospital="south")
    assert book.card(request_id).decided_by == RESEARCHER
    assert governed_north.books.ledger.head() == before
    for decide in (lambda: book.approve(request_id, by="wu"), lambda: book.deny(request_id, reason="No.", by="wu")):
        with pytest.raises((RequestDenied, RequestError), match="withdrawn"):
            decide()
    assert governed_north.events("request withdrawn")[-1]["by"] == RESEARCHER


def test_a_withdrawn_request_makes_room_for_another(
    governed_north: Governed, request_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(governed_north.book.own, "_max_pending", 1)
    governed_north.book.withdraw(request_id, by=RESEARCHER)
    again = governed_north.submit(PLAN).request_id
    governed_north.book.withdraw(again, by=RESEARCHER)


def test_an_approved_request_is_ended_and_not_withdrawn(governed_north: Governed, request_id: str) -> None:
    governed_north.book.approve(request_id, by="wu")
    with client(governed_north) as researcher, pytest.raises(RequestError, match="approved, and only a pending one"):
        researcher.withdraw(request_id)
    governed_north.book.end(request_id, by="wu", reason="the test is over")


def test_what_a_hospital_writes_is_shown_and_not_obeyed() -> None:
    told = SimpleNamespace(messages=(MessageAnswer("hospital", HOSTILE["controls"], "2026"),))
    hospital: Any = SimpleNamespace(messages=lambda request_id: told, round_receipts={})
    ((one,),) = study_at(hospital, "r").messages().values()
    assert one.text.isprintable()


# --- a round ------------------------------------------------------------------------------------------------------


def test_a_round_is_asked_for_by_a_signed_route_and_passes_the_gate(governed_north: Governed, request_id: str) -> None:
    north, ticket = governed_north, Ticket(0, "a" * 64).to_text()
    with client(north) as researcher:
        with pytest.raises(RequestPending):
            researcher.ask(request_id, ticket)
        north.book.approve(request_id, by="dr.wu")
        asked = len(north.rounds)
        answer = researcher.ask(request_id, ticket)
        assert answer is not None and answer.state == "queued"
        with pytest.raises(InputRefused, match="at most"):
            researcher.ask(request_id, "x" * (MAX_TICKET_BYTES + 1))
    with client(north, STRANGER) as stranger, pytest.raises(RequestUnknown):
        stranger.ask(request_id, ticket)
    assert north.rounds[asked:] == [(PLAN.to_json(), ticket)]
    north.book.end(request_id, by="dr.wu", reason="enough")
    with client(north) as researcher, pytest.raises(RequestDenied, match="enough"):
        researcher.ask(request_id, ticket)
    assert len(north.rounds) == asked + 1


def test_a_ticket_that_was_not_signed_is_refused(governed_north: Governed, request_id: str) -> None:
    path = f"/wanwu/v1/requests/{request_id}/rounds"
    headers = sign(bytes(governed_north.key().signing_key), "POST", path, hashlib.sha256(b"another").hexdigest())
    with client(governed_north) as researcher:
        refused = researcher._channel.http.post(path, headers=headers, content=Ticket(0, "a" * 64).to_text())
    assert refused.status_code == 401 and "another body" in refused.text


# --- a round's weights with its ticket ----------------------------------------------------------------------------


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    (tmp_path / "blobs").mkdir()
    return BlobStore(tmp_path / "blobs", limits=BlobLimits(max_bytes=1 << 20))


def test_weights_that_come_with_their_ticket_are_kept_and_their_round_is_asked_for_as_if_each_had_come_alone(
    governed_north: Governed, request_id: str, blobs: BlobStore, tmp_path: Path
) -> None:
    north, content = governed_north, b"weights" * 1000
    ticket, asked = Ticket(0, hashlib.sha256(content).hexdigest()), len(north.rounds)
    with client(north, blobs=blobs) as researcher:
        with pytest.raises(RequestPending):
            researcher.ask_with(request_id, ticket, content)
        north.book.approve(request_id, by="dr.wu")
        for _ in range(2):  # the second as after an answer that was lost
            answer = researcher.ask_with(request_id, ticket, content)
            assert (answer.round, answer.state) == (0, "queued")
        assert researcher.get_blob(ticket.weights, tmp_path / "came", max_bytes=1 << 20) == len(content)
        assert researcher.ask(request_id, ticket.to_text()) == answer
    assert north.rounds[asked:] == [(PLAN.to_json(), ticket.to_text())] * 3
    north.book.end(request_id, by="dr.wu", reason="enough")
    with client(north, blobs=blobs) as researcher, pytest.raises(RequestDenied, match="enough"):
        researcher.ask_with(request_id, ticket, content)


def test_weights_with_a_ticket_are_refused_where_either_alone_would_be(
    governed_north: Governed, request_id: str, blobs: BlobStore
) -> None:
    north, content = governed_north, b"weights"
    digest, asked = hashlib.sha256(content).hexdigest(), len(governed_north.rounds)
    north.book.approve(request_id, by="dr.wu")
    with client(north, blobs=blobs) as researcher:
        with pytest.raises(BlobError, match="does not have the digest"):
            researcher.ask_with(request_id, Ticket(0, "a" * 64), content)
        with pytest.raises(RequestUnknown):
            researcher.ask_with("0" * 32, Ticket(0, digest), content)
        path = f"/wanwu/v1/requests/{request_id}/rounds/0/weights/{digest}"
        signed = sign(bytes(north.key().signing_key), "PUT", path, hashlib.sha256(b"another").hexdigest())
        refused = researcher._channel.http.put(path, headers=signed, content=content)
        assert refused.status_code == 401 and "another body" in refused.text
        assert researcher._channel.http.put(path, content=content).status_code == 401
        for wrong in (f"{MAX_ROUNDS}/weights/{digest}", f"-1/weights/{digest}", "0/weights/x"):
            path = f"/wanwu/v1/requests/{request_id}/rounds/{wrong}"
            signed = sign(bytes(north.key().signing_key), "PUT", path, digest)
            assert researcher._channel.http.put(path, headers=signed, content=content).status_code in (400, 422)
    with client(north, STRANGER, blobs) as stranger, pytest.raises(RequestUnknown):
        stranger.ask_with(request_id, Ticket(0, digest), content)
    assert len(north.rounds) == asked
    north.book.end(request_id, by="dr.wu", reason="the test is over")


@pytest.mark.parametrize(
    ("release", "size", "taken"),
    [
        (None, 1, False),
        ("0.2.0", 1, False),
        ("0.3.0", MOST_TOGETHER_BYTES, True),
        ("0.3.0", MOST_TOGETHER_BYTES + 1, False),
        ("1.0.0", 1, True),
    ],
)
def test_weights_go_with_their_ticket_to_hospitals_that_know_it_and_where_they_are_small(
    release: str | None, size: int, taken: bool
) -> None:
    channel: Any = SimpleNamespace(url="", release=release and Release.parse(release))
    assert DatasiteClient(channel, b"1" * 32).takes_together(size) == taken
