"""A round costs once, whatever comes of it; only what the hospital itself cut off is run again, with its weights."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.charged_rounds import ACCOUNT, PLAN, REQUEST, Datasite, make_datasite
from support.waiting import wait_for

from datasites.audit_log.chain import read
from datasites.audit_log.ledger_witness import check, head_of
from datasites.code_requests.receipts import Receipts
from datasites.runs import supervisor as supervision
from policies.answers.plain_values import to_plain
from policies.budget.accountant import epsilon_spent
from policies.budget.steps import GaussianSteps
from policies.errors import (
    AuditUnavailable,
    DiskFull,
    LedgerBroken,
    RoundRefused,
    RunCancelled,
    RunFailed,
    RunLost,
    SandboxMissing,
)
from policies.ledger.receipt import verify
from policies.ledger.reservations import NOTHING_LEFT

STEPS = PLAN.steps_per_round


@pytest.fixture
def datasite(tmp_path: Path) -> Iterator[Datasite]:
    made = make_datasite(tmp_path / "north")
    yield made
    made.close()


def failing(error: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


# --- what had started is charged and final ------------------------------------------------------------------------

ENDS = {
    "ends without a result": RunFailed("It ended."),
    "takes too long": RunFailed("The round took longer than the 60 seconds that the plan gives it."),
    "fails at the hospital": ValueError("a fault of this program"),
    "could not write its result": OSError(5, "input/output error"),
}


def check_lost(datasite: Datasite, state: str) -> None:
    """Round 0 is over, charged once, and nobody gets it again; round 1 goes on."""
    run = datasite.run()
    assert (run.state, run.code, run.update_digest) == (state, RunLost.code, "")
    assert "charged when it started and is not run again" in run.reason
    assert datasite.ledger.committed(REQUEST, 0) == NOTHING_LEFT
    assert datasite.steps_charged == STEPS
    began = list(datasite.fork_server.began)
    assert datasite.ask() == to_plain(run.public())
    with pytest.raises(RoundRefused, match="other weights"):
        datasite.ask(seed=1)
    assert datasite.run() == run and not datasite.queue.waiting()
    datasite.fork_server.during = lambda cancelled, progress: None
    datasite.fork_server.update = datasite.fork_server.__class__().update
    datasite.ask(1, seed=1)
    datasite.execute(1)
    assert datasite.run(1).state == "done"
    assert datasite.fork_server.began == [*began, 1]
    assert datasite.steps_charged == 2 * STEPS


@pytest.mark.parametrize("error", ENDS.values(), ids=ENDS)
def test_a_round_whose_run_fails_is_charged_once_and_never_asked_for_again(
    datasite: Datasite, error: Exception
) -> None:
    datasite.fork_server.during = failing(error)
    datasite.ask()
    datasite.execute()
    check_lost(datasite, "failed")


def test_a_round_whose_result_may_not_leave_is_charged_once_and_never_asked_for_again(datasite: Datasite) -> None:
    datasite.fork_server.update = b"not the declared parameters"
    datasite.ask()
    datasite.execute()
    check_lost(datasite, "failed")


def test_a_round_that_is_cancelled_while_it_runs_is_charged_once_and_never_asked_for_again(datasite: Datasite) -> None:
    def run(cancelled: Callable[[], bool], progress: object) -> None:
        datasite.cancel()
        assert cancelled()
        raise RunCancelled("It was cancelled.")

    datasite.fork_server.during = run
    datasite.ask()
    datasite.execute()
    check_lost(datasite, "cancelled")


def test_a_round_that_is_cancelled_after_a_crash_has_queued_it_again_stays_charged(datasite: Datasite) -> None:
    datasite.fork_server.during = failing(Killed())
    datasite.ask()
    with pytest.raises(Killed):
        datasite.execute()
    datasite.queue.recover()
    datasite.cancel()
    check_lost(datasite, "cancelled")


def test_a_lost_round_is_told_as_lost_where_the_queue_has_forgotten_it(datasite: Datasite) -> None:
    datasite.fork_server.during = failing(RunFailed("It ended."))
    datasite.ask()
    datasite.execute()
    table = sqlite3.connect(datasite.state.runs)
    table.execute("DELETE FROM runs")
    table.commit()
    table.close()
    with pytest.raises(RoundRefused, match="other weights"):
        datasite.ask(seed=1)
    datasite.ask()
    datasite.execute()
    assert (datasite.run().state, datasite.run().code) == ("failed", RunLost.code)
    assert datasite.fork_server.began == [0]
    assert datasite.steps_charged == STEPS


def test_a_request_that_ends_while_its_round_runs_is_given_nothing_of_it(datasite: Datasite) -> None:
    datasite.fork_server.during = lambda *_: datasite.ledger.release(REQUEST, "the study ended")
    datasite.ask()
    datasite.execute()
    run = datasite.run()
    assert (run.state, run.code, run.update_digest) == ("failed", RunLost.code, "")
    assert datasite.kinds == ["reserve", "start", "release"] and datasite.steps_charged == STEPS


def test_a_round_of_a_request_that_has_ended_can_be_cancelled_while_it_runs(datasite: Datasite) -> None:
    def run(cancelled: Callable[[], bool], progress: object) -> None:
        datasite.ledger.release(REQUEST, "the study ended")
        datasite.cancel()
        assert cancelled()
        raise RunCancelled("It was cancelled.")

    datasite.fork_server.during = run
    datasite.ask()
    datasite.execute()
    assert (datasite.run().state, datasite.run().code) == ("cancelled", RunLost.code)
    assert datasite.kinds == ["reserve", "start", "release"] and datasite.steps_charged == STEPS


def test_the_audit_log_names_each_rounds_start_and_end_with_the_ledgers_head(datasite: Datasite) -> None:
    for index in range(2):
        datasite.ask(index)
        datasite.execute(index)
    events = read(datasite.state.audit).entries
    assert [
        (one["event"], one["request"], one["round"], one["run"])
        for one in events
        if one["event"] in ("run started", "run done")
    ] == [
        (event, REQUEST, index, datasite.run(index).id) for index in range(2) for event in ("run started", "run done")
    ]
    assert check(datasite.ledger.entries(), events) == 0


def test_why_a_run_failed_is_in_the_audit_log_and_told_to_nobody_else(datasite: Datasite) -> None:
    datasite.fork_server.during = failing(RunFailed("It ended.", private="the run ended with a fault in its model"))
    datasite.ask()
    datasite.execute()
    (failed,) = [entry for entry in read(datasite.state.audit).entries if entry["event"] == "run failed"]
    assert "a fault in its model" in failed["detail"]
    assert "a fault in its model" not in str(to_plain(datasite.run().public()))


# --- what never started costs nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RunFailed("Not started."), SandboxMissing("No sandbox."), DiskFull("No room.")])
def test_a_run_that_fails_before_it_is_told_to_go_costs_nothing_and_pins_nothing(
    datasite: Datasite, error: Exception
) -> None:
    datasite.fork_server.before = failing(error)
    datasite.ask()
    datasite.execute()
    assert (datasite.run().state, datasite.run().code) == ("failed", error.code)  # type: ignore[attr-defined]
    assert datasite.kinds == ["reserve"] and datasite.fork_server.began == []
    datasite.fork_server.before = lambda: None
    datasite.ask(seed=1)
    datasite.execute()
    assert datasite.run().state == "done"
    assert datasite.steps_charged == STEPS


def test_a_round_without_room_for_its_update_reads_nothing(datasite: Datasite, monkeypatch: pytest.MonkeyPatch) -> None:
    datasite.ask()
    monkeypatch.setattr(datasite.blobs, "_used", {ACCOUNT[:32]: 1 << 60})
    datasite.execute()
    assert datasite.run().state == "failed"
    assert datasite.kinds == ["reserve"] and datasite.fork_server.began == []


def test_a_round_that_is_cancelled_in_the_queue_costs_nothing(datasite: Datasite) -> None:
    datasite.ask()
    datasite.cancel()
    assert (datasite.run().state, datasite.run().code) == ("cancelled", RunCancelled.code)
    assert "nothing was spent" in datasite.run().reason
    assert datasite.ask(seed=1)["state"] == "queued"
    assert datasite.kinds == ["reserve"]


def test_a_run_that_is_cancelled_before_it_is_told_to_go_is_neither_charged_nor_told_to_go(datasite: Datasite) -> None:
    datasite.fork_server.before = datasite.cancel
    datasite.ask()
    datasite.execute()
    assert (datasite.run().state, datasite.run().code) == ("cancelled", RunCancelled.code)
    assert datasite.kinds == ["reserve"] and datasite.fork_server.began == []


# --- what the hospital itself cut off -----------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a kill: nothing of the datasite's own code sees it but what a `finally` does."""


