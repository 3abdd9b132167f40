"""Receipts that researchers show again: books that were put back stand still, and nothing else stops a hospital."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.books import ACCOUNT, FINGERPRINT, LIMITS, approve, ledger_of, run_round

from datasites.approvals.approvals import Approvals
from datasites.audit_log.ledger_witness import head_of
from datasites.files.state_folder import StateFolder
from datasites.researchers_port.shown_receipts import BOOKS_BEHIND, ShownReceipts
from datasites.runs.admission import Admission
from datasites.runs.charges import RoundCharges
from datasites.runs.queue import RunQueue
from datasites.state import agreement
from datasites.state import identity as identities
from datasites.state.backup import back_up
from datasites.state.kept_books import open_audit
from datasites.state.restore import Since, restore
from policies.budget.accountant import GaussianSteps
from policies.contracts.round_receipt import RoundReceipt
from policies.errors import BackupRefused, BooksBehind, WanwuError
from policies.ledger import chain_errors
from policies.ledger.ledger import Ledger
from policies.ledger.reservations import NOTHING_LEFT

WHO, SPEND = "ada@example.org", GaussianSteps(1.0, 0.1, 1)


@dataclass
class Side:
    """One state folder's receipts."""

    state: StateFolder
    shown: ShownReceipts

    def events(self) -> int:
        return sum(event["event"] == BOOKS_BEHIND for event in open_audit(self.state).read().entries)

    def stands_still(self) -> bool:
        return chain_errors.halted(self.state.ledger) is not None


@pytest.fixture
def side_of() -> Any:
    """What opens a state folder as a datasite that serves it does."""
    opened: list[Approvals] = []

    def side(state: StateFolder) -> Side:
        ledger, approvals = ledger_of(state), Approvals(state.approvals)
        opened.append(approvals)
        books: Any = SimpleNamespace(
            ledger=ledger, approvals=approvals, audit=open_audit(state), witness=lambda: head_of(ledger)
        )
        return Side(state, ShownReceipts(bytes.fromhex(identities.load(state).signing_seed), books))

    yield side
    for approvals in opened:
        approvals.close()


def put_back(state: StateFolder, copy: Path) -> StateFolder:
    """An older copy of the whole folder."""
    shutil.copytree(state.path, copy)
    return StateFolder(copy)


def restored_without(
    side_of: Callable[[StateFolder], Side], state: StateFolder, folder: Path, since: Since, *lost: tuple[str, int]
) -> tuple[Side, list[str]]:
    """What is restored from a backup that has not these rounds, (request, round), and the receipts of these."""
    made = back_up(state, folder / "backups")
    for request, index in lost:
        if request not in ledger_of(state).reservations():
            approve(state, request, study="another")
        run_round(state, request, index)
    receipts = [side_of(state).shown.of(request, index) for request, index in lost]
    return side_of(restore(made.folder, folder / "new", since=since).state), receipts


def test_what_was_given_may_be_shown_again_at_any_time(
    state: StateFolder, side_of: Callable[[StateFolder], Side]
) -> None:
    here = side_of(state)
    receipts = [here.shown.of("one", index) for index in (0, 1)]
    run_round(state, "one", 2)
    ledger_of(state).release("one", "done")
    for receipt in (*receipts, here.shown.of("one", 2), ""):
        here.shown.check(receipt, WHO)
    assert not here.stands_still() and here.events() == 0


def test_no_receipt_is_given_before_the_ledger_holds_the_end(
    state: StateFolder, side_of: Callable[[StateFolder], Side]
) -> None:
    ledger, here = ledger_of(state), side_of(state)
    ledger.start(request_id="one", round_index=2, spend=SPEND, weights_digest="b" * 64)
    assert here.shown.of("one", 2) == here.shown.of("nobody's", 0) == ""
    ledger.commit(request_id="one", round_index=2, update_digest=NOTHING_LEFT)
    here.shown.check(here.shown.of("one", 2), WHO)


def test_an_older_copy_of_the_whole_folder_agrees_with_itself_and_stands_still_at_the_first_receipt(
    state: StateFolder, tmp_path: Path, side_of: Callable[[StateFolder], Side]
) -> None:
    old = put_back(state, tmp_path / "old")
    run_round(state, "one", 2)
    receipt, there = side_of(state).shown.of("one", 2), side_of(old)
    agreement.check(old)
    for _ in range(2):
        with pytest.raises(BooksBehind, match="older copy") as told:
            there.shown.check(receipt, WHO)
        assert "one" not in told.value.public.split() and "2" not in told.value.public
    assert there.events() == 1 and there.stands_still()
    with pytest.raises(BooksBehind):
        side_of(old).shown.check("", "someone.else@example.org")  # after another start, of anybody
    agreement.check(old)


