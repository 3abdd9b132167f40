"""What is asked of a hospital, and how often: each question is a way there and back, over lines that may be long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_hospitals import FakeHospital, averaged, federation_of, requests_of
from support.hospitals import CLASSES, draw_pictures
from support.waiting import wait_for

from datasites.training.models import initial_weights
from policies.contracts.inputs import Ticket
from policies.errors import DatasiteUnreachable, RequestDenied
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.evaluation.hold_out import HoldOut
from researcher.studies.asked_round import AskedRound
from researcher.studies.history import RoundRecord
from researcher.studies.retry_policy import Backoff, RetryPolicy
from researcher.studies.rounds.outgoing import OutgoingWeights
from researcher.studies.study import Study

SPEC = ModelSpec("linear", (16, 16, 1), 2)
PLAN = TrainingPlan("study", "d", SPEC, 3, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
FIRST = initial_weights(SPEC, 0)
HOLD_OUT = HoldOut(*draw_pictures(20, seed=99), CLASSES)
ROUTES = ("request", "ask_for_canary", "put_blob", "ask", "ask_with", "run", "get_blob")


class Counted(FakeHospital):
    """A hospital that notes what it is asked, in order; a question in it that another one leads to is none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.questions: list[str] = []
        self.followed, self.waits = threading.Event(), True  # no round ends before it is asked how it goes
        self._inside = threading.local()
        for name in ROUTES:
            setattr(self, name, self._noted(name, getattr(self, name)))

    def _noted(self, name: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any, **named: Any) -> Any:
            inside, self._inside.now = getattr(self._inside, "now", False), True
            try:
                if not inside:
                    self.questions.append(name)
                    if name in ("ask", "ask_with"):
                        self.followed.clear()  # by what is asked from here on
                    if name == "run":
                        self.followed.set()
                return answer(*given, **named)
            finally:
                self._inside.now = inside

        return noted

    def _train(self, round_index: int) -> None:
        if self.waits:
            self.followed.wait()
            self.followed.clear()
        super()._train(round_index)


def run(folder: Path, *hospitals: FakeHospital, **given: Any) -> list[RoundRecord]:
    """The rounds of a study that is left to its end; each was charged once, and its model is the mean of them."""
    study = Study(federation_of(*hospitals), PLAN, requests_of(*hospitals), folder)
    given = {"min_clients": len(hospitals), "retry_policy": RetryPolicy(unreachable_seconds=0.0), **given}
    state, history = study.run(hold_out=HOLD_OUT, initial_weights=FIRST, **given)
    expected = averaged(FIRST, history.records)
    assert all(np.allclose(expected[key], state.weights[key], atol=1e-5) for key in FIRST)
    assert {count for one in hospitals for count in one.charged.values()} == {1}
    return list(history.records)


def test_a_round_of_small_weights_is_three_questions(tmp_path: Path) -> None:
    a = Counted("a", FIRST)
    run(tmp_path, a, rounds=1)
    assert a.questions == ["request", "ask_for_canary", "ask_with", "run", "get_blob"]
    run(tmp_path, a)
    assert a.questions[7:] == ["ask_with", "run", "get_blob"] * 2


def test_a_hospital_that_does_not_take_weights_with_their_ticket_gets_them_before(tmp_path: Path) -> None:
    a = Counted("a", FIRST, together=False)
    run(tmp_path, a, rounds=1)
    assert a.questions == ["request", "ask_for_canary", "put_blob", "ask", "run", "get_blob"]


def test_where_the_line_breaks_they_are_sent_one_after_the_other_and_charged_once(tmp_path: Path) -> None:
    a = Counted("a", FIRST)
    ask = a.ask_with

    def breaks(*given: Any) -> None:
        ask(*given)  # it was taken, and the answer is lost
        raise DatasiteUnreachable("The line broke.")

    a.ask_with = breaks  # type: ignore[method-assign,assignment]
    run(tmp_path, a, rounds=1)
    assert a.questions[2:] == ["ask_with", "put_blob", "ask", "run", "get_blob"] and a.asked == {0: 2}


def test_a_round_whose_ticket_never_came_through_costs_its_hospital_no_other(tmp_path: Path) -> None:
    a, b = FakeHospital("a", FIRST), FakeHospital("b", FIRST)

    def leave(record: RoundRecord) -> None:
        b.away = record.round == 1

    def train(round_index: int, usual: Callable[[int], None] = a._train) -> None:
        if round_index == 2:
            wait_for(lambda: b.asked[2])  # nobody waits for who was away; so a is slow until b is seen to be back
        usual(round_index)

    a._train = train  # type: ignore[method-assign]
    records = run(tmp_path, a, b, min_clients=1, on_round=leave)
    assert [record.datasites for record in records] == [("a", "b"), ("a",), ("a", "b")]
    assert records[1].under_way == {"b": 2}, "whether it was asked is not known here"
    assert not b.asked[1] and "b" not in records[2].skipped


