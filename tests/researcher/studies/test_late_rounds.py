"""Rounds with k of n hospitals: late, away, refusing and joining ones, each update charged once and used once."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_hospitals import SIZE, FakeHospital, averaged, federation_of, requests_of
from support.hospitals import CLASSES, draw_pictures
from support.waiting import wait_for

from datasites.training.models import initial_weights
from policies.errors import (
    AuditUnavailable,
    BudgetExceeded,
    DatasiteUnreachable,
    DiskFull,
    LedgerUnavailable,
    LimitExceeded,
    NotEnoughDatasites,
    RequestAltered,
    RequestDenied,
    RunLost,
    WanwuError,
)
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.evaluation.hold_out import HoldOut

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.hospitals.connections import connecting
    from researcher.hospitals.connections.connecting import Away
    from researcher.hospitals.credentials import Credentials
    from researcher.hospitals.federation import Federation
    from researcher.reports import wording, write_report
    from researcher.studies import gathering
    from researcher.studies.checkpoints import load_state
    from researcher.studies.history import History, RoundRecord
    from researcher.studies.retry_policy import RetryPolicy
    from researcher.studies.study import Study
    from researcher.terminal.training_session import result_of

SPEC = ModelSpec("linear", (16, 16, 1), 2)
PLAN = TrainingPlan("study", "d", SPEC, 4, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
FIRST = initial_weights(SPEC, 0)
HOLD_OUT = HoldOut(*draw_pictures(20, seed=99), CLASSES)
SOON = RetryPolicy(round_deadline=0.0, unreachable_seconds=0.0, attempts=1)
STRETCHED = replace(SOON, round_deadline=None, round_deadline_factor=1.0)
UNHURRIED = replace(SOON, round_deadline=None)
Found = Iterator[Callable[..., FakeHospital]]


@pytest.fixture
def hospital() -> Found:
    """Makes hospitals; those that are still training are let go in the end."""
    made: list[FakeHospital] = []

    def make(name: str, *slow: int, **form: Any) -> FakeHospital:
        made.append(FakeHospital(name, FIRST, {index: threading.Event() for index in slow}, **form))
        return made[-1]

    yield make
    for one in made:
        for event in one.slow.values():
            event.set()


@pytest.fixture(autouse=True)
def _a_deadline_passes_when_only_those_that_are_held_up_are_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_past(self: Any, deadline: float) -> bool:
        left = {future: there for future, there in self._under_way.items() if not future.done()}
        return len(left) == len(self._under_way) and all(
            there.hospital.is_held_up(there.round_index) for there in left.values()
        )

    monkeypatch.setattr(gathering.Gathering, "_is_past", is_past)
    monkeypatch.setattr(gathering, "_LOOK_SECONDS", 0.01)


def study(folder: Path, *hospitals: FakeHospital, plan: TrainingPlan = PLAN) -> Study:
    return Study(federation_of(*hospitals), plan, requests_of(*hospitals), folder)


def run(made: Study, *, min_clients: int = 2, policy: RetryPolicy = SOON, **more: Any) -> tuple[Any, list[RoundRecord]]:
    state, history = made.run(
        hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=min_clients, retry_policy=policy, **more
    )
    return state, history.records


def check(state: Any, records: list[RoundRecord], *hospitals: FakeHospital) -> None:
    """The model is the mean of the updates that the history names, and nothing was charged or trained twice."""
    expected = averaged(FIRST, records)
    assert all(np.allclose(expected[key], state.weights[key], atol=1e-5) for key in FIRST)
    for one in hospitals:
        assert set(one.charged.values()) | set(one.trained.values()) <= {1}
        assert set(one.downloads.values()) <= {1}


@pytest.mark.parametrize("policy", [SOON, STRETCHED])
def test_an_update_that_comes_after_the_deadline_counts_once_in_a_later_round(
    tmp_path: Path, hospital: Any, policy: RetryPolicy
) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", 0)

    def let_go(record: RoundRecord) -> None:
        if record.round == 2:
            c.slow[0].set()
            wait_for(lambda: c.downloads)

    state, records = run(study(tmp_path, a, b, c), on_round=let_go, policy=policy)

    assert [set(record.datasites) for record in records] == [{"a", "b"}, {"a", "b"}, {"a", "b", "c"}, {"a", "b", "c"}]
    assert [record.under_way for record in records] == [{"c": 1}, {"c": 1}, {}, {}]
    assert [record.staleness for record in records] == [{}, {}, {"c": 2}, {}]
    assert records[0].skipped["c"].startswith("late: its update of round 1")
    assert sorted(c.charged) == [0, 3], "a hospital that is at work is asked for nothing more"
    check(state, records, a, b, c)


@pytest.mark.parametrize("factor", [1.0, 1e9])
def test_the_deadlines_factor_counts_from_the_rounds_beginning_to_its_min_clients_th_update(
    tmp_path: Path, hospital: Any, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", 0)
    ends: list[float] = []

    def is_past(self: Any, end: float) -> bool:
        ends.append(end - time.monotonic())
        if ends[-1] > 0:
            c.slow[0].set()
        return ends[-1] <= 0

    monkeypatch.setattr(gathering.Gathering, "_is_past", is_past)
    _, records = run(study(tmp_path, a, b, c), policy=replace(STRETCHED, round_deadline_factor=factor))
    late = "c" not in records[0].datasites
    assert late == (factor == 1.0)
    assert (max(ends) > 1000) == (factor > 1.0), "a thousand million times as long as the round took is far away"


def test_hospitals_that_took_no_request_stand_in_every_round_and_in_the_report(tmp_path: Path, hospital: Any) -> None:
    made = study(tmp_path, hospital("a"), hospital("b"))
    made.refused = {"c": "WW304: Too many steps.", "d": "WW705: Nothing answers there."}
    state, records = run(made)
    told = {"c": "refused: WW304: Too many steps.", "d": "WW705: Nothing answers there."}
    assert [record.skipped for record in records] == [told] * len(records)
    result = result_of(made, state, History(records), HOLD_OUT)
    assert result.took_part == ("a", "b") and result.public_sizes == {"a": SIZE, "b": SIZE, "c": None, "d": None}
    assert "trained at 2 of 4 hospitals" in wording.summary(result)
    sentences = wording.taking_part(result)
    assert sentences.startswith("4 hospitals asked: 2 approved, 1 refused, 1 unreachable.")
    assert "c had no part in it: refused: WW304: Too many steps." in sentences
    write_report(tmp_path / "report", result)
    assert (tmp_path / "report" / "report.html").read_text().count("Nothing answers there") > 1


def test_a_plan_may_say_that_late_updates_are_dropped(tmp_path: Path, hospital: Any) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", 0)
    state, records = run(study(tmp_path, a, b, c, plan=replace(PLAN, late_updates="dropped")))
    assert "c" not in records[0].datasites and not c.trained[0] and not any(record.staleness for record in records)
    assert c.charged[1] == 1, "it is asked for the next round at once"
    check(state, records, a, b, c)


def test_without_a_deadline_a_round_waits_for_everybody_at_work(tmp_path: Path, hospital: Any) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", 0)
    threading.Timer(0.3, c.slow[0].set).start()
    _, records = run(study(tmp_path, a, b, c), policy=UNHURRIED, rounds=1)
    assert records[0].datasites == ("a", "b", "c")


def test_a_round_waits_past_its_deadline_for_the_least_number(tmp_path: Path, hospital: Any) -> None:
    a, b = hospital("a"), hospital("b", 0)
    threading.Timer(0.3, b.slow[0].set).start()
    _, records = run(study(tmp_path, a, b), rounds=1)
    assert records[0].datasites == ("a", "b")


def test_a_study_that_stopped_fetches_a_late_update_that_is_then_used_once(tmp_path: Path, hospital: Any) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", 0)
    run(study(tmp_path, a, b, c), rounds=1)
    c.slow[0].set()
    wait_for(lambda: c.trained[0])
    run(study(tmp_path, a, b, c), rounds=2, policy=UNHURRIED)
    state, records = run(study(tmp_path, a, b, c), policy=UNHURRIED)
    assert [record.staleness for record in records] == [{}, {"c": 1}, {}, {}] and c.charged[0] == 1
    check(state, records, a, b, c)


def test_what_is_under_way_when_a_study_ends_is_cancelled_and_its_cost_told(tmp_path: Path, hospital: Any) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", 0)
    _, records = run(study(tmp_path, a, b, c), policy=replace(SOON, unreachable_seconds=60.0))
    assert records[-1].epsilon["c"] == 0.5 and not c.trained and c.run("", 0).state == "cancelled"


def test_a_hospital_that_is_killed_within_a_round_is_left_out_until_it_is_back(tmp_path: Path, hospital: Any) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", 0)
    wait_and_leave = threading.Thread(target=lambda: (wait_for(lambda: c.charged[0]), c.leave()))
    wait_and_leave.start()

    def back(record: RoundRecord) -> None:
        if record.round == 2:
            c.slow[0].set()
            wait_for(lambda: c.trained[0])
            c.away = False

    policy = UNHURRIED
    state, records = run(study(tmp_path, a, b, c), policy=policy, on_round=back)
    assert [set(record.datasites) >= {"a", "b"} for record in records] == [True] * 4
    assert "cannot be reached" in records[0].skipped["c"] and records[0].under_way == {"c": 1}
    assert [record.staleness.get("c") for record in records].count(None) == 3, "what it had trained is used once"
    assert c.trained[0] == 1
    check(state, records, a, b, c)


def test_a_hospital_that_approves_later_joins(tmp_path: Path, hospital: Any) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", decision=("pending", ""))

    def approve(record: RoundRecord) -> None:
        if record.round == 2:
            c.decision = ("approved", "")

    state, records = run(study(tmp_path, a, b, c), on_round=approve, policy=UNHURRIED)
    assert [record.datasites for record in records] == [("a", "b")] * 2 + [("a", "b", "c")] * 2
    assert records[0].skipped == {"c": "pending"}
    check(state, records, a, b, c)


def test_a_hospital_that_was_away_when_the_study_was_taken_up_joins_once_it_is_back(
    tmp_path: Path, hospital: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", away=True)

    def connect(credentials: Credentials) -> FakeHospital:
        c.request("")  # out of reach, or there
        return c

    monkeypatch.setattr(connecting, "connected", connect)
    monkeypatch.setattr(connecting, "_AGAIN_SECONDS", 0.0)
    absent = Away(
        Credentials("c", "https://c.example.org", "me@x.org", "p", "A", "C", "K"), DatasiteUnreachable("Gone.")
    )
    connected: list[Any] = [a, b]
    made = Study(Federation(connected, away=[absent]), PLAN, requests_of(a, b, c), tmp_path)

    def back(record: RoundRecord) -> None:
        c.away = record.round < 2

    state, records = run(made, on_round=back, policy=UNHURRIED)
    assert [record.datasites for record in records] == [("a", "b")] * 2 + [("a", "b", "c")] * 2
    assert records[0].skipped["c"].startswith("unreachable")
    check(state, records, a, b, c)


@pytest.mark.parametrize("error", [LimitExceeded("Lowered."), BudgetExceeded("Used up."), RequestDenied("Ended.")])
def test_a_hospital_that_refuses_midway_is_out_of_later_rounds(
    tmp_path: Path, hospital: Any, error: WanwuError
) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c")

    def refuse(record: RoundRecord) -> None:
        c.refusal = error

    policy = UNHURRIED
    state, records = run(study(tmp_path, a, b, c), on_round=refuse, policy=policy)
    assert [record.datasites for record in records] == [("a", "b", "c")] + [("a", "b")] * 3
    assert {record.skipped["c"] for record in records[1:]} == {f"{error.code}: {error.public}"}
    check(state, records, a, b, c)


@pytest.mark.parametrize("full", [DiskFull("No room."), LedgerUnavailable("Full."), AuditUnavailable("Full.")])
def test_a_hospital_whose_disk_is_full_is_asked_again_in_the_next_round(
    tmp_path: Path, hospital: Any, full: WanwuError
) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", refusal=full)

    def make_room(record: RoundRecord) -> None:
        c.refusal = None

    policy = UNHURRIED
    _, records = run(study(tmp_path, a, b, c), on_round=make_room, policy=policy)
    assert [record.datasites for record in records] == [("a", "b")] + [("a", "b", "c")] * 3


def test_too_few_hospitals_are_waited_for_while_they_are_only_away(tmp_path: Path, hospital: Any) -> None:
    a, b = hospital("a"), hospital("b")

    def leave(record: RoundRecord) -> None:
        if record.round == 1:
            b.leave()
            threading.Timer(0.3, lambda: setattr(b, "away", False)).start()

    policy = RetryPolicy(unreachable_seconds=0.0)
    state, records = run(study(tmp_path, a, b), policy=policy, on_round=leave)
    assert [record.datasites for record in records] == [("a", "b")] * 4
    check(state, records, a, b)


def test_it_is_said_at_once_when_too_few_are_left(tmp_path: Path, hospital: Any) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", decision=("denied", "No."))

    def refuse(record: RoundRecord) -> None:
        b.refusal = RequestDenied("It has ended.")

    with pytest.raises(NotEnoughDatasites, match=r"It has ended.*only 1 of the hospitals still take part"):
        run(study(tmp_path, a, b, c), on_round=refuse, policy=RetryPolicy())
    saved = load_state(tmp_path, plan_digest=PLAN.digest())
    assert saved is not None and saved[0].round == 1


def test_nobody_is_told_to_lower_min_clients_where_no_hospital_is_left(tmp_path: Path, hospital: Any) -> None:
    a, b = hospital("a"), hospital("b")

    def refuse(record: RoundRecord) -> None:
        a.refusal = b.refusal = RequestDenied("It has ended.")

    with pytest.raises(NotEnoughDatasites, match="none of the hospitals takes part any more") as told:
        run(study(tmp_path, a, b), on_round=refuse, policy=RetryPolicy())
    assert "lower min_clients" not in told.value.public


def test_a_late_round_that_was_lost_is_told_and_the_hospital_goes_on(tmp_path: Path, hospital: Any) -> None:
    a, b, c = hospital("a"), hospital("b"), hospital("c", 0)

    def cancel(record: RoundRecord) -> None:
        if record.round == 1:
            c.cancel("", 0)

    _, records = run(study(tmp_path, a, b, c), on_round=cancel, policy=SOON)
    told = [record.skipped["c"] for record in records if "c" in record.skipped]
    assert any(reason.startswith(RunLost.code) for reason in told)
    assert records[-1].datasites == ("a", "b", "c")


def test_a_study_goes_on_past_an_update_that_its_hospital_has_no_more(tmp_path: Path, hospital: Any) -> None:
    a, b = hospital("a"), hospital("b", keeps_not=(1,))
    study = Study(federation_of(a, b), PLAN, requests_of(a, b), tmp_path)
    _, history = study.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=2, retry_policy=UNHURRIED)
    assert [record.datasites for record in history.records] == [("a", "b"), (), ("a", "b"), ("a", "b")]
    assert "does not have its update any more" in history.records[1].skipped["b"]
    assert set(b.charged.values()) == {1} and b.charged[1] == 1


def test_a_hospital_that_can_run_no_round_of_a_study_any_more_ends_it_before_others_are_charged_for_nothing(
    tmp_path: Path, hospital: Any
) -> None:
    a, b = hospital("a"), hospital("b", refusal=RequestAltered("No round of this request runs there any more."))
    study = Study(federation_of(a, b), PLAN, requests_of(a, b), tmp_path)
    with pytest.raises(NotEnoughDatasites, match="No round of this request"):
        study.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=2, retry_policy=UNHURRIED)
    assert a.charged.total() <= 1
