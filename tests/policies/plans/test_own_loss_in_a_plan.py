"""A plan carries the whole graph of an own loss: its digest covers every byte, and a bound holds before it is read."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from dataclasses import replace

import pytest
from support.own_losses import cross_entropy, focal, loss_graph, objective_of_text, own_objective
from support.own_models import own_graph, own_spec, packed_bytes

from datasites.rules.rule import flat
from policies.errors import GraphError, PlanError
from policies.plans.graph.packed_graph import LOSS, pack, unpack
from policies.plans.kinds import parse
from policies.plans.objective.objective_spec import OWN_LOSS, ObjectiveSpec
from policies.plans.plan_json import MAX_CHARACTERS, settings
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

LOSS_GRAPH = loss_graph(focal)
MODEL = ModelSpec("small_cnn", (16, 16, 1), 3)
PLAN = TrainingPlan(
    "own", "pictures", MODEL, 2, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5), objective=own_objective(LOSS_GRAPH)
)


@pytest.mark.parametrize("model", [MODEL, own_spec(own_graph(num_classes=3))])
def test_a_plan_with_an_own_loss_reads_back_as_itself(model: ModelSpec) -> None:
    plan = replace(PLAN, model=model)
    assert parse(plan.to_json()) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert unpack(plan.objective.loss_graph, LOSS) == LOSS_GRAPH.to_json()


def test_the_digest_of_a_plan_covers_every_byte_of_its_loss() -> None:
    text = LOSS_GRAPH.to_json()
    others = {
        replace(PLAN, objective=objective_of_text(text[:at] + chr(33 + ord(text[at]) % 90) + text[at + 1 :])).digest()
        for at in range(len(text))
    }
    assert len(others) == len(text)
    assert PLAN.digest() not in others


def test_a_plan_of_a_built_in_loss_says_nothing_of_a_graph() -> None:
    plan = replace(PLAN, objective=ObjectiveSpec("ordinal"))
    assert "loss_graph" not in json.loads(plan.to_json())["objective"]
    assert "loss_graph" not in settings(plan)["objective"]
    assert "objective" not in json.loads(replace(PLAN, objective=ObjectiveSpec()).to_json())


def test_people_and_rules_are_told_the_digest_that_capture_prints() -> None:
    assert settings(PLAN)["objective"]["loss_graph"] == LOSS_GRAPH.digest()
    assert flat(PLAN)["objective.loss_graph"] == LOSS_GRAPH.digest()
    other = replace(PLAN, objective=own_objective(loss_graph(cross_entropy)))
    assert flat(other)["objective.loss_graph"] != LOSS_GRAPH.digest()


def test_a_loss_of_few_bytes_that_unfolds_to_many_is_refused() -> None:
    packed = packed_bytes(b"[" * (LOSS.text_characters + 1))
    assert len(packed) < LOSS.packed_characters
    with pytest.raises(GraphError, match="at most 1,000,000 characters"):
        ObjectiveSpec(OWN_LOSS, loss_graph=packed)
    with pytest.raises(GraphError, match="Capture a loss with fewer"):
        pack("[" * (LOSS.text_characters + 1), LOSS)


@pytest.mark.parametrize(
    "packed",
    [
        "not Base64!",
        "AAAA",
        7,
        packed_bytes(b"{}")[:-4],
        base64.b64encode(zlib.compress(b"{}") + b"more").decode(),
        "A" * (LOSS.packed_characters + 4),
    ],
)
def test_what_is_no_packed_loss_is_refused(packed: object) -> None:
    with pytest.raises(GraphError, match=r"objective\.loss_graph"):
        ObjectiveSpec(OWN_LOSS, loss_graph=packed)  # type: ignore[arg-type]


def test_a_loss_and_the_name_graph_go_together() -> None:
    with pytest.raises(PlanError, match="go together"):
        ObjectiveSpec(OWN_LOSS)
    with pytest.raises(PlanError, match="go together"):
        replace(PLAN.objective, loss="ordinal")


@pytest.mark.parametrize(
    "beside", [{"label_smoothing": 0.1}, {"class_weights": (1.0, 1.0, 2.0)}, {"present_weights": (1.0, 1.0, 2.0)}]
)
def test_an_own_loss_takes_no_weights_and_no_smoothing_beside_it(beside: dict[str, object]) -> None:
    with pytest.raises(PlanError, match="is of built-in losses"):
        replace(PLAN.objective, **beside)


def test_beside_its_graphs_a_plan_is_as_short_as_any_other() -> None:
    values = json.loads(replace(PLAN, model=own_spec(own_graph(num_classes=3))).to_json())
    values["study"] = "a" * MAX_CHARACTERS
    with pytest.raises(PlanError, match="at most 20000 characters"):
        parse(json.dumps(values))