def killed_after(owner: Any, name: str, only: Callable[..., bool] = lambda *args: True) -> Callable[..., Any]:
    """Whatever it is, done; then a kill."""
    whole = getattr(owner, name)

    def done_and_killed(*args: Any, **options: Any) -> Any:
        answer = whole(*args, **options)
        if only(*args):
            raise Killed
        return answer

    return done_and_killed


MOMENTS: dict[str, tuple[str, str, Callable[..., bool]]] = {
    "charged, not told to go": ("ledger", "start", lambda *args: True),
    "charged and named, not told to go": ("audit", "write", lambda *args: args[0] == "run started"),
    "in training": ("fork_server", "during", lambda *args: True),
    "trained, update kept": ("supervisor._rounds", "_release", lambda *args: True),
    "committed": ("ledger", "commit", lambda *args: True),
    "named": ("audit", "write", lambda *args: args[0] == "run done"),
    "finished": ("queue", "finish", lambda *args: True),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_moment_is_made_up_for_with_the_same_weights_and_charged_once(
    datasite: Datasite, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, name, only = MOMENTS[moment]
    datasite.ask()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        owner = attrgetter(part)(datasite)
        patch.setattr(owner, name, killed_after(owner, name, only))
        datasite.execute()
    assert datasite.steps_charged == STEPS
    with pytest.raises(RoundRefused, match="other weights"):
        datasite.ask(seed=1)
    restarted = datasite.again()
    try:
        restarted.start()
        wait_for(lambda: restarted.run().state == "done")
        with pytest.raises(RoundRefused, match="other weights"):
            restarted.ask(seed=1)
        assert restarted.kinds == ["reserve", "start", "commit"]
        assert restarted.run().update_digest == restarted.ledger.committed(REQUEST, 0)
        assert check(restarted.ledger.entries(), read(restarted.state.audit).entries) == 0
    finally:
        restarted.close()


def test_what_ends_because_the_datasite_stops_is_not_lost(datasite: Datasite) -> None:
    def run(cancelled: object, progress: object) -> None:
        datasite.supervisor._stopping.set()
        raise RunFailed("Its process was ended with the datasite.")

    datasite.fork_server.during = run
    datasite.ask()
    datasite.execute()
    assert datasite.run().state == "running"
    assert datasite.kinds == ["reserve", "start"]


@pytest.mark.parametrize("trouble", [LedgerBroken, AuditUnavailable, DiskFull, sqlite3.OperationalError])
def test_an_end_that_cannot_be_written_down_is_no_end(
    datasite: Datasite, trouble: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "RETRY_SECONDS", 0.05)
    commit, failed = datasite.ledger.commit, threading.Event()

    def full_once(**round_of: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise trouble("The disk is full.")
        commit(**round_of)

    monkeypatch.setattr(datasite.ledger, "commit", full_once)
    datasite.ask()
    datasite.start()
    if trouble is not sqlite3.OperationalError:  # with that one it is taken up again without being asked
        wait_for(lambda: datasite.run().state == "failed")
        assert "same weights" in datasite.run().reason
        with pytest.raises(RoundRefused, match="other weights"):
            datasite.ask(seed=1)
        datasite.ask()
    wait_for(lambda: datasite.run().state == "done")
    assert datasite.kinds == ["reserve", "start", "commit"]
    assert datasite.fork_server.began == [0, 0]


def test_a_run_that_cannot_be_started_again_after_the_disk_failed_has_not_lost_its_round(datasite: Datasite) -> None:
    datasite.fork_server.during = failing(sqlite3.OperationalError("database or disk is full"))
    datasite.ask()
    with pytest.raises(sqlite3.OperationalError):
        datasite.execute()
    datasite.fork_server.before = failing(SandboxMissing("No sandbox."))
    datasite.supervisor._execute(datasite.run(), ())
    assert (datasite.run().state, datasite.run().code) == ("failed", SandboxMissing.code)
    assert "same weights" in datasite.run().reason
    datasite.fork_server.before = datasite.fork_server.during = lambda *_: None
    datasite.ask()
    datasite.execute()
    assert datasite.run().state == "done"
    assert datasite.kinds == ["reserve", "start", "commit"]


def test_a_study_is_never_charged_more_rounds_than_it_reserved(datasite: Datasite) -> None:
    for index in range(PLAN.rounds):
        datasite.fork_server.during = failing(RunFailed("It ended."))
        for _ in range(3):
            if datasite.ask(index)["state"] == "queued":
                datasite.execute(index)
    assert datasite.fork_server.began == list(range(PLAN.rounds))
    with pytest.raises(RoundRefused, match="rounds 1 to 4"):
        datasite.ask(PLAN.rounds)
    datasite.ledger.release(REQUEST, "the study ended")
    assert sum(part.steps for part in datasite.ledger.history("a" * 64)) == PLAN.rounds * STEPS


# --- what receipts say --------------------------------------------------------------------------------------------


def test_a_receipt_states_a_round_from_its_start_on_whatever_comes_of_it(datasite: Datasite) -> None:
    """Running, lost and delivered: charged alike, and the first two cannot be told apart."""
    running: list[tuple[str, ...]] = []

    def run(cancelled: object, progress: object) -> None:
        running.append(stated(datasite))
        raise RunFailed("It ended.")

    datasite.fork_server.during = run
    datasite.ask()
    datasite.execute()
    assert running == [(NOTHING_LEFT,)] and stated(datasite) == (NOTHING_LEFT,)
    datasite.fork_server.during = lambda cancelled, progress: None
    datasite.ask(1)
    datasite.execute(1)
    assert stated(datasite) == (NOTHING_LEFT, datasite.run(1).update_digest)


def stated(datasite: Datasite) -> tuple[str, ...]:
    """The updates' digests in a receipt that verifies, whose epsilon is that of all rounds in it."""
    decision = SimpleNamespace(
        decision="approved",
        approved_plan=PLAN,
        researcher="ada@example.org",
        dataset="d",
        fingerprint="a" * 64,
        told_approver="Grace Hopper",
        decided_at="2026-05-01T09:00:00+00:00",
        digest="d" * 64,
    )
    books: Any = SimpleNamespace(
        approvals=SimpleNamespace(of_request=lambda request_id: decision),
        ledger=datasite.ledger,
        calculator=SimpleNamespace(epsilon_spent=epsilon_spent),
        audit=datasite.audit,
        witness=lambda: head_of(datasite.ledger),
    )
    receipts = Receipts("north", bytes(range(32)), books)
    receipt = verify(receipts.issue(REQUEST), receipts.public_key)
    spend = GaussianSteps(2.0, 0.2, STEPS * len(receipt.rounds))
    assert receipt.epsilon == pytest.approx(epsilon_spent([spend], 1e-5))
    return tuple(entry.update_digest for entry in receipt.rounds)
