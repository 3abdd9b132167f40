"""An own loss, carried out: the built-in ones by another way, each row by itself, and whatever is not finite alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.clipping_oracle import distance, norm_of, of_findings, one_by_one
from support.own_losses import costs, cross_entropy, findings, focal, loss_graph, own_objective

from datasites.training.engines import ENGINES
from datasites.training.graphs import OwnLoss
from datasites.training.local_fit import fit_local_part
from datasites.training.local_round import prepare_training
from datasites.training.losses import summed_loss
from datasites.training.models import build_model, initial_weights
from policies.errors import PlanError
from policies.graphs.losses.loss_graph import LABEL, OUTPUT, LossGraph
from policies.graphs.losses.loss_proof import prove_loss
from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

CLASSES = torch.tensor([0, 2, 1, 1, 0, 2])
FINDINGS = torch.tensor([[1, 0, 1], [0, 0, 0], [-1, 1, 0], [-1, -1, -1], [1, 0, 0], [1, 1, 1]], dtype=torch.int8)
OF_FINDINGS = loss_graph(findings, label_kind="multi")
LOSSES = {
    "cross-entropy": loss_graph(cross_entropy),
    "focal": loss_graph(focal),
    "costs": loss_graph(costs),
    "findings": OF_FINDINGS,
}


def labels_of(loss: LossGraph) -> torch.Tensor:
    return FINDINGS if loss.label_kind == "multi" else CLASSES


def made(loss: LossGraph) -> OwnLoss:
    return OwnLoss(prove_loss(loss))


def focal_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    right = torch.softmax(logits, 1)[torch.arange(len(labels)), labels]
    return (-((1 - right) ** 2) * right.log()).mean()


def costs_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    off = (torch.arange(3) - labels[:, None]) ** 2
    return (torch.softmax(logits, 1) * off).sum(1).mean()


ORACLES = {"cross-entropy": F.cross_entropy, "focal": focal_of, "costs": costs_of, "findings": of_findings}


def test_it_is_cross_entropy_by_hand() -> None:
    found = made(loss_graph(cross_entropy)).rows(torch.tensor([[0.5, 0.25, 0.25]] * 2).log(), torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([math.log(2), math.log(4)])


def test_it_is_the_focal_loss_by_hand() -> None:
    found = made(loss_graph(focal)).rows(torch.tensor([[0.5, 0.25, 0.25]] * 2).log(), torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([math.log(2) / 4, 9 / 16 * math.log(4)])


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_a_loss_written_as_the_built_in_one_is_the_built_in_one(kind: str) -> None:
    loss, labels = (OF_FINDINGS, FINDINGS) if kind == "multi" else (loss_graph(cross_entropy), CLASSES)
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    own, built_in = made(loss)(logits, labels), summed_loss(logits, labels)
    assert own.item() == pytest.approx(built_in.item(), rel=1e-6)
    (mine,), (theirs,) = (torch.autograd.grad(one, logits) for one in (own, built_in))
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_a_picture_of_which_no_finding_is_known_has_an_exact_zero_gradient() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    (gradient,) = torch.autograd.grad(made(OF_FINDINGS)(logits, FINDINGS), logits)
    assert not gradient[3].any() and gradient[:3].any(dim=1).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_rows_gradient_is_the_same_bits_whoever_is_beside_it(name: str) -> None:
    made_up, loss = torch.Generator().manual_seed(1), made(LOSSES[name])
    labels = labels_of(LOSSES[name])
    logits = torch.randn(6, 3, generator=made_up).requires_grad_()
    (together,) = torch.autograd.grad(loss(logits, labels), logits)
    others = torch.cat([logits[:2].detach(), 50 * torch.randn(4, 3, generator=made_up)]).requires_grad_()
    (beside,) = torch.autograd.grad(loss(others, torch.cat([labels[:2], labels[2:].flip(0)])), others)
    assert torch.equal(together[:2], beside[:2])
    assert together[:3].abs().sum(dim=1).min() > 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("bound", "views"), [(0.05, 1), (1e6, 2)])
def test_sums_are_those_of_each_gradient_clipped_alone_in_float64(
    name: str, engine: str, bound: float, views: int
) -> None:
    torch.manual_seed(3)
    labels = labels_of(LOSSES[name])
    spec = ModelSpec("small_cnn", (16, 16, 2), 3, {"width": 4}, LOSSES[name].label_kind)
    model, images = build_model(spec), torch.randn(6, 2, 16, 16)
    images = torch.cat([images + view for view in range(views)])
    expected = one_by_one(model.double(), images.double(), labels, bound, views, ORACLES[name])
    gradients = ENGINES[engine](model.float(), bound, made(LOSSES[name]))
    found = gradients.clipped_sum(images, labels, torch.ones(6, dtype=torch.bool))
    assert distance(found, expected) < 1e-5 * norm_of(expected)


def roots(b):
    """Square roots of outputs and 2, which are no numbers where an output is below -2."""
    root = b.add("square_root", b.add("affine", OUTPUT, factor=1.0, offset=2.0))
    return b.add("sum", b.add("multiply", root, LABEL), axes=[1], keep=False)


def overflowing(b):
    """exp of outputs, squared and squared: beyond float32 for large ones."""
    value = b.add("exponential", OUTPUT)
    for _ in range(3):
        value = b.add("multiply", value, value)
    return b.add("sum", b.add("multiply", value, LABEL), axes=[1], keep=False)


@pytest.mark.parametrize("lines", [roots, overflowing])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_that_is_not_finite_for_some_pictures_leaves_the_others_as_they_are(lines, engine: str) -> None:
    torch.manual_seed(3)
    spec = ModelSpec("linear", (4, 4, 1), 3)
    model, images = build_model(spec), torch.randn(6, 1, 4, 4)
    images[[1, 4]] *= 1e4
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.2)
    gradients = ENGINES[engine](model, 0.02, made(loss_graph(lines)))
    norms, everyone = gradients.norms_and_sum(images, CLASSES, torch.ones(6, dtype=torch.bool))
    usable = norms.isfinite()
    assert usable.any() and not usable.all()  # some of both
    alone = torch.zeros(6, dtype=torch.bool)
    for place in range(6):
        counted = alone.clone()
        counted[place] = True
        one = gradients.clipped_sum(images, CLASSES, counted)
        assert norm_of(one) <= 0.02
        if not usable[place]:
            assert norm_of(one) == 0.0
    without = gradients.clipped_sum(images, CLASSES, usable)
    assert all(torch.equal(a, b) for a, b in zip(everyone, without, strict=True))
    assert all(part.isfinite().all() for part in everyone)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("engine", ENGINES)
def test_no_picture_moves_a_sum_by_more_than_the_bound(name: str, engine: str) -> None:
    torch.manual_seed(3)
    labels = labels_of(LOSSES[name])
    spec = ModelSpec("small_cnn", (16, 16, 2), 3, {"width": 4}, LOSSES[name].label_kind)
    model, images = build_model(spec), torch.randn(6, 2, 16, 16)
    images = images * torch.tensor([1.0, 1e3, 1e-3, 1e6, 1.0, 30.0])[:, None, None, None]
    gradients = ENGINES[engine](model, 0.02, made(LOSSES[name]))
    everyone = gradients.clipped_sum(images, labels)
    for one in range(len(images)):
        others = [i for i in range(len(images)) if i != one]
        assert distance(everyone, gradients.clipped_sum(images[others], labels[others])) <= 0.02


def test_under_autocast_it_is_computed_in_float32() -> None:
    loss, logits = made(loss_graph(costs)), torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        found = loss.rows(logits.bfloat16(), CLASSES)
    assert found.dtype == torch.float32
    assert torch.equal(found, loss.rows(logits.bfloat16().float(), CLASSES))


@pytest.mark.parametrize(
    ("logits", "labels", "told"),
    [
        (torch.zeros(6, 4), CLASSES, r"for 3 outputs .* of shape .4,."),
        (torch.zeros(6, 3), FINDINGS, "the labels' kind is 'multi'"),
        (torch.zeros(6, 3, 2), CLASSES, "of shape .3, 2."),
    ],
)
def test_outputs_and_labels_of_another_kind_are_refused(logits, labels, told: str) -> None:
    with pytest.raises(PlanError, match=told):
        made(loss_graph(cross_entropy))(logits, labels)


def test_a_loss_without_a_gradient_that_is_a_number_is_refused_before_a_picture_is_read() -> None:
    def of_negative_numbers(b):
        below = b.add("affine", b.add("relu", OUTPUT), factor=-1.0, offset=-1.0)
        return b.add("sum", b.add("multiply", b.add("square_root", below), LABEL), axes=[1], keep=False)

    spec = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})
    privacy, objective = PrivacySpec(1.0, 1.0, 1e-5), own_objective(loss_graph(of_negative_numbers))
    plan = TrainingPlan("s", "d", spec, 1, 1, 0.5, 0.1, privacy=privacy, run=RunSpec("cpu"), objective=objective)
    with pytest.raises(PlanError, match="gradient of a made-up picture is no number"):
        prepare_training(plan, 0, initial_weights(spec, 0), public_size=100)


def test_a_local_part_is_fitted_by_the_plans_own_loss() -> None:
    spec = ModelSpec("linear", (4, 4, 1), 3)
    weights = initial_weights(spec, 0)
    images = np.random.default_rng(1).integers(0, 256, (9, 4, 4, 1), dtype=np.uint8)
    labels = np.arange(9) % 3
    own, usual = (
        fit_local_part(spec, objective, weights, list(weights), images, labels)
        for objective in (own_objective(loss_graph(cross_entropy)), ObjectiveSpec())
    )
    other = fit_local_part(spec, own_objective(loss_graph(costs)), weights, list(weights), images, labels)
    for name in weights:
        np.testing.assert_allclose(own[name], usual[name], atol=1e-4)
    assert any(np.abs(other[name] - usual[name]).max() > 1e-3 for name in weights)