@pytest.mark.parametrize("knows", [True, False])
def test_who_goes_on_with_a_round_asks_hospitals_for_it_and_for_nothing_else(tmp_path: Path, knows: bool) -> None:
    a = Counted("a", FIRST)
    study = Study(federation_of(a), PLAN, requests_of(a), tmp_path)
    state, _ = study.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1, rounds=1)
    sent = OutgoingWeights.encode(state.weights, PLAN, 1)
    AskedRound(1, sent.digest, ("a",)).save(tmp_path)
    a.waits = not knows
    if knows:  # else its ticket was lost, and what is asked next is what every session begins with
        a.ask_with("d", study.requests["a"], Ticket(1, sent.digest), sent.content)
        wait_for(lambda: a.trained[1])
    a.questions.clear()
    run(tmp_path, a, rounds=2)
    begins = ["run"] if knows else ["run", "request", "ask_for_canary", "run", "ask_with", "run"]
    assert a.questions == [*begins, "get_blob"] and a.asked[1] == 1


def test_an_update_that_was_charged_is_taken_also_where_its_request_was_ended_while_nobody_asked(
    tmp_path: Path,
) -> None:
    a, b = FakeHospital("a", FIRST), FakeHospital("b", FIRST)
    study = Study(federation_of(a, b), PLAN, requests_of(a, b), tmp_path)
    state, _ = study.run(hold_out=HOLD_OUT, initial_weights=FIRST, rounds=1)
    sent = OutgoingWeights.encode(state.weights, PLAN, 1)
    AskedRound(1, sent.digest, ("a", "b")).save(tmp_path)
    for one in (a, b):
        one.ask_with("d", study.requests[one.name], Ticket(1, sent.digest), sent.content)
        wait_for(lambda one=one: one.trained[1])
    b.decision = ("ended", "Our board has changed its mind.")
    b.refusal = RequestDenied("The request was ended: Our board has changed its mind.")
    records = run(tmp_path, a, b, min_clients=1)
    assert [record.datasites for record in records] == [("a", "b"), ("a", "b"), ("a",)]
    assert "changed its mind" in records[2].skipped["b"] and not b.charged[2]


def test_hospitals_that_are_there_do_not_wait_for_the_answer_of_one_that_is_not(tmp_path: Path) -> None:
    a, b = FakeHospital("a", FIRST), FakeHospital("b", FIRST)
    asked, ask, told = threading.Event(), a.ask_with, b.request

    def noted(*given: Any) -> Any:
        asked.set()
        return ask(*given)

    def after_the_other(request_id: str) -> Any:
        wait_for(asked.is_set)  # a is asked for its round while b is asked whether it takes part
        return told(request_id)

    def turn(record: RoundRecord) -> None:
        if record.round == 1:
            asked.clear()
            a.ask_with, b.request = noted, after_the_other  # type: ignore[method-assign]
            b.decision = ("approved", "")

    b.decision = ("pending", "")
    records = run(tmp_path, a, b, min_clients=1, on_round=turn)
    assert [record.datasites for record in records] == [("a",), ("a", "b"), ("a", "b")]


def test_the_time_of_averaging_is_not_that_of_waiting_for_who_came_late(tmp_path: Path) -> None:
    a, b = FakeHospital("a", FIRST), FakeHospital("b", FIRST, {0: threading.Event()})
    policy, seen = RetryPolicy(round_deadline=1.3), list[RoundRecord]()
    begun = time.monotonic()
    run(tmp_path, a, b, min_clients=1, rounds=1, retry_policy=policy, on_round=seen.append)
    b.slow[0].set()
    (record,) = seen
    assert record.datasites == ("a",) and "late" in record.skipped["b"]
    assert time.monotonic() - begun >= record.seconds["total"] >= 1.3
    assert record.seconds["aggregate"] < 1.0, "the round waited for longer than that"


def test_the_second_try_is_at_once_and_the_third_after_a_pause() -> None:
    paused: list[float] = []
    stopping: Any = type("Noting", (), {"wait": staticmethod(paused.append)})
    backoff = Backoff()
    for _ in range(8):
        backoff.pause(stopping)
    assert len(paused) == 7 and 0.25 <= paused[0] <= 0.5 and 2.5 <= paused[-1] <= 5.0
    Backoff(at_once=False).pause(stopping)
    assert len(paused) == 8 and 0.25 <= paused[-1] <= 0.5
