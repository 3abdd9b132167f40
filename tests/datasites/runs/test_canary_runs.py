"""A request's canary: in turn with the rounds, on the mock, and nothing in the ledger whatever becomes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.charged_rounds import ACCOUNT, PLAN, REQUEST, SHAPES, Datasite, Scripted, make_datasite

from datasites.approvals.approval import Approval
from datasites.rehearsal.canaries import Canaries
from datasites.runs import admission
from datasites.runs.admission import MOST_CANARIES, Admission
from datasites.runs.queue import Run
from policies.answers.runs import CANARY, RunAnswer
from policies.errors import RequestAltered, RoundRefused, RunFailed


@pytest.fixture
def fork_server() -> Scripted:
    return Scripted()


@pytest.fixture
def datasite(tmp_path: Path, fork_server: Scripted) -> Any:
    made = make_datasite(tmp_path / "north", fork_server)
    yield made
    made.close()


def ask(datasite: Datasite) -> RunAnswer:
    gate = Admission(
        queue=datasite.queue,
        blobs=datasite.blobs,
        ledger=datasite.ledger,
        audit=datasite.audit,
        max_update_bytes=1 << 20,
    )
    return gate.canary(approval())


def approval(**changes: Any) -> Approval:
    published: Any = SimpleNamespace(manifest=SimpleNamespace(public="the schema"), store=Path("nowhere"))
    return replace(Approval(REQUEST, ACCOUNT, PLAN, published, SHAPES, SHAPES), **changes)


def test_a_canary_that_passes_is_done_and_costs_nothing(datasite: Datasite, fork_server: Scripted) -> None:
    before = len(datasite.ledger.entries())
    assert (ask(datasite).state, ask(datasite).round) == ("queued", CANARY)
    datasite.execute(CANARY)
    assert (datasite.run(CANARY).state, datasite.run(CANARY).update_digest) == ("done", "")
    assert len(datasite.ledger.entries()) == before and fork_server.began == []
    assert ask(datasite).state == "done"


def test_a_canary_that_fails_says_why_costs_nothing_and_runs_again_when_it_is_asked_for(
    datasite: Datasite,
) -> None:
    def fails(*_: object) -> None:
        raise RunFailed("It ended on the mock with MemoryError.")

    before = len(datasite.ledger.entries())
    ask(datasite)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(datasite.supervisor, "_canary", fails)
        datasite.execute(CANARY)
    assert (datasite.run(CANARY).state, datasite.run(CANARY).code) == ("failed", RunFailed.code)
    assert datasite.run(CANARY).reason == "It ended on the mock with MemoryError."
    assert len(datasite.ledger.entries()) == before
    assert ask(datasite).state == "queued"
    datasite.execute(CANARY)
    assert datasite.run(CANARY).state == "done"


def test_a_canary_that_fails_again_and_again_takes_no_more_turns(datasite: Datasite) -> None:
    def fails(*_: object) -> None:
        raise RunFailed("It ended on the mock with MemoryError.")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(datasite.supervisor, "_canary", fails)
        for _ in range(MOST_CANARIES):
            assert ask(datasite).state == "queued"
            datasite.execute(CANARY)
        with pytest.raises(RoundRefused, match=f"has run {MOST_CANARIES} times and did not pass"):
            ask(datasite)
    assert datasite.run(CANARY).state == "failed"


def test_a_canarys_turns_are_counted_over_restarts_of_the_datasite(datasite: Datasite) -> None:
    def fails(*_: object) -> None:
        raise RunFailed("It ended on the mock with MemoryError.")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(admission, "MOST_CANARIES", 2)
        for _ in range(2):
            patched.setattr(datasite.supervisor, "_canary", fails)
            ask(datasite)
            datasite.execute(CANARY)
            datasite = datasite.again()
        with pytest.raises(RoundRefused, match="has run 2 times"):
            ask(datasite)
    datasite.close()


def test_a_canary_that_takes_the_datasite_down_with_it_takes_no_more_turns(datasite: Datasite) -> None:
    begun: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(admission, "MOST_CANARIES", 2)
        ask(datasite)
        for _ in range(2):
            assert datasite.queue.take(datasite.run(CANARY).id)  # it begins, and the datasite ends within it
            datasite = datasite.again()
            assert datasite.queue.recover() == 1
        patched.setattr(datasite.supervisor, "_canary", lambda run, *_: begun.append(run.id))
        datasite.execute(CANARY)
        assert (begun, datasite.run(CANARY).state, datasite.run(CANARY).code) == ([], "failed", RoundRefused.code)
        with pytest.raises(RoundRefused):
            ask(datasite)
    datasite.close()


def test_a_canary_that_passes_the_last_time_it_may_run_stays_passed(datasite: Datasite) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(admission, "MOST_CANARIES", 1)
        ask(datasite)
        datasite.execute(CANARY)
        assert ask(datasite).state == "done"


def test_a_canary_takes_two_steps_of_the_approved_plan_on_the_mock_and_no_path_of_the_pictures() -> None:
    given: list[Any] = []
    rounds: Any = SimpleNamespace(run=lambda asked, gpus, seen, **named: given.append((asked, named["name"])))
    Canaries(lambda request: approval(plan=replace(PLAN, steps_per_round=50)), rounds).run(a_run(), (), lambda: False)
    ((asked, name),) = given
    assert (asked.plan, asked.schema, name) == (replace(PLAN, steps_per_round=2), "the schema", "run-0")


def test_a_canary_under_an_approval_of_another_account_does_not_run() -> None:
    with pytest.raises(RequestAltered):
        Canaries(lambda request: approval(account="f" * 64), None).run(a_run(), (), lambda: False)  # type: ignore[arg-type]


def a_run() -> Run:
    return Run("run-0", REQUEST, CANARY, ACCOUNT, "", "running", 1, 0.0, "", "", "", 0.0, 0.0, 0.0, 1)
