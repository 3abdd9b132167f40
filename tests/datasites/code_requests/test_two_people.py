"""Decisions on a request, often by several people, at the book's level: PySyft's side is a fake that keeps nothing."""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datasites.approvals.votes import is_the_asker
from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.errors import BudgetExceeded, LedgerBroken, NotAllowed, NotReserved, RequestDenied, RequestError

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from datasites.code_requests import deciding, requests
    from datasites.code_requests.decisions import told_decisions
    from datasites.code_requests.request_index import RequestRow


class Reader:
    """Finds one canonical request; `digest` stands for all that its card shows."""

    digest = "card 1"

    def find(self, request_id: str) -> Any:
        return SimpleNamespace(
            id="r1", requesting_user_email="x@y.org", request_time="", requesting_user_verify_key="ab"
        )

    def read(self, request: Any, *, version: int | None = None) -> Any:
        plan = SimpleNamespace(study="s", rounds=2, digest=lambda: "d", to_json=lambda: "{}", privacy=None)
        manifest = SimpleNamespace(name="cells", budget_key="f", dataset_version=1)
        return SimpleNamespace(
            request_id="r1", code_id="c1", account="ab", researcher="x@y.org", plan=plan,
            dataset=SimpleNamespace(manifest=manifest), digest=self.digest,
        )  # fmt: skip


