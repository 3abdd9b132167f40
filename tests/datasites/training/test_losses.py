"""The loss of classes and of findings: by hand, and through both engines, where nobody moves a sum beyond the bound."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from support.clipping_oracle import distance, norm_of, of_findings, one_by_one

from datasites.training.dp_sgd.engine_contract import CLIP_MARGIN
from datasites.training.engines import ENGINES
from datasites.training.losses import probabilities, summed_loss
from datasites.training.models import build_model
from policies.plans.training import ModelSpec

SPEC = ModelSpec("small_cnn", (16, 16, 2), 3, {"width": 4}, "multi")
LABELS = torch.tensor([[1, 0, 1], [0, 0, 0], [-1, 1, 0], [-1, -1, 1], [-1, -1, -1], [1, 1, 1]], dtype=torch.int8)


def test_findings_are_told_by_hand():
    # logits 0 and ln 3 are probabilities 1/2 and 3/4: -ln(1/2) - ln(1/4), over two findings
    logits = torch.tensor([[0.0, math.log(3)]])
    assert summed_loss(logits, torch.tensor([[1, 0]], dtype=torch.int8)).item() == pytest.approx(math.log(8) / 2)
    assert summed_loss(logits, torch.tensor([[-1, 1]], dtype=torch.int8)).item() == pytest.approx(-math.log(0.75) / 2)
    assert probabilities(logits, "multi").tolist() == [[0.5, pytest.approx(0.75)]]


def test_classes_have_the_cross_entropy_that_they_always_had():
    logits, labels = torch.randn(5, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 3, 1, 1, 2])
    assert summed_loss(logits, labels).item() == F.cross_entropy(logits, labels, reduction="sum").item()
    assert torch.equal(probabilities(logits, "single"), torch.softmax(logits, dim=1))


def test_with_everything_known_it_is_the_mean_over_findings_as_torch_takes_it():
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)), LABELS[[0, 1, 5, 0]]
    expected = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="mean") * len(labels)
    assert summed_loss(logits, labels).item() == pytest.approx(expected.item())


def test_an_unknown_finding_has_no_gradient_and_changes_no_others():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    (gradient,) = torch.autograd.grad(summed_loss(logits, LABELS), logits)
    known = LABELS >= 0
    assert (gradient[~known] == 0).all() and (gradient[known] != 0).all()
    guessed = torch.where(known, LABELS, torch.ones((), dtype=torch.int8))
    (other,) = torch.autograd.grad(summed_loss(logits, guessed), logits)
    assert torch.equal(gradient[known], other[known])


@pytest.fixture
def setting():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build_model(SPEC), torch.randn(6, 2, 16, 16)


@pytest.fixture(params=ENGINES)
def engine(request):
    return ENGINES[request.param]


@pytest.mark.parametrize("bound", [0.05, 1e6])
@pytest.mark.parametrize("views", [1, 2])
def test_the_sum_is_that_of_each_gradient_clipped_alone(engine, setting, bound, views):
    model, images = setting[0].double(), setting[1].double()
    images = torch.cat([images + view for view in range(views)])
    expected = one_by_one(model, images, LABELS, bound, views, of_findings)
    counted = torch.ones(len(LABELS), dtype=torch.bool)
    got = engine(model, bound).clipped_sum(images, LABELS, counted)
    assert distance(got, expected) < 1e-5 * norm_of(expected)


def test_no_picture_moves_the_sum_by_more_than_the_bound_whatever_is_known_of_it(engine, setting):
    model, images = setting
    images = images * torch.tensor([1.0, 1e3, 1e-3, 1e6, 1.0, 30.0])[:, None, None, None]
    gradients = engine(model, 0.02)
    everyone = gradients.clipped_sum(images, LABELS)
    moved = []
    for i in range(len(images)):
        others = [j for j in range(len(images)) if j != i]
        moved.append(distance(everyone, gradients.clipped_sum(images[others], LABELS[others])))
    assert max(moved) <= 0.02
    assert max(moved) > 0.02 * (1 - 2 * CLIP_MARGIN)


def test_a_picture_of_which_nothing_is_known_adds_exactly_nothing(engine, setting):
    model, images = setting
    nothing = torch.full((6, 3), -1, dtype=torch.int8)
    norms, sums = engine(model, 0.5).norms_and_sum(images, nothing)
    assert norms.max() < 1e-12  # norms err upwards
    assert norm_of(sums) == 0.0


def test_a_picture_that_is_no_number_adds_nothing_also_where_its_findings_are_unknown(engine, setting):
    model, images = setting
    images[4] = math.nan  # nothing is known of it
    others = [0, 1, 2, 3, 5]
    gradients = engine(model, 0.5)
    assert distance(gradients.clipped_sum(images, LABELS), gradients.clipped_sum(images[others], LABELS[others])) < 1e-6
