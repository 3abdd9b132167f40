"""A researcher's process that is killed within a round: the folder goes on, and nothing is spent or used twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_hospitals import FakeHospital, averaged, federation_of, requests_of
from support.hospitals import CLASSES, draw_pictures
from support.researcher_process import researcher
from support.waiting import wait_for

from datasites.training.models import initial_weights
from policies.contracts.inputs import Ticket
from policies.errors import ConfigError
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.evaluation.hold_out import HoldOut
from researcher.studies.asked_round import AskedRound
from researcher.studies.checkpoints import load_state
from researcher.studies.history import RoundRecord
from researcher.studies.retry_policy import RetryPolicy
from researcher.studies.rounds.outgoing import OutgoingWeights
from researcher.studies.study import Study

SPEC = ModelSpec("linear", (16, 16, 1), 2)
PLAN = TrainingPlan("study", "d", SPEC, 4, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
FIRST = initial_weights(SPEC, 0)
HOLD_OUT = HoldOut(*draw_pictures(20, seed=99), CLASSES)


@pytest.fixture
def at_work() -> Iterator[threading.Event]:
    """Until it is set, the second hospital trains in the second round."""
    event = threading.Event()
    yield event
    event.set()


def test_a_researcher_killed_within_a_round_goes_on_from_the_folder_as_if_nothing_had_been(
    tmp_path: Path, at_work: threading.Event
) -> None:
    a, b = FakeHospital("a", FIRST), FakeHospital("b", FIRST, {1: at_work})
    with researcher(tmp_path, PLAN, a, b) as process:
        wait_for(lambda: len(a.downloads) == 2 and b.charged[1], alive=lambda: process.poll() is None)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    saved = load_state(tmp_path, plan_digest=PLAN.digest())
    assert saved is not None and saved[0].round == 1, "it was killed within the second round"
    at_work.set()

    def drawn() -> Any:
        pytest.fail("the first weights are not drawn again")

    again = Study(federation_of(a, b), PLAN, requests_of(a, b), tmp_path)
    assert again.is_under_way(2) and not again.is_under_way(3)
    state, history = again.run(hold_out=HOLD_OUT, initial_weights=drawn, min_clients=2)

    assert [record.datasites for record in history.records] == [("a", "b")] * 4
    expected = averaged(FIRST, history.records)
    assert all(np.allclose(expected[key], state.weights[key], atol=1e-5) for key in FIRST)
    for one in (a, b):
        assert one.charged == one.trained == one.asked == dict.fromkeys(range(4), 1)


def test_what_a_hospital_charged_before_a_kill_is_fetched_when_it_is_away_at_the_next_start(tmp_path: Path) -> None:
    a, b = FakeHospital("a", FIRST), FakeHospital("b", FIRST)
    study = Study(federation_of(a, b), PLAN, requests_of(a, b), tmp_path)
    state, _ = study.run(hold_out=HOLD_OUT, initial_weights=FIRST, rounds=1)
    sent = OutgoingWeights.encode(state.weights, PLAN, 1)
    AskedRound(1, sent.digest, ("a", "b")).save(tmp_path)
    for one in (a, b):
        one.put_blob(sent.content, digest=sent.digest)
        one.ask("d", study.requests[one.name], Ticket(1, sent.digest))
    b.away = True

    def come_back(record: RoundRecord) -> None:
        b.away = False

    policy = RetryPolicy(unreachable_seconds=0.0)
    state, history = study.run(
        hold_out=HOLD_OUT, initial_weights={}, min_clients=1, retry_policy=policy, on_round=come_back
    )

    assert [record.datasites for record in history.records[:2]] == [("a", "b"), ("a",)]
    used = [record.round - 1 - record.staleness.get("b", 0) for record in history.records if "b" in record.datasites]
    assert used == sorted(b.charged) and 1 in used, "what it charged is used, once"
    expected = averaged(FIRST, history.records)
    assert all(np.allclose(expected[key], state.weights[key], atol=1e-5) for key in FIRST)


def test_a_folder_that_was_put_back_is_not_taken_for_what_the_hospitals_are_at(tmp_path: Path) -> None:
    """They were asked with other weights than those that it holds now: they are asked, and refuse."""
    a = FakeHospital("a", FIRST)
    study = Study(federation_of(a), PLAN, requests_of(a), tmp_path)
    AskedRound(0, "0" * 64, ("a",)).save(tmp_path)
    _, history = study.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1, rounds=1)
    assert a.asked[0] == 1 and len(history) == 1
    (tmp_path / "asked.json").write_text("[]")
    with pytest.raises(ConfigError, match="what a study notes"):
        study.run(hold_out=HOLD_OUT, initial_weights={}, min_clients=1)
