"""What a plan's strategy adds to a gradient: after the noise, and only what the plan declares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from datasites.training.local_round import train_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import InputRefused
from policies.plans.server.beside import taken_in, together
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, ServerSpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 3), 4, {"width": 4})
FEDAVG = TrainingPlan(
    "study", "d", SPEC, 3, 1, 0.5, 0.25, privacy=PrivacySpec(2.0, 0.5, 1e-5), run=RunSpec(device="cpu")
)
SCAFFOLD = replace(FEDAVG, server=ServerSpec("scaffold"))
WEIGHTS = initial_weights(SPEC, 0)
CORRECTION = {name: np.full_like(array, 1 + index) for index, (name, array) in enumerate(WEIGHTS.items())}


def pictures() -> LabelledPictures:
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    return LabelledPictures(images, generator.integers(0, 4, 10), np.arange(10), 10)


def update(plan: TrainingPlan, index: int, sent: Any) -> dict[str, np.ndarray]:
    return train_round(plan, index, sent, pictures(), random=SecureRandom.for_tests(1))


@pytest.mark.parametrize("plan", [SCAFFOLD, replace(SCAFFOLD, privacy=None)], ids=["private", "plain"])
def test_a_correction_is_added_to_the_gradient_as_it_is_neither_clipped_nor_noised(plan: TrainingPlan) -> None:
    plain = update(replace(plan, server=ServerSpec()), 1, WEIGHTS)
    corrected = update(plan, 1, together("correction", WEIGHTS, CORRECTION))
    for name, array in plain.items():
        assert corrected[name] == pytest.approx(array - 0.25 * CORRECTION[name], abs=2e-6)


def test_a_correction_of_zero_changes_not_a_bit() -> None:
    zero = {name: np.zeros_like(array) for name, array in WEIGHTS.items()}
    plain, corrected = update(FEDAVG, 1, WEIGHTS), update(SCAFFOLD, 1, together("correction", WEIGHTS, zero))
    assert all(np.array_equal(plain[name], corrected[name]) for name in plain)


def test_the_first_round_has_no_correction() -> None:
    plain, first = update(FEDAVG, 0, WEIGHTS), update(SCAFFOLD, 0, WEIGHTS)
    assert all(np.array_equal(plain[name], first[name]) for name in plain)


MR_MTL = replace(FEDAVG, server=ServerSpec("mr_mtl", mean_pull=0.5), steps_per_round=2)


def test_with_a_model_of_its_own_each_step_is_pulled_to_the_mean_that_came_in() -> None:
    anchor = {name: array + 1 for name, array in WEIGHTS.items()}
    plain = update(replace(FEDAVG), 1, WEIGHTS)
    pulled = update(replace(MR_MTL, steps_per_round=1), 1, together("anchor", WEIGHTS, anchor))
    for name, array in plain.items():  # the way from the mean is -1, so a step at 0.25 goes 0.25 · 0.5 towards it
        assert pulled[name] == pytest.approx(array + 0.125, abs=2e-6)


def test_in_the_first_round_the_pull_is_to_where_the_round_starts() -> None:
    proximal = replace(FEDAVG, proximal_mu=0.5, steps_per_round=2)
    one, two = update(MR_MTL, 0, WEIGHTS), update(proximal, 0, WEIGHTS)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_without_a_pull_a_hospital_trains_alone() -> None:
    alone = replace(MR_MTL, server=ServerSpec("mr_mtl", mean_pull=0.0))
    one = update(alone, 1, together("anchor", WEIGHTS, {name: array + 9 for name, array in WEIGHTS.items()}))
    two = update(replace(FEDAVG, steps_per_round=2), 1, WEIGHTS)
    assert all(np.array_equal(one[name], two[name]) for name in one)


BOTH = together("correction", WEIGHTS, CORRECTION)
LACKING = {name: array for name, array in BOTH.items() if name != f"correction/{next(iter(WEIGHTS))}"}


@pytest.mark.parametrize(
    ("plan", "index", "sent", "told"),
    [
        (FEDAVG, 1, BOTH, "is unknown"),
        (SCAFFOLD, 0, BOTH, "is unknown"),
        (SCAFFOLD, 1, WEIGHTS, "is missing"),
        (SCAFFOLD, 1, LACKING, "is missing"),
        (SCAFFOLD, 1, {**BOTH, "correction/more": np.zeros(3, np.float32)}, "'more' is unknown"),
        (SCAFFOLD, 1, {**BOTH, f"correction/{next(iter(WEIGHTS))}": np.zeros(3, np.float32)}, "must be float32 of"),
        (SCAFFOLD, 1, together("correction", WEIGHTS, {n: a * np.inf for n, a in CORRECTION.items()}), "not finite"),
        (SCAFFOLD, 1, together("anchor", WEIGHTS, CORRECTION), "is unknown"),
        (MR_MTL, 1, WEIGHTS, "is missing"),
        (MR_MTL, 1, BOTH, "is unknown"),
    ],
)
def test_a_correction_that_the_plan_does_not_declare_and_one_that_is_missing_are_refused(
    plan: TrainingPlan, index: int, sent: Any, told: str
) -> None:
    with pytest.raises(InputRefused, match=told):
        update(plan, index, sent)


def test_a_round_takes_in_what_its_strategy_declares_and_a_plan_without_one_nothing_more() -> None:
    shapes = {"w": (3,)}
    assert taken_in(SCAFFOLD, 0, shapes) == taken_in(FEDAVG, 2, shapes) == shapes
    assert taken_in(SCAFFOLD, 1, shapes) == {"w": (3,), "correction/w": (3,)}
