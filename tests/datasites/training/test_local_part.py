"""Which parameters stay at a hospital, held against the layers of every model, and a fit that changes no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from datasites.code_requests.calculator import Calculator
from datasites.training.evaluation import predict
from datasites.training.local_fit import fit_local_part
from datasites.training.models import MODELS, build_model, initial_weights, trainable_shapes
from policies.errors import PlanError
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.releases import ReleaseSpec, StatisticsPlan
from policies.plans.server.local_part import LOCAL, keeps_part, local, local_names, shared
from policies.plans.training import ModelSpec, PrivacySpec, ServerSpec, TrainingPlan

TEXT = {"text_length": 4, "tokeniser": "hashed_words_1", "vocabulary": 256}
NORMS = (nn.GroupNorm, nn.LayerNorm)
HEADS_ALONE = ("features", "linear", "scattering_linear")
ENCODERS = ("small_cnn", "resnet18", "mobilenet_v3_small", "efficientnet_lite0", "vit_small")


def plan_of(strategy: str, model: ModelSpec) -> TrainingPlan:
    return TrainingPlan(
        "study", "d", model, 2, 1, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5), server=ServerSpec(strategy)
    )


def spec_of(name: str, **options: str | int) -> ModelSpec:
    return ModelSpec(name, (32, 32, 3), 4, {**(TEXT if name == "image_text" else {}), **options})


SPECS = [spec_of(name) for name in MODELS if name not in HEADS_ALONE]
SPECS += [spec_of("image_text", picture_encoder=name) for name in ENCODERS]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.name}-{spec.options.get('picture_encoder', '')}")
def test_the_last_layer_and_the_norms_are_those_of_the_model_itself(spec: ModelSpec) -> None:
    with torch.device("meta"):
        model = build_model(spec)
    *_, (head, _) = [(name, one) for name, one in model.named_modules() if isinstance(one, nn.Linear)]
    assert dict(model.named_modules())[head].out_features == spec.num_classes
    norms = [name for name, one in model.named_modules() if isinstance(one, NORMS)]
    shapes = trainable_shapes(spec)
    for strategy, layers in (("fed_per", [head]), ("fed_bn", norms)):
        plan = plan_of(strategy, spec)
        expected = {name for name in shapes if name.rpartition(".")[0] in layers}
        assert local_names(plan, shapes) == expected and expected
        assert shared(plan, shapes).keys() == shapes.keys() - expected and shared(plan, shapes)
        assert local(plan, shapes).keys() == expected


@pytest.mark.parametrize(
    ("strategy", "name"),
    [*(("fed_per", name) for name in HEADS_ALONE), *(("fed_bn", name) for name in HEADS_ALONE), ("fed_per", "mine")],
)
def test_a_model_that_would_share_nothing_or_has_no_norms_is_refused(strategy: str, name: str) -> None:
    with pytest.raises(PlanError, match=f"Strategy {strategy} needs .* model '{name}' has none"):
        plan_of(strategy, ModelSpec(name, (32, 32, 3), 4))


def test_other_strategies_and_plans_that_release_sums_keep_nothing_back() -> None:
    spec = spec_of("small_cnn")
    shapes = trainable_shapes(spec)
    statistics = StatisticsPlan("s", "d", (16, 16, 1), 2, ReleaseSpec(2.0, 1e-5))
    for plan in (plan_of("fed_avg", spec), plan_of("mr_mtl", spec), plan_of("scaffold", spec), statistics):
        assert not keeps_part(plan) and local_names(plan, shapes) == frozenset()
        assert shared(plan, shapes) == shapes
    assert all(keeps_part(plan_of(strategy, spec)) for strategy in LOCAL)


def test_a_hospital_declares_the_whole_model_to_come_in_and_the_shared_part_to_leave() -> None:
    spec = spec_of("small_cnn")

    class Here:
        def ask(self, function: object, *arguments: object) -> object:
            return function(*arguments)  # type: ignore[operator]

        def end(self) -> None:
            pass

    calculator = Calculator(Here)
    for strategy in LOCAL:
        plan = plan_of(strategy, spec)
        declared = calculator.shapes(plan)
        assert declared.inputs == trainable_shapes(spec)
        assert declared.outputs == shared(plan, trainable_shapes(spec)) != declared.inputs


def test_a_plan_says_the_strategy_and_every_other_plan_keeps_its_digest() -> None:
    plan = plan_of("fed_bn", spec_of("small_cnn"))
    assert TrainingPlan.from_json(plan.to_json()) == plan and '"fed_bn"' in plan.to_json()
    plain = replace(plan, server=ServerSpec())
    assert '"server":' not in plain.to_json() and plain.digest() != plan.digest()


@pytest.mark.parametrize("strategy", LOCAL)
def test_a_fit_changes_the_local_part_alone_and_lowers_the_loss(strategy: str) -> None:
    spec = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    images = (80 + 96 * labels[:, None, None, None] + random.normal(0, 25, (60, 16, 16, 1))).clip(0, 255).astype("u1")
    begins = initial_weights(spec, 0)
    stays = local_names(plan_of(strategy, spec), begins)
    fitted = fit_local_part(spec, ObjectiveSpec(), begins, stays, images, labels)
    assert fitted.keys() == begins.keys()
    assert {name for name in begins if (fitted[name] != begins[name]).any()} == stays
    losses = [_loss(spec, weights, images, labels) for weights in (begins, fitted)]
    assert losses[1] < losses[0]
    again = fit_local_part(spec, ObjectiveSpec(), begins, stays, images, labels)
    assert all(np.allclose(again[name], fitted[name]) for name in fitted)


def test_a_fit_lowers_what_the_plan_says() -> None:
    spec = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (60, 16, 16, 1)).astype("u1"), random.integers(0, 2, 60)
    begins = initial_weights(spec, 0)
    stays = local_names(plan_of("fed_per", spec), begins)
    of_each = []
    for weights in ((50.0, 1.0), (1.0, 50.0)):
        fitted = fit_local_part(spec, ObjectiveSpec(class_weights=weights), begins, stays, images, labels)
        of_each.append(predict(spec, fitted, images)[:, 1].mean())
    assert of_each[0] < 0.5 < of_each[1], "which class counts more is more often said"


def _loss(spec: ModelSpec, weights: dict[str, np.ndarray], images: np.ndarray, labels: np.ndarray) -> float:
    found = predict(spec, weights, images)
    return float(-np.log(found[np.arange(len(labels)), labels]).mean())
