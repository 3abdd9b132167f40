"""A study by SCAFFOLD: what each hospital is sent, and that one that is stopped ends as one that is not."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_hospitals import FakeHospital, federation_of, given, requests_of
from support.hospitals import CLASSES, draw_pictures

from datasites.training.models import initial_weights
from policies.contracts.encodings import decode
from policies.errors import ConfigError, RequestDenied
from policies.plans.server.beside import apart, taken_in
from policies.plans.training import ModelSpec, PrivacySpec, ServerSpec, TrainingPlan
from researcher.evaluation.hold_out import HoldOut
from researcher.strategies import FedAvg, FedPer, Scaffold

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.studies.checkpoints import load_state
    from researcher.studies.history import RoundRecord
    from researcher.studies.study import Study

SPEC = ModelSpec("linear", (16, 16, 1), 2)
PRIVACY = PrivacySpec(2.0, 1.0, 1e-5)
PLAN = TrainingPlan("study", "d", SPEC, 4, 2, 0.2, 0.1, privacy=PRIVACY, server=ServerSpec("scaffold"))
FIRST = initial_weights(SPEC, 0)
SHAPES = {name: array.shape for name, array in FIRST.items()}
HOLD_OUT = HoldOut(*draw_pictures(20, seed=99), CLASSES)


class Sent(FakeHospital):
    """Keeps what it was sent, by round."""

    def ask(self, dataset: str, request: Any, ticket: Any) -> Any:
        self.sent = {**getattr(self, "sent", {}), ticket.round: self._blobs[ticket.weights]}
        return super().ask(dataset, request, ticket)


def run(folder: Path, *rounds: int, plan: TrainingPlan = PLAN) -> tuple[Any, list[Sent]]:
    """A study at two hospitals, stopped and gone on with after these rounds, each time by a new process."""
    state: Any = None
    made: list[Sent] = []
    for until in (*rounds, plan.rounds):
        made = [Sent(name, FIRST) for name in ("a", "b")]
        study = Study(federation_of(*made), plan, requests_of(*made), folder)
        state, _ = study.run(hold_out=HOLD_OUT, initial_weights=FIRST, rounds=until)
    return state, made


def test_each_hospital_is_sent_its_own_correction_from_the_second_round_on(tmp_path: Path) -> None:
    _, hospitals = run(tmp_path)
    controls: dict[str, dict[str, np.ndarray]] = {}
    mean: dict[str, np.ndarray] = {}
    for index in range(PLAN.rounds):
        decoded = {
            one.name: decode(one.sent[index], taken_in(PLAN, index, SHAPES), "none", max_bytes=1 << 20)
            for one in hospitals
        }
        told = {name: apart(PLAN, index, arrays) for name, arrays in decoded.items()}
        weights = [one for one, _ in told.values()]
        assert all(np.array_equal(weights[0][name], weights[1][name]) for name in FIRST)
        for name, (_, correction) in told.items():
            assert bool(correction) is (index > 0)
            for key in correction:
                assert correction[key] == pytest.approx(mean[key] - controls[name][key], rel=1e-5, abs=1e-6)
            update = given(name, index, FIRST)
            controls[name] = {
                key: -array / np.float32(0.2) - (correction[key] if correction else 0) for key, array in update.items()
            }
        mean = {key: (controls["a"][key] + controls["b"][key]) / 2 for key in FIRST}


def test_a_study_that_is_stopped_ends_as_one_that_is_not(tmp_path: Path) -> None:
    (whole, _), (resumed, _) = run(tmp_path / "whole"), run(tmp_path / "stopped", 1, 3)
    assert all(np.array_equal(whole.weights[name], resumed.weights[name]) for name in FIRST)
    for name in ("a", "b"):
        one, two = whole.kept.read(name), resumed.kept.read(name)
        assert all(np.array_equal(one[key], two[key]) for key in FIRST)
    (tmp_path / "stopped").rename(tmp_path / "moved")
    state, _ = load_state(tmp_path / "moved", plan_digest=PLAN.digest()) or (None, None)
    assert state is not None and state.kept is not None and state.kept.read("a") is not None
    assert len(list((tmp_path / "moved").glob("hospital-*"))) == 2


def test_a_hospital_that_ends_its_part_leaves_the_mean_of_the_corrections_also_for_who_goes_on(tmp_path: Path) -> None:
    made = [Sent(name, FIRST) for name in ("a", "b")]

    def end(record: RoundRecord) -> None:
        if record.round == 2:
            made[1].decision = ("ended", "Our board has changed its mind.")
            made[1].refusal = RequestDenied("The request was ended.")

    study = Study(federation_of(*made), PLAN, requests_of(*made), tmp_path)
    state, history = study.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1, rounds=3, on_round=end)
    assert [record.datasites for record in history.records] == [("a", "b"), ("a", "b"), ("a",)]
    assert state.kept is not None and list(state.kept.hospitals) == ["a"]
    for key, array in (state.kept.read("a") or {}).items():
        assert np.array_equal(state.slots["control"][key], array)
    study.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1)
    correction = apart(PLAN, 3, decode(made[0].sent[3], taken_in(PLAN, 3, SHAPES), "none", max_bytes=1 << 20))[1]
    assert correction and not any(array.any() for array in correction.values()), "alone, it is corrected by nobody"


def test_a_hospital_that_ends_its_part_leaves_the_mean_of_the_models_of_mr_mtl(tmp_path: Path) -> None:
    made = [Sent(name, FIRST) for name in ("a", "b")]
    plan = replace(PLAN, server=ServerSpec("mr_mtl"))

    def end(record: RoundRecord) -> None:
        if record.round == 2:
            made[1].decision = ("ended", "Our board has changed its mind.")
            made[1].refusal = RequestDenied("The request was ended.")

    study = Study(federation_of(*made), plan, requests_of(*made), tmp_path)
    state, _ = study.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1, on_round=end)
    assert state.kept is not None and list(state.kept.hospitals) == ["a"] and state.round == plan.rounds
    for key, array in (state.kept.read("a") or {}).items():
        assert np.array_equal(state.weights[key], array)


def test_a_strategy_that_sends_other_arrays_than_the_plan_says_is_refused_before_anybody_is_asked(
    tmp_path: Path,
) -> None:
    made = Sent("a", FIRST)
    study = Study(federation_of(made), PLAN, requests_of(made), tmp_path)
    with pytest.raises(ConfigError, match="FedAvg sends hospitals no correction, the plan's is scaffold"):
        study.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1, strategy=FedAvg())
    plain = Study(federation_of(made), replace(PLAN, server=ServerSpec()), requests_of(made), tmp_path)
    with pytest.raises(ConfigError, match="Scaffold sends each hospital arrays of its own, the plan's is fed_avg"):
        plain.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1, strategy=Scaffold())
    with pytest.raises(ConfigError, match="FedPer averages a shared part of the model, the plan's is fed_avg"):
        plain.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1, strategy=FedPer())
    parted = replace(PLAN, model=ModelSpec("small_cnn", (16, 16, 1), 2), server=ServerSpec("fed_per"))
    local = Study(federation_of(made), parted, requests_of(made), tmp_path)
    with pytest.raises(ConfigError, match="FedAvg averages whole models, the plan's is fed_per"):
        local.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=1, strategy=FedAvg())
    assert not made.asked


def test_a_study_of_a_strategy_without_such_arrays_keeps_the_files_that_it_kept(tmp_path: Path) -> None:
    state, _ = run(tmp_path, plan=replace(PLAN, server=ServerSpec()))
    assert state.kept is None and "hospitals" not in (tmp_path / "state.json").read_text()
