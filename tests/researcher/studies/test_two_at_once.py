"""Two processes with one study's folder: the second is refused, and neither spends or loses anything by it."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from support.fake_hospitals import FakeHospital, averaged, federation_of, requests_of
from support.hospitals import CLASSES, draw_pictures
from support.researcher_process import researcher
from support.waiting import CEILING_SECONDS, wait_for

from datasites.training.models import initial_weights
from policies.errors import ConfigError
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.evaluation.hold_out import HoldOut
from researcher.studies.checkpoints import load_state
from researcher.studies.study import Study

SPEC = ModelSpec("linear", (16, 16, 1), 2)
PLAN = TrainingPlan("study", "d", SPEC, 3, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
FIRST = initial_weights(SPEC, 0)
HOLD_OUT = HoldOut(*draw_pictures(20, seed=99), CLASSES)


def test_of_two_processes_the_second_is_refused_and_the_first_ends_as_if_it_were_alone(tmp_path: Path) -> None:
    going_on = threading.Event()
    a, b = FakeHospital("a", FIRST), FakeHospital("b", FIRST, {1: going_on})
    with researcher(tmp_path, PLAN, a, b) as first:
        wait_for(lambda: b.charged[1], alive=lambda: first.poll() is None)
        before = (a.asked.copy(), b.asked.copy())
        with (tmp_path / "said").open("w+") as said, researcher(tmp_path, PLAN, a, b, errors=said.fileno()) as second:
            assert second.wait(CEILING_SECONDS) == 1
            said.seek(0)
            assert f"Process {first.pid} works on the study in {tmp_path} now." in said.read()
        assert (a.asked, b.asked) == before
        going_on.set()
        assert first.wait(CEILING_SECONDS) == 0
    saved = load_state(tmp_path, plan_digest=PLAN.digest())
    assert saved is not None and len(saved[1]) == PLAN.rounds
    expected = averaged(FIRST, saved[1].records)
    assert all(np.allclose(expected[key], saved[0].weights[key], atol=1e-5) for key in FIRST)
    for one in (a, b):
        assert one.charged == one.trained == one.asked == dict.fromkeys(range(PLAN.rounds), 1)
    assert not list(tmp_path.glob("*.lock"))


def test_a_process_that_was_killed_refuses_nobody(tmp_path: Path) -> None:
    going_on = threading.Event()
    a = FakeHospital("a", FIRST, {1: going_on})
    study = Study(federation_of(a), PLAN, requests_of(a), tmp_path)
    with researcher(tmp_path, PLAN, a) as first:
        wait_for(lambda: a.charged[1], alive=lambda: first.poll() is None)
        with pytest.raises(ConfigError, match=f"Process {first.pid} works"):
            study.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1)
        first.send_signal(signal.SIGKILL)
        first.wait(CEILING_SECONDS)
        going_on.set()
        assert len(study.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1)[1]) == PLAN.rounds
    assert a.charged == a.trained == dict.fromkeys(range(PLAN.rounds), 1)
