"""What a round does before it has any picture, and that it makes the same of them whenever they come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datasites.training.book_keeping import BookKeeping
from datasites.training.jobs import prepare_round
from datasites.training.local_round import prepare_training, train_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.process_group.process_group import SingleProcess
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import InputRefused, NotRepeatable, OutOfMemory, PlanError, RoundRefused
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})
PLAN = TrainingPlan(
    "s",
    "d",
    SPEC,
    2,
    2,
    0.5,
    0.1,
    momentum=0.9,
    proximal_mu=0.1,
    privacy=PrivacySpec(1.0, 0.5, 1e-5),
    run=RunSpec("cpu", 8),
)
WEIGHTS = initial_weights(SPEC, 0)


def pictures():
    rng = np.random.default_rng(0)
    return LabelledPictures(
        rng.integers(0, 256, (20, 16, 16, 1), dtype=np.uint8), rng.integers(0, 3, 20), np.arange(20), 20
    )


class Neighbours(BookKeeping):
    def norms(self, images, labels, views=1):
        return super().norms(images, labels, views) + 1e-12 * images.double().sum()


class NoMemory(BookKeeping):
    def norms_and_sum(self, images, labels, counted=None):
        raise MemoryError


class OtherLayers(BookKeeping):
    def __init__(self, model, max_grad_norm, loss):
        raise PlanError("Such a layer cannot be trained.")


@pytest.mark.parametrize(
    ("engine", "error"), [(Neighbours, NotRepeatable), (NoMemory, OutOfMemory), (OtherLayers, PlanError)]
)
def test_an_unfit_device_is_found_without_any_picture(engine, error):
    with pytest.raises(error):
        prepare_training(PLAN, 0, WEIGHTS, public_size=20, engine=engine)


@pytest.mark.parametrize(
    ("plan", "round_index", "weights", "process_group", "error"),
    [
        (PLAN, 2, WEIGHTS, SingleProcess(), RoundRefused),
        (PLAN, 0, {}, SingleProcess(), InputRefused),
        (replace(PLAN, privacy=None), 0, WEIGHTS, SingleProcess(size=2), PlanError),
        (EvaluationPlan("s", "d", SPEC, 1, ReleaseSpec(10, 1e-5)), 1, WEIGHTS, SingleProcess(), RoundRefused),
        (EvaluationPlan("s", "d", SPEC, 1, ReleaseSpec(10, 1e-5)), 0, WEIGHTS, SingleProcess(size=2), PlanError),
        (StatisticsPlan("s", "d", (16, 16, 1), 3, ReleaseSpec(10, 1e-5)), 0, WEIGHTS, SingleProcess(), InputRefused),
    ],
)
def test_what_pictures_have_no_part_in_is_refused_before_there_are_any(
    plan, round_index, weights, process_group, error
):
    with pytest.raises(error):
        prepare_round(plan, round_index, weights, public_size=20, process_group=process_group)


def test_a_prepared_round_starts_from_the_global_weights_each_time_it_is_trained():
    prepared = prepare_training(PLAN, 1, WEIGHTS, public_size=20)
    first, again = (prepared.train(pictures(), random=SecureRandom.for_tests(1)) for _ in range(2))
    whole = train_round(PLAN, 1, WEIGHTS, pictures(), random=SecureRandom.for_tests(1))
    for name, values in whole.items():
        assert np.array_equal(first[name], values) and np.array_equal(again[name], values)
    assert any(np.abs(values).max() > 1e-3 for values in whole.values())
