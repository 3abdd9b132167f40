"""Books that vanish, go back or disagree are refused before anything is served; what a crash leaves is not."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.books import ACCOUNT, FINGERPRINT, LIMITS, PLAN, approve, ledger_of, make_state, run_round

from datasites.approvals.approvals import Approvals
from datasites.audit_log.ledger_witness import head_of
from datasites.doctor import state_checks as checks
from datasites.doctor.examination import examine
from datasites.doctor.finding import OK, PROBLEM, ExaminedDatasite
from datasites.files.state_folder import StateFolder
from datasites.runs.queue import RunQueue
from datasites.state import agreement, last_known
from datasites.state import identity as identities
from datasites.state.backup import back_up
from datasites.state.kept_books import open_audit
from datasites.state.restore import Since, restore
from datasites.state.version import write_version
from policies.budget.accountant import GaussianSteps
from policies.errors import BooksDisagree, ConfigError, WanwuError
from policies.ledger.chain import Chain
from policies.ledger.head_file import Head, HeadFile
from policies.ledger.seal import Seal

BOOKS = ("ledger.sqlite", "ledger.head", "audit.log", "audit.head", "runs.sqlite")
SUBSETS = [subset for size in range(1, 6) for subset in itertools.combinations(BOOKS, size)]


def remember(state: StateFolder) -> None:
    """What a datasite keeps when it starts and when it stops."""
    seal = identities.load(state).seal
    last_known.write(state, seal, ledger_of(state), open_audit(state))


def refused(state: StateFolder) -> WanwuError:
    """The error that a start is refused with; it tells researchers nothing of the books."""
    with pytest.raises(WanwuError) as error:
        agreement.check(state)
    assert not re.search(r"\d|sqlite|audit\.log|request", error.value.public)
    assert error.value.private
    return error.value


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> tuple[StateFolder, Path]:
    """A datasite that served twice, and a copy of its books from the end of the first time."""
    folder = tmp_path_factory.mktemp("used")
    state = make_state(folder / "north", drawn)
    shutil.rmtree(state.store)
    approve(state, "one")
    run_round(state, "one", 0)
    remember(state)
    (folder / "older").mkdir()
    for name in (*BOOKS, "approvals.sqlite", "identity/books.json"):
        shutil.copy(state.path / name, folder / "older" / Path(name).name)
    run_round(state, "one", 1)
    approve(state, "two", study="other")
    remember(state)
    return state, folder / "older"


@pytest.fixture
def north(used: tuple[StateFolder, Path], tmp_path: Path) -> StateFolder:
    return StateFolder(Path(shutil.copytree(used[0].path, tmp_path / "north")))


@pytest.fixture
def older(used: tuple[StateFolder, Path]) -> Path:
    return used[1]


# --- books that vanish or go back ------------------------------------------------------------------------------


def test_whole_books_are_served(north: StateFolder) -> None:
    agreement.check(north)
    assert [one.level for one in examine(ExaminedDatasite(north), (checks.agreeing,))] == [OK]


def test_a_fresh_datasite_is_served(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "new")
    identities.load_or_create(state)
    agreement.check(state)
    assert {book.name for book in state.books} == {*BOOKS, "approvals.sqlite"}
    assert all(book.exists() for book in state.books)


@pytest.mark.parametrize("gone", SUBSETS, ids="+".join)
def test_books_of_which_some_are_missing_are_not_served_nor_begun_anew(
    north: StateFolder, gone: tuple[str, ...]
) -> None:
    for name in gone:
        (north.path / name).unlink()
    refused(north)
    identities.load_or_create(north)
    refused(north)


@pytest.mark.parametrize("crashed", [False, True], ids=["stopped", "crashed"])
@pytest.mark.parametrize("back", SUBSETS, ids="+".join)
def test_books_of_which_some_are_older_copies_are_not_served(
    north: StateFolder, older: Path, back: tuple[str, ...], crashed: bool
) -> None:
    """After a crash, what is known last is of the start before it."""
    for name in back:
        shutil.copy(older / name, north.path / name)
    if crashed:
        shutil.copy(older / "books.json", north.identity / "books.json")
    refused(north)


def test_older_copies_of_every_book_do_not_reach_what_the_identity_knows(north: StateFolder, older: Path) -> None:
    for name in (*BOOKS, "approvals.sqlite"):
        shutil.copy(older / name, north.path / name)
    assert "older copy" in refused(north).private


def test_older_decisions_are_not_served(north: StateFolder, older: Path) -> None:
    shutil.copy(older / "approvals.sqlite", north.path / "approvals.sqlite")
    refused(north)


def test_missing_decisions_are_not_served(north: StateFolder) -> None:
    north.approvals.unlink()
    refused(north)


def test_what_the_identity_knows_can_be_neither_removed_nor_replaced(north: StateFolder) -> None:
    file = north.identity / "books.json"
    kept = file.read_text()
    file.write_text(kept.replace('"decisions": 2', '"decisions": 0'))
    refused(north)
    file.unlink()
    refused(north)


@pytest.mark.parametrize("books", ["", "0" * 64])
def test_an_identity_that_does_not_know_of_its_books_is_not_served(north: StateFolder, books: str) -> None:
    identities.save(north, replace(identities.load(north), books=books))
    write_version(north.path, 1)
    with pytest.raises((BooksDisagree, ConfigError)):
        agreement.check(north)


def test_books_without_an_identity_get_no_new_one(north: StateFolder) -> None:
    (north.identity / "datasite.json").unlink()
    with pytest.raises(BooksDisagree, match="books and no identity"):
        identities.load_or_create(north)
    assert not (north.identity / "datasite.json").exists()


def test_a_shorter_history_that_agrees_everywhere_is_refused_where_it_was_sealed_by_somebody_else(
    north: StateFolder, older: Path
) -> None:
    for name in (*BOOKS, "approvals.sqlite"):
        shutil.copy(older / name, north.path / name)
    shutil.copy(older / "books.json", north.identity / "books.json")
    agreement.check(north)  # of all older copies together, only what has left the hospital tells
    other, entries = Seal(b"o" * 32), ledger_of(north).entries()
    HeadFile(north.path / "ledger.head", "ledger", other).write(Head(len(entries), entries[-1].hash))
    assert "was not written by this datasite" in refused(north).private


def test_a_datasite_whose_books_vanished_is_restored_and_serves(
    north: StateFolder, older: Path, tmp_path: Path
) -> None:
    back_up(north, tmp_path / "backups")
    for name in BOOKS:
        (north.path / name).unlink()
    refused(north)
    done = restore(tmp_path / "backups", tmp_path / "new", since=Since.UNKNOWN)
    agreement.check(done.state)
    assert identities.load(done.state).books
    for name in BOOKS:
        (done.state.path / name).unlink()
    refused(done.state)


# --- books that disagree ---------------------------------------------------------------------------------------


def change(table: Path, *statements: str) -> None:
    with closing(sqlite3.connect(table)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def forget_the_last_reservation(state: StateFolder) -> None:
    """The ledger as the datasite itself would have written it without the last reservation."""
    kept = ledger_of(state).entries()[:-1]
    for path in state.path.glob("ledger.*"):
        path.unlink()
    seal = identities.load(state).seal
    Chain.begin(state.ledger, seal)
    change(state.ledger, *(_insert(entry) for entry in kept))
    HeadFile(state.path / "ledger.head", "ledger", seal).write(Head(len(kept), kept[-1].hash))


def _insert(entry: object) -> str:
    values = {**vars(entry), "body": json.dumps(dict(entry.body), sort_keys=True, separators=(",", ":"))}  # type: ignore[attr-defined]
    shown = ("NULL" if value is None else repr(value) for value in values.values())
    return f"INSERT INTO entries ({', '.join(values)}) VALUES ({', '.join(shown)})"


def approve_by_hand(state: StateFolder) -> None:
    change(state.approvals, "UPDATE decisions SET request_id='three' WHERE request_id='two'")


def approve_another_plan(state: StateFolder) -> None:
    change(state.approvals, "UPDATE decisions SET plan=replace(plan, '\"rounds\":4', '\"rounds\":400')")


def revive_an_ended_request(state: StateFolder) -> None:
    ledger_of(state).release("two", "it ended")


def finish_without_a_charge(state: StateFolder) -> None:
    change(state.runs, "UPDATE runs SET round=3 WHERE round=1")


def finish_with_another_update(state: StateFolder) -> None:
    change(state.runs, f"UPDATE runs SET update_digest='{'f' * 64}' WHERE round=1")


def queue_without_an_approval(state: StateFolder) -> None:
    queue = RunQueue(state.runs)
    queue.enqueue(request_id="never", round_index=0, account=ACCOUNT, weights="f" * 64)
    queue.close()


def charge_without_a_run(state: StateFolder) -> None:
    ledger = ledger_of(state)
    ledger.start(request_id="one", round_index=2, spend=GaussianSteps(1.0, 0.1, 1), weights_digest="e" * 64)
    ledger.commit(request_id="one", round_index=2, update_digest="f" * 64)


def forget_a_run_that_was_asked_for(state: StateFolder) -> None:
    open_audit(state).write("round asked for", request="one", round=3, run="0123456789abcdef")


def forget_an_end(state: StateFolder) -> None:
    open_audit(state).write("request ended", request="one", by="admin", reason="over")


def approve_in_pysyft_only(state: StateFolder) -> None:
    fields = json.dumps({"id": "d" * 32, "history": [{"applied": True}]})
    (state.syft / "db").mkdir()
    change(
        state.syft / "db" / "it_json.db",
        'CREATE TABLE "Request" (fields JSON, _deleted_at DATETIME)',
        f"INSERT INTO \"Request\" VALUES ('{fields}', NULL)",
    )


DISAGREEMENTS: list[tuple[Callable[[StateFolder], None], str]] = [
    (forget_the_last_reservation, "request two was approved, and the ledger has no reservation for it"),
    (approve_by_hand, "request three was approved, and the ledger has no reservation for it"),
    (approve_another_plan, "with another plan or dataset than the ledger reserved for"),
    (revive_an_ended_request, "request two is approved, and the ledger has released its reservation"),
    (finish_without_a_charge, "is done, and the ledger has not charged round 4 of its request"),
    (finish_with_another_update, "is done, and the ledger has not charged round 2 of its request"),
    (queue_without_an_approval, "is of request never, which was never approved"),
    (charge_without_a_run, "is of a round that the queue does not know"),
    (forget_a_run_that_was_asked_for, "names run 0123456789abcdef, which the queue does not know"),
    (forget_an_end, "the audit log says 'request ended' of request one, the decisions do not"),
    (approve_in_pysyft_only, f"PySyft takes request {'d' * 32} for approved, and no decision says so"),
]


@pytest.mark.parametrize(("disagree", "said"), DISAGREEMENTS, ids=[one.__name__ for one, _ in DISAGREEMENTS])
def test_books_that_disagree_are_not_served_and_the_doctor_says_how(
    north: StateFolder, disagree: Callable[[StateFolder], None], said: str
) -> None:
    disagree(north)
    assert said in refused(north).private
    found = list(examine(ExaminedDatasite(north), (checks.agreeing,)))
    assert {one.level for one in found} == {PROBLEM}
    assert any(said in one.text for one in found)


# --- what a crash leaves -----------------------------------------------------------------------------------------


def reserve_three(state: StateFolder) -> None:
    ledger_of(state).reserve(
        fingerprint=FINGERPRINT,
        dataset="pictures",
        request_id="three",
        study="third",
        researcher="ada@example.org",
        plan_digest=PLAN.digest(),
        spend=(GaussianSteps(1.0, 0.1, 4),),
        rounds=4,
        limits=LIMITS,
    )


def before_an_approval_is_logged(state: StateFolder) -> None:
    reserve_three(state)


def before_an_approval_is_recorded(state: StateFolder) -> None:
    reserve_three(state)
    open_audit(state).write("request approved", request="three", **head_of(ledger_of(state)))


def before_an_end_is_charged(state: StateFolder) -> None:
    approvals = Approvals(state.approvals)
    decision = approvals.of_request("two")
    assert decision
    approvals.record(replace(decision, decision="ended", reason="over"))
    approvals.close()


def before_an_end_is_logged(state: StateFolder) -> None:
    before_an_end_is_charged(state)
    ledger_of(state).release("two", "over")


def before_a_round_is_logged(state: StateFolder) -> None:
    queue = RunQueue(state.runs)
    queue.enqueue(request_id="one", round_index=2, account=ACCOUNT, weights="f" * 64)
    queue.close()


def before_a_charge_is_logged(state: StateFolder) -> None:
    before_a_round_is_logged(state)
    charge_without_a_run(state)


def before_a_run_is_finished(state: StateFolder) -> None:
    before_a_charge_is_logged(state)
    named = {"run": _run(state), "request": "one", "round": 2, "update": "f" * 64}
    open_audit(state).write("run done", **named, **head_of(ledger_of(state)))


def _run(state: StateFolder) -> str:
    queue = RunQueue(state.runs)
    run = queue.find("one", 2)
    queue.close()
    assert run
    return run.id


@pytest.mark.parametrize(
    "crash",
    [
        before_an_approval_is_logged,
        before_an_approval_is_recorded,
        before_an_end_is_charged,
        before_an_end_is_logged,
        before_a_round_is_logged,
        before_a_charge_is_logged,
        before_a_run_is_finished,
    ],
    ids=lambda crash: crash.__name__,
)
def test_what_a_crash_between_two_books_leaves_is_served(
    north: StateFolder, crash: Callable[[StateFolder], None]
) -> None:
    crash(north)
    agreement.check(north)
