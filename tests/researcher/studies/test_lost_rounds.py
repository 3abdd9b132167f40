"""A round that a hospital charged and lost: the study goes on, and says what it cost."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.hospitals import CLASSES, draw_pictures

from datasites.training.models import initial_weights
from policies.errors import (
    DatasiteUnreachable,
    NotEnoughDatasites,
    RequestDenied,
    RequestUnknown,
    RunFailed,
    RunLost,
    WanwuError,
)
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.evaluation.hold_out import HoldOut
from researcher.hospitals.code_request import CodeRequest

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.studies.remote_round import RemoteRound
    from researcher.studies.retry_policy import RetryPolicy
    from researcher.studies.rounds.datasite_round import DatasiteRound
    from researcher.studies.rounds.outgoing import OutgoingWeights
    from researcher.studies.study import Study

SPEC = ModelSpec("linear", (16, 16, 1), 2)
PLAN = TrainingPlan("study", "d", SPEC, 3, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
LOST = RunLost("The run ended. Its round was charged when it started and is not run again: go on with the next round.")
PASSED = SimpleNamespace(ask_for_canary=lambda request_id: SimpleNamespace(state="done"), round_receipts={})
GONE = DatasiteUnreachable("It does not answer.")
FIRST = initial_weights(SPEC, 0)
HOLD_OUT = HoldOut(*draw_pictures(20, seed=99), CLASSES)


class Scripted(Study):
    """A study whose hospitals do what a test says: `outcomes[hospital][round]` is None or what the round fails with."""

    outcomes: dict[str, list[WanwuError | None]]
    asked: list[int]

    def _told(self, name: str) -> tuple[str, str]:
        return "approved", ""

    def _run_of(self, name: str, round_index: int) -> Any:
        raise RequestUnknown("It was not asked for.")

    def _at(self, name: str, round_index: int, *_: Any) -> Any:
        if round_index not in self.asked:
            self.asked.append(round_index)
        error = self.outcomes[name][round_index]
        spent = None if isinstance(error, DatasiteUnreachable) else (round_index + 1) / 2

        def run(weights: Any, shapes: dict[str, tuple[int, ...]]) -> DatasiteRound:
            if error is not None:
                raise error
            update = {key: np.ones(shape, dtype=np.float32) for key, shape in shapes.items()}
            return DatasiteRound(update, 10, 10, 0.0, 0.0, 0.0, 0.5)

        told = {"round_index": round_index, "epsilon": spent, "asked": False, "outstanding": None, "dropped": None}
        return SimpleNamespace(hospital=SimpleNamespace(name=name), run=run, stopping=threading.Event(), **told)


def study(folder: Path, **outcomes: list[WanwuError | None]) -> Scripted:
    info = {"d": SimpleNamespace(public_size=100)}
    federation: Any = SimpleNamespace(
        hospitals={name: SimpleNamespace(datasets=info, routes=PASSED) for name in outcomes}
    )
    requests = {name: CodeRequest(name, "f", "c") for name in outcomes}
    made = Scripted(federation, PLAN, requests, folder)
    made.outcomes, made.asked = outcomes, []
    return made


def test_a_hospital_that_lost_a_round_is_missing_from_it_alone(tmp_path: Path) -> None:
    made = study(tmp_path, a=[None] * 3, b=[None, LOST, None], c=[None] * 3)
    _, history = made.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=2)
    assert [record.datasites for record in history.records] == [("a", "b", "c"), ("a", "c"), ("a", "b", "c")]
    assert "was charged" in history.records[1].skipped["b"]
    assert history.records[1].epsilon["b"] == 1.0, "what the lost round cost is in the history"


def test_an_update_that_was_checked_when_it_arrived_is_held_against_the_mean_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[str] = []

    def check(update: Any, like: Any) -> None:
        held.append(update.datasite)

    for module in ("researcher.strategies.averager", "researcher.studies.study"):
        monkeypatch.setattr(f"{module}.check_update", check, raising=False)
    study(tmp_path, a=[None] * 3, b=[None] * 3).run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=2)
    assert sorted(held) == ["a"] * 3 + ["b"] * 3


def test_a_round_that_too_few_can_still_deliver_is_given_up_and_the_study_goes_on(tmp_path: Path) -> None:
    made = study(tmp_path, a=[None] * 3, b=[None, LOST, None])
    state, history = made.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=2)
    assert made.asked == [0, 1, 2] and state.round == 3
    assert [record.datasites for record in history.records] == [("a", "b"), (), ("a", "b")]
    assert set(history.records[1].skipped) == {"a", "b"}
    assert history.records[1].test_accuracy == history.records[0].test_accuracy
    for name, first in FIRST.items():
        assert np.allclose(state.weights[name], first + 2.0), "two rounds of ones, and one that changed nothing"


def test_a_study_whose_last_round_was_lost_still_states_what_it_spent(tmp_path: Path) -> None:
    made = study(tmp_path, a=[None, None, LOST])
    _, history = made.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1)
    spent = made.privacy(history)["a"]
    assert spent is not None and spent.epsilon == 1.5


def test_a_round_that_may_still_be_delivered_is_not_given_up(tmp_path: Path) -> None:
    made = study(tmp_path, a=[GONE, None, None], b=[LOST, None, None], c=[None] * 3)
    policy = RetryPolicy(stalled_seconds=0.0)
    with pytest.raises(NotEnoughDatasites, match="run the study again"):
        made.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=2, retry_policy=policy)
    made.outcomes["a"][0] = None
    _, history = made.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=2)
    assert [record.datasites for record in history.records] == [("a", "c"), ("a", "b", "c"), ("a", "b", "c")]


@pytest.mark.parametrize(("error", "tries"), [(LOST, 1), (RunFailed("It could not be started."), 3)])
def test_only_a_round_that_cost_nothing_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, error: WanwuError, tries: int
) -> None:
    tried: list[int] = []
    hospital: Any = SimpleNamespace(name="a")
    remote = RemoteRound(hospital, "d", None, PLAN, 0, RetryPolicy(attempts=3), threading.Event(), lambda event: None)  # type: ignore[arg-type]

    def attempt(*_: object) -> DatasiteRound:
        tried.append(1)
        raise error

    monkeypatch.setattr(remote, "_attempt", attempt)
    with pytest.raises(type(error)):
        remote.run(OutgoingWeights(b"", ""), {})
    assert len(tried) == tries


def test_a_study_that_is_done_gives_its_result_again_also_where_hospitals_were_told_of_the_end(tmp_path: Path) -> None:
    given: dict[str, Any] = {"hold_out": HOLD_OUT, "initial_weights": FIRST}
    made = study(tmp_path, a=[None] * PLAN.rounds, b=[None] * PLAN.rounds)
    state, history = made.run(**given)
    ended = study(tmp_path, a=[], b=[])
    for told in (("ended", "The researcher ended the study."), ("unreachable", "It does not answer.")):
        ended._told = lambda name, told=told: told  # type: ignore[method-assign]
        again, once_more = ended.run(**given)
        assert again.round == state.round and len(once_more) == len(history) == PLAN.rounds
        assert all((again.weights[name] == array).all() for name, array in state.weights.items())
    assert ended.asked == []
    part = study(tmp_path / "part", a=[None] * PLAN.rounds, b=[None] * PLAN.rounds)
    part.run(**given, rounds=2)
    with pytest.raises(RequestDenied, match="ended"):  # one is left, and nobody is there for it
        unfinished = study(tmp_path / "part", a=[], b=[])
        unfinished._told = lambda name: ("ended", "The researcher ended the study.")  # type: ignore[method-assign]
        unfinished.run(**given)
    assert unfinished.run(**given, rounds=2)[0].round == 2