class Book:
    """A real RequestBook on real approvals, with what was reserved and written."""

    def __init__(self, folder: Path, needed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        from datasites.approvals.approvals import Approvals
        from datasites.code_requests.calculator import DeclaredShapes

        self.reserved: list[str] = []
        self.released: list[str] = []
        self.disk_is_full = False
        self.while_reserving: Callable[[], None] = lambda: None
        self.events: list[str] = []
        self.details: list[dict[str, Any]] = []
        self.limits = SimpleNamespace(
            current=DatasetLimits(approvals_needed=needed),
            check=lambda plan, manifest: None,
            withdrawn=folder / "withdrawn.json",
        )
        self.approvals = Approvals(folder / "approvals.sqlite")
        books: Any = SimpleNamespace(
            limits=self.limits,
            approvals=self.approvals,
            ledger=SimpleNamespace(reserve=self._reserve, release=self._release, held=self._held),
            calculator=SimpleNamespace(shapes=lambda plan: DeclaredShapes({}, {})),
            audit=SimpleNamespace(write=self._write),
            epsilon=lambda history: 0.0,
            witness=dict,
            rehearsals=SimpleNamespace(check=lambda request_id: None),
            approved_version=lambda request_id: None,
        )
        done = SimpleNamespace(apply=lambda *_: None, undo=lambda *_: None)
        self.services = done
        server = SimpleNamespace(lock=threading.RLock(), services=SimpleNamespace(request=done))
        monkeypatch.setattr(told_decisions, "admin_context", lambda server: None)
        monkeypatch.setattr(deciding, "plan_spend", lambda plan: ())
        monkeypatch.setattr(requests, "make_card", lambda request, reader, books, viewer: self.state())
        self.reader = Reader()
        monkeypatch.setattr(requests, "RequestReader", lambda server, datasets: self.reader)
        self.book = requests.RequestBook(server, {}, books)
        self.book.index.add(RequestRow("r1", "2026-11-20", "x@y.org"), account="ab", code_id="c1")

    def _write(self, event: str, **details: Any) -> None:
        self.events.append(event)
        self.details.append(details)

    def _reserve(self, **values: Any) -> Any:
        self.while_reserving()
        self.reserved.append(values["request_id"])
        return SimpleNamespace(body=dict)

    def _release(self, request_id: str, reason: str) -> None:
        if request_id not in self.reserved:
            raise NotReserved(request_id)
        if self.disk_is_full:
            raise LedgerBroken("full")
        self.released.append(reason)

    def _held(self, request_id: str) -> Any:
        return SimpleNamespace(released=next(iter(self.released), None)) if request_id in self.reserved else None

    def state(self) -> str:
        decision = self.approvals.of_request("r1")
        return "pending" if decision is None else f"{decision.decision} by {decision.decided_by}"

    def approve(self, by: str, *, named: bool = True) -> str:
        return str(self.book.approve("r1", by=by, named=named))


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    made = Book(tmp_path, 2, monkeypatch)
    with contextlib.closing(made.approvals):
        yield made


def test_the_budget_is_reserved_with_the_last_needed_approval(two: Book) -> None:
    assert (two.approve("wu"), two.reserved) == ("pending", [])
    assert (two.approve("chan"), two.reserved) == ("approved by wu, chan", ["r1"])


def test_the_same_person_does_not_count_twice(two: Book) -> None:
    two.approve("wu")
    with pytest.raises(NotAllowed, match="different people"):
        two.approve("wu")
    assert (two.state(), two.reserved) == ("pending", [])


def test_the_owner_of_the_state_folder_gives_none_of_several_approvals(two: Book) -> None:
    with pytest.raises(NotAllowed, match="own token"):
        two.approve("admin", named=False)
    assert two.approvals.votes.of("r1") == ()


def test_one_approval_suffices_where_the_limits_ask_for_one_even_the_owners(two: Book) -> None:
    two.limits.current = replace(two.limits.current, approvals_needed=1)
    assert two.approve("admin", named=False) == "approved by admin"


def test_a_card_that_changed_in_between_voids_the_first_approval(two: Book) -> None:
    two.approve("wu")
    two.reader.digest = "card 2"
    assert two.approve("chan") == "pending"
    assert "votes voided" in two.events
    assert two.approve("wu") == "approved by chan, wu"


def test_any_denial_denies_it_once_all_votes_are_in(two: Book) -> None:
    two.approve("wu")
    two.book.deny("r1", reason="no", by="chan")
    assert two.state() == "denied by chan"
    assert two.book.state_of("r1") == ("denied", "no")
    with pytest.raises(RequestDenied):
        two.approve("chan")
    with pytest.raises(RequestError, match="reason"):
        two.book.deny("r1", reason=" ", by="chan")


def test_the_first_denial_of_two_stays_blind(two: Book) -> None:
    two.book.deny("r1", reason="no", by="chan")
    assert (two.state(), two.book.state_of("r1")) == ("pending", ("pending", ""))
    assert two.approve("wu") == "denied by chan"
    assert two.reserved == []


def test_one_wish_for_a_change_returns_it_and_two_give_both_reasons(two: Book) -> None:
    two.book.ask_for_a_change("r1", reason="fewer rounds", by="chan")
    two.book.ask_for_a_change("r1", reason="name the protocol", by="wu")
    assert two.book.state_of("r1") == ("returned", "fewer rounds / name the protocol")
    assert (two.reserved, two.events[-1]) == ([], "request returned")
    with pytest.raises(RequestDenied, match="returned before"):
        two.approve("lee")
    assert two.book.index.page().counts["returned"] == 1


def test_a_denial_outweighs_a_wish_for_a_change(two: Book) -> None:
    two.book.ask_for_a_change("r1", reason="fewer rounds", by="chan")
    two.book.deny("r1", reason="no", by="wu")
    assert two.book.state_of("r1") == ("denied", "no")


def test_until_the_decision_the_audit_log_tells_neither_who_nor_how_and_then_both(two: Book) -> None:
    two.book.ask_for_a_change("r1", reason="a longer reason", by="chan")
    assert two.events == ["request voted on"] and two.details[0]["given"] == 1
    assert not any(word in str(two.details) for word in ("chan", "return", "longer"))
    two.approve("wu")
    votes = {vote["person"]: vote["vote"] for vote in json.loads(two.details[-1]["votes"])}
    assert votes == {"chan": "return", "wu": "approve"}


def test_limits_that_say_what_the_cost_means_void_the_votes_and_others_do_not(two: Book) -> None:
    two.approve("wu")
    two.limits.current = replace(two.limits.current, max_rounds=7)
    with pytest.raises(NotAllowed, match="voted"):
        two.approve("wu")
    two.limits.current = replace(two.limits.current, total=PrivacyBudget(9.0, 1e-5))
    assert two.approve("chan") == "pending"
    assert "votes voided" in two.events and two.approve("wu") == "approved by chan, wu"


@pytest.mark.parametrize("who", ["x@y.org", "X@Y.org", "x", "X"])
def test_who_asks_decides_nothing(two: Book, who: str) -> None:
    for vote in (two.approve, lambda by: two.book.deny("r1", reason="no", by=by)):
        with pytest.raises(NotAllowed, match="Let somebody else"):
            vote(who)
    assert two.approvals.votes.of("r1") == ()


def test_the_same_name_elsewhere_is_somebody_else() -> None:
    assert is_the_asker("x@y.org", "x@y.org") and not is_the_asker("x@z.org", "x@y.org")


def test_a_vote_may_be_given_anew_when_the_budget_was_too_short_for_the_decision(two: Book) -> None:
    two.approve("wu")
    two.disk_is_full, two.while_reserving = True, lambda: (_ for _ in ()).throw(BudgetExceeded("full"))
    with pytest.raises(BudgetExceeded):
        two.approve("chan")
    two.book.deny("r1", reason="no budget", by="chan")
    assert two.book.state_of("r1") == ("denied", "no budget")


def test_an_account_that_ends_takes_its_unfinished_approval_with_it(two: Book) -> None:
    two.approve("wu")
    two.approvals.votes.drop("wu")
    assert two.approve("chan") == "pending"


def test_approving_again_what_is_approved_changes_nothing_but_completes_it(two: Book) -> None:
    two.approve("wu")
    two.approve("chan")
    events = len(two.events)
    assert two.approve("wu") == "approved by wu, chan"
    assert len(two.events) == events and two.reserved == ["r1"]


@pytest.mark.parametrize("refuse", ["deny", "ask_for_a_change"])
def test_refusing_again_what_is_refused_is_logged_once_and_keeps_its_first_reason(two: Book, refuse: str) -> None:
    for person in ("wu", "chan", "li"):
        with contextlib.suppress(NotAllowed):
            getattr(two.book, refuse)("r1", reason=f"says {person}", by=person)
        told = two.state(), [event for event in two.events if event in ("request denied", "request returned")]
        assert len(told[1]) <= 1
    assert two.book.state_of("r1")[1].startswith("says wu") and two.events.count(told[1][0]) == 1


# --- ends --------------------------------------------------------------------------------------------------------


@pytest.fixture
def approved(two: Book) -> Book:
    two.approve("wu")
    two.approve("chan")
    return two


def test_a_request_that_has_ended_stays_ended_whoever_denies_or_ends_it(approved: Book) -> None:
    approved.book.end("r1", by="wu", reason="over")
    with pytest.raises(RequestError, match="has ended"):
        approved.book.deny("r1", reason="no", by="chan")
    with pytest.raises(RequestError, match="Only an approved"):
        approved.book.end("r1", by="wu", reason="again")
    assert (approved.state(), approved.released) == ("ended by wu, chan", ["over"])
    assert "request denied" not in approved.events


def test_an_end_that_the_ledger_could_not_take_is_completed_when_it_is_repeated(approved: Book) -> None:
    approved.disk_is_full = True
    with pytest.raises(LedgerBroken):
        approved.book.end("r1", by="wu", reason="over")
    assert (approved.state(), approved.released) == ("ended by wu, chan", [])
    approved.disk_is_full = False
    approved.book.end("r1", by="wu", reason="again")
    assert (approved.released, approved.events[-1]) == (["over"], "request ended")


def test_a_request_that_ends_while_its_approval_is_repeated_has_ended(approved: Book) -> None:
    ending = threading.Thread(target=lambda: approved.book.end("r1", by="the researcher", reason="over"))

    def meanwhile() -> None:
        ending.start()
        ending.join(timeout=0.3)  # it gets as far as it can

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approved.services, "apply", lambda *_: meanwhile())
        approved.approve("wu")
    ending.join()
    assert (approved.state(), approved.released) == ("ended by wu, chan", ["over"])
