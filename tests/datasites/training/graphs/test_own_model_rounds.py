"""Rounds of own models: they learn, with what strategies send beside the weights, and a graph is proved before any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.hospitals import draw_pictures
from support.own_models import own_graph, own_spec, spec_of_text

from datasites.training.evaluation import predict
from datasites.training.jobs import prepare_round, run_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from policies.errors import GraphError
from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.server.beside import taken_in
from policies.plans.server.server_spec import ServerSpec
from policies.plans.training import PrivacySpec, TrainingPlan

GRAPH = own_graph()
PLAN = TrainingPlan("own", "pictures", own_spec(GRAPH), 2, 12, 0.5, 1.0, privacy=PrivacySpec(0.6, 1.0, 1e-5))


@pytest.fixture(scope="module")
def pictures() -> LabelledPictures:
    images, labels = draw_pictures(120, seed=5)
    return LabelledPictures(images, labels, np.arange(120), 120)


def test_two_private_rounds_of_an_own_model_teach_it(pictures: LabelledPictures) -> None:
    weights = initial_weights(PLAN.model, 0)
    for index in range(PLAN.rounds):
        update = run_round(PLAN, index, weights, pictures)
        assert {name: array.shape for name, array in update.items()} == {n: w.shape for n, w in weights.items()}
        weights = {name: weights[name] + update[name] for name in weights}
    found = predict(PLAN.model, weights, pictures.images)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == pictures.labels).mean() > 0.8


@pytest.mark.parametrize("strategy", ["scaffold", "mr_mtl"])
def test_what_a_strategy_sends_beside_the_weights_fits_an_own_model(pictures: LabelledPictures, strategy: str) -> None:
    plan = replace(PLAN, steps_per_round=1, server=ServerSpec(strategy=strategy))
    weights = initial_weights(plan.model, 0)
    shapes = taken_in(plan, 1, {name: array.shape for name, array in weights.items()})
    sent = {name: weights.get(name, np.zeros(shape, np.float32)) for name, shape in shapes.items()}
    assert len(sent) == 2 * len(weights)
    assert set(run_round(plan, 1, sent, pictures)) == set(weights)


def test_an_own_model_is_evaluated_with_noise(pictures: LabelledPictures) -> None:
    plan = EvaluationPlan("own", "pictures", PLAN.model, 1, ReleaseSpec(1.0, 1e-5))
    counts = run_round(plan, 0, initial_weights(PLAN.model, 0), pictures)
    assert counts["confusion"].shape == (2, 2)


def test_a_run_proves_its_graph_before_a_picture_is_read() -> None:
    text = GRAPH.to_json().replace('"operator":"relu"', '"operator":"rely"')
    with pytest.raises(GraphError, match="no operator of a graph"):
        prepare_round(replace(PLAN, model=spec_of_text(text)), 0, initial_weights(PLAN.model, 0), public_size=120)