def _approve(ledger: Ledger) -> None:
    ledger.reserve(
        fingerprint=FINGERPRINT,
        dataset="pictures",
        request_id="two",
        study="another",
        researcher="bob@example.org",
        plan_digest="c" * 64,
        spend=(SPEND,),
        rounds=1,
        limits=LIMITS,
    )


CHARGES: dict[str, Callable[[Ledger], object]] = {
    "reserve": _approve,
    "start": lambda ledger: ledger.start(request_id="one", round_index=2, spend=SPEND, weights_digest="b" * 64),
    "start again": lambda ledger: ledger.start(request_id="one", round_index=3, spend=SPEND, weights_digest="b" * 64),
    "commit": lambda ledger: ledger.commit(request_id="one", round_index=3, update_digest="b" * 64),
    "release": lambda ledger: ledger.release("one", "done"),
}


@pytest.mark.parametrize("charge", CHARGES.values(), ids=CHARGES)
def test_nothing_is_written_to_a_ledger_that_stands_still(
    state: StateFolder, charge: Callable[[Ledger], object], side_of: Callable[[StateFolder], Side]
) -> None:
    ledger_of(state).start(request_id="one", round_index=3, spend=SPEND, weights_digest="b" * 64)
    before = ledger_of(state).head()
    chain_errors.halt(state.ledger, {"request": "one"})
    with pytest.raises(BooksBehind):
        charge(ledger_of(state))
    assert ledger_of(state).head() == before


def test_a_run_that_was_under_way_gives_nothing_out_and_has_not_ended(state: StateFolder) -> None:
    queue, ledger, audit = RunQueue(state.runs), ledger_of(state), open_audit(state)
    charges = RoundCharges(queue, ledger, audit)
    queue.enqueue(request_id="one", round_index=2, account=ACCOUNT, weights="b" * 64)
    run = queue.take(queue.waiting()[0].id)
    assert run
    charges.start(run, SPEND)
    chain_errors.halt(state.ledger, {"request": "one"})
    with pytest.raises(BooksBehind) as stopped:
        charges.commit(run, "c" * 64)
    charges.fail(run, stopped.value)
    assert ledger.committed("one", 2) is None and (found := queue.by_id(run.id)) and found.code == BooksBehind.code
    queue.close()


def test_a_round_and_a_canary_are_refused_before_anything_is_looked_at(state: StateFolder) -> None:
    nothing: Any = None
    admission = Admission(
        queue=nothing, blobs=nothing, ledger=ledger_of(state), audit=nothing, max_update_bytes=1 << 20
    )
    chain_errors.halt(state.ledger, {})
    for ask in (lambda: admission(nothing, "", ""), lambda: admission.canary(nothing)):
        with pytest.raises(BooksBehind):
            ask()


def test_forged_altered_and_foreign_receipts_stop_nobody(
    state: StateFolder, side_of: Callable[[StateFolder], Side]
) -> None:
    here = side_of(state)
    unknown = RoundReceipt("nobody's", 0, "b" * 64, "2026-11-30T11:00:00+00:00")
    genuine = here.shown.of("one", 1)
    for text in (unknown.signed(bytes(32)), genuine.replace('"round":1', '"round":3'), genuine[:-9], "x", "{}"):
        here.shown.check(text, WHO)
    assert not here.stands_still() and here.events() == 0


def test_a_study_that_was_approved_after_the_copy_shows_it_too(
    state: StateFolder, tmp_path: Path, side_of: Callable[[StateFolder], Side]
) -> None:
    old = put_back(state, tmp_path / "old")
    approve(state, "two", study="another")
    run_round(state, "two", 0)
    with pytest.raises(BooksBehind):
        side_of(old).shown.check(side_of(state).shown.of("two", 0), "bob@example.org")


def test_a_round_that_was_run_again_before_anybody_saw_it_shows_too(
    state: StateFolder, side_of: Callable[[StateFolder], Side]
) -> None:
    here = side_of(state)
    receipt = RoundReceipt("one", 1, "b" * 64, "2026-11-30T11:00:00+00:00").signed(here.shown.seed)
    with pytest.raises(BooksBehind):
        here.shown.check(receipt, WHO)


