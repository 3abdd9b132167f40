"""Every loss that a plan can name, and an own one: by hand, row by row, through both engines, and in a round."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.clipping_oracle import distance, norm_of, one_by_one
from support.own_losses import focal, loss_graph, own_objective

from datasites.training.engines import ENGINES
from datasites.training.local_round import train_round
from datasites.training.losses import loss_of, summed_loss
from datasites.training.models import build_model, initial_weights
from datasites.training.pictures.data import LabelledPictures, to_tensor
from datasites.training.randomness.randomness import SecureRandom
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

CLASSES = torch.tensor([0, 2, 1, 1, 0, 2])
FINDINGS = torch.tensor([[1, 0, 1], [0, 0, 0], [-1, 1, 0], [-1, -1, 1], [1, 0, 0], [1, 1, 1]], dtype=torch.int8)
OBJECTIVES = [
    ObjectiveSpec(label_smoothing=0.1),
    ObjectiveSpec(class_weights=(1.0, 0.5, 4.0)),
    ObjectiveSpec(label_smoothing=0.2, class_weights=(1.0, 0.5, 4.0)),
    ObjectiveSpec("ordinal"),
    ObjectiveSpec("ordinal", class_weights=(1.0, 0.5, 4.0)),
    ObjectiveSpec(present_weights=(2.0, 0.5, 8.0)),
    own_objective(loss_graph(focal)),
]


def labels_of(objective: ObjectiveSpec) -> torch.Tensor:
    return FINDINGS if objective.present_weights else CLASSES


def spec_of(objective: ObjectiveSpec) -> ModelSpec:
    kind = "multi" if objective.present_weights else "single"
    return ModelSpec("small_cnn", (16, 16, 2), 3, {"width": 4}, kind)


def of_probabilities(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities]).log()


def oracle(objective: ObjectiveSpec):
    """The mean loss over rows, from probabilities and by the definition, in the precision of the logits."""

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        told = []
        for row, label in zip(logits, labels, strict=True):
            weights = objective.class_weights or (1.0,) * len(row)
            p = torch.softmax(row, 0)
            if objective.present_weights:
                sure = torch.sigmoid(row)
                parts = [
                    -w * q.log() if y == 1 else -(1 - q).log()
                    for q, y, w in zip(sure, label, objective.present_weights, strict=True)
                    if y >= 0
                ]
                told.append(sum(parts) / len(row))
            elif objective.is_own:
                told.append(-((1 - p[label]) ** 2) * p[label].log())
            elif objective.loss == "ordinal":
                above = [p[k + 1 :].sum() for k in range(len(row) - 1)]
                parts = [-(q if label > k else 1 - q).log() for k, q in enumerate(above)]
                told.append(weights[label] * sum(parts) / len(parts))
            else:
                s = objective.label_smoothing
                spread = sum(w * q.log() for w, q in zip(weights, p, strict=True)) / len(row)
                told.append(-(1 - s) * weights[label] * p[label].log() - s * spread)
        return torch.stack(told).mean()

    return loss


def test_a_plan_that_names_none_has_the_loss_that_it_always_had() -> None:
    assert loss_of(ObjectiveSpec()) is summed_loss


def test_grades_are_told_by_hand() -> None:
    # above the first grade: 1/2, above the second: 1/4
    logits, loss = of_probabilities(0.5, 0.25, 0.25), loss_of(ObjectiveSpec("ordinal"))
    assert loss(logits, torch.tensor([0])).item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)
    assert loss(logits, torch.tensor([1])).item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)
    assert loss(logits, torch.tensor([2])).item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_two_grades_are_two_classes() -> None:
    logits, labels = torch.randn(9, 2, generator=torch.Generator().manual_seed(1)), torch.arange(9) % 2
    found = loss_of(ObjectiveSpec("ordinal"))(logits, labels)
    assert found.item() == pytest.approx(F.cross_entropy(logits, labels, reduction="sum").item(), rel=1e-6)


def test_a_mistake_costs_more_the_more_grades_it_is_off_and_by_cross_entropy_all_the_same() -> None:
    sure = of_probabilities(0.96, 0.01, 0.01, 0.01, 0.01)
    ordinal = [loss_of(ObjectiveSpec("ordinal"))(sure, torch.tensor([grade])).item() for grade in range(5)]
    assert ordinal == sorted(ordinal) and len(set(ordinal)) == 5
    assert len({round(summed_loss(sure, torch.tensor([grade])).item(), 5) for grade in range(1, 5)}) == 1


def test_weights_and_smoothing_are_told_by_hand() -> None:
    logits = of_probabilities(0.5, 0.25, 0.25)
    weighted = loss_of(ObjectiveSpec(class_weights=(1.0, 3.0, 1.0)))
    assert weighted(logits, torch.tensor([1])).item() == pytest.approx(3 * math.log(4))
    assert weighted(logits.repeat(2, 1), torch.tensor([1, 0])).item() == pytest.approx(3 * math.log(4) + math.log(2))
    smooth = loss_of(ObjectiveSpec(label_smoothing=0.3))
    spread = (math.log(2) + 2 * math.log(4)) / 3
    assert smooth(logits, torch.tensor([0])).item() == pytest.approx(0.7 * math.log(2) + 0.3 * spread)
    # logits 0 and ln 3 are probabilities 1/2 and 3/4
    present = loss_of(ObjectiveSpec(present_weights=(5.0, 1.0)))
    found = present(torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1, 0]], dtype=torch.int8))
    assert found.item() == pytest.approx((5 * math.log(2) + math.log(4)) / 2)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_rows_gradient_is_the_same_bits_whoever_is_beside_it(objective: ObjectiveSpec) -> None:
    made, labels, loss = torch.Generator().manual_seed(1), labels_of(objective), loss_of(objective)
    logits = torch.randn(6, 3, generator=made).requires_grad_()
    (together,) = torch.autograd.grad(loss(logits, labels), logits)
    others = torch.cat([logits[:2].detach(), 50 * torch.randn(4, 3, generator=made)]).requires_grad_()
    (beside,) = torch.autograd.grad(loss(others, torch.cat([labels[:2], labels[2:].flip(0)])), others)
    assert torch.equal(together[:2], beside[:2])
    assert together.abs().sum(dim=1).min() > 0


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("bound", "views"), [(0.05, 1), (1e6, 2)])
def test_sums_are_those_of_each_gradient_clipped_alone(
    objective: ObjectiveSpec, engine: str, bound: float, views: int
) -> None:
    torch.manual_seed(3)
    model, images, labels = build_model(spec_of(objective)).double(), torch.randn(6, 2, 16, 16), labels_of(objective)
    images = torch.cat([images + view for view in range(views)]).double()
    expected = one_by_one(model, images, labels, bound, views, oracle(objective))
    made = ENGINES[engine](model, bound, loss_of(objective))
    found = made.clipped_sum(images, labels, torch.ones(6, dtype=torch.bool))
    assert distance(found, expected) < 1e-5 * norm_of(expected)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("engine", ENGINES)
def test_no_picture_moves_a_sum_by_more_than_the_bound(objective: ObjectiveSpec, engine: str) -> None:
    torch.manual_seed(3)
    model, images, labels = build_model(spec_of(objective)), torch.randn(6, 2, 16, 16), labels_of(objective)
    images = images * torch.tensor([1.0, 1e3, 1e-3, 1e6, 1.0, 30.0])[:, None, None, None]
    gradients = ENGINES[engine](model, 0.02, loss_of(objective))
    everyone = gradients.clipped_sum(images, labels)
    for one in range(len(images)):
        others = [i for i in range(len(images)) if i != one]
        assert distance(everyone, gradients.clipped_sum(images[others], labels[others])) <= 0.02


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("privacy", [None, PrivacySpec(1e-9, 1e4, 1e-5)], ids=["plain", "private"])
def test_a_round_lowers_the_loss_that_its_plan_names(objective: ObjectiveSpec, privacy: PrivacySpec | None) -> None:
    spec = spec_of(objective)
    rng = np.random.default_rng(1)
    labels = labels_of(objective).numpy()
    pictures = LabelledPictures(
        images=rng.integers(0, 256, (6, 16, 16, 2), dtype=np.uint8),
        labels=labels,
        units=np.arange(6),
        public_size=6,
    )
    plan = TrainingPlan("s", "d", spec, 1, 1, 1.0, 0.01, privacy=privacy, run=RunSpec("cpu"), objective=objective)
    weights = initial_weights(spec, 0)
    update = train_round(plan, 0, weights, pictures, random=SecureRandom.for_tests(1))
    usual = train_round(
        replace(plan, objective=ObjectiveSpec()), 0, weights, pictures, random=SecureRandom.for_tests(1)
    )
    model = build_model(spec)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    gradients = torch.autograd.grad(
        oracle(objective)(model(to_tensor(pictures.images)), torch.from_numpy(labels)), list(model.parameters())
    )
    expected = {name: -0.01 * g for (name, _), g in zip(model.named_parameters(), gradients, strict=True)}
    for name, value in expected.items():
        np.testing.assert_allclose(update[name], value.numpy(), atol=1e-5)
    assert any(np.abs(update[name] - usual[name]).max() > 1e-5 for name in update)