def test_what_a_restore_has_charged_in_full_is_no_alarm_and_what_was_lost_after_it_is(
    state: StateFolder, tmp_path: Path, side_of: Callable[[StateFolder], Side]
) -> None:
    there, receipts = restored_without(side_of, state, tmp_path, Since.UNKNOWN, ("one", 2), ("two", 0))
    for receipt in receipts:
        there.shown.check(receipt, WHO)
    assert not there.stands_still()
    later = RoundReceipt("three", 0, "b" * 64, datetime.now(UTC).isoformat()).signed(there.shown.seed)
    with pytest.raises(BooksBehind):
        there.shown.check(later, WHO)


def test_a_restore_that_said_that_nothing_was_done_is_found_out(
    state: StateFolder, tmp_path: Path, side_of: Callable[[StateFolder], Side]
) -> None:
    there, (receipt,) = restored_without(side_of, state, tmp_path, Since.NOTHING, ("one", 2))
    with pytest.raises(BooksBehind):
        there.shown.check(receipt, WHO)


def test_the_newer_folder_mends_it_and_the_copy_itself_knows_not_all(
    state: StateFolder, tmp_path: Path, side_of: Callable[[StateFolder], Side]
) -> None:
    made = back_up(state, tmp_path / "backups")
    old = put_back(state, tmp_path / "old")
    run_round(state, "one", 2)
    receipt = side_of(state).shown.of("one", 2)
    with pytest.raises(BooksBehind):
        side_of(old).shown.check(receipt, WHO)
    mended = restore(made.folder, tmp_path / "mended", since=Since.LOST_BOOKS, lost=state.path)
    assert not mended.closed
    side_of(mended.state).shown.check(receipt, WHO)
    run_round(mended.state, "one", 3)
    closed = restore(made.folder, tmp_path / "closed", since=Since.LOST_BOOKS, lost=old.path)
    assert closed.closed
    side_of(closed.state).shown.check(receipt, WHO)


def test_a_backup_of_what_stands_still_is_never_taken_for_whole(
    state: StateFolder, tmp_path: Path, side_of: Callable[[StateFolder], Side]
) -> None:
    chain_errors.halt(state.ledger, {"request": "one", "round": 3, "update": "b" * 64})
    made = back_up(state, tmp_path / "backups")
    with pytest.raises(BackupRefused, match="a receipt has shown"):
        restore(made.folder, tmp_path / "moved", since=Since.NOTHING)
    other = StateFolder(shutil.copytree(state.path, tmp_path / "other"))
    chain_errors.resume(other.ledger)  # whole in itself, and without the round that is missing
    for lost in (None, other.path):
        since = Since.UNKNOWN if lost is None else Since.LOST_BOOKS
        done = restore(made.folder, tmp_path / f"new-{since.name}", since=since, lost=lost)
        assert done.closed and chain_errors.halted(done.state.ledger) is None
        side_of(done.state).shown.check("", WHO)


def test_a_mark_that_cannot_be_read_counts(state: StateFolder) -> None:
    for content in (b"", b"[1]", b"\xff", b"[" * 100_000):
        mark = state.ledger.with_suffix(".halted")
        mark.write_bytes(content)
        with pytest.raises(BooksBehind):
            chain_errors.check_not_halted(state.ledger)
        mark.unlink()
    chain_errors.check_not_halted(state.ledger)


def test_where_the_disk_takes_no_mark_the_question_is_refused_and_the_next_tries_again(
    state: StateFolder, tmp_path: Path, side_of: Callable[[StateFolder], Side]
) -> None:
    here = side_of(state)
    receipt = RoundReceipt("one", 3, "b" * 64, "2026-11-30T11:00:00+00:00").signed(here.shown.seed)
    books: Any = SimpleNamespace(**{**vars(here.shown.books), "ledger": _elsewhere(state, tmp_path)})
    gone = replace(here.shown, books=books)
    with pytest.raises(WanwuError, match="disk") as told:
        gone.check(receipt, WHO)
    assert not isinstance(told.value, BooksBehind)
    with pytest.raises(BooksBehind):
        here.shown.check(receipt, WHO)


def _elsewhere(state: StateFolder, tmp_path: Path) -> Any:
    """The ledger, with a folder that takes no file in its place."""
    ledger = ledger_of(state)
    return SimpleNamespace(path=tmp_path / "no-such-folder" / "ledger.sqlite", held=ledger.held)
