"""The contract of every engine: sums of clipped gradients that no single picture can move by more than the bound."""

from __future__ import annotations

import copy
from functools import cache
from itertools import pairwise

import pytest
import torch
from opacus import GradSampleModule
from support.clipping_oracle import clipped, distance, each_alone, norm_of, one_by_one
from torch import nn

from datasites.training.dp_sgd.engine_contract import CLIP_MARGIN
from datasites.training.engines import ENGINES
from datasites.training.models import build_model
from policies.plans.training import ModelSpec

SAME = 3e-6  # relative, in float64 models: engines take norms over a million values in float32


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request):
    return ENGINES[request.param]


def grouped():
    """Convolutions with groups, strides, dilation and padding that no model here combines."""
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, stride=2, padding=1, groups=2),
        nn.GroupNorm(2, 8),
        nn.ReLU(),
        nn.Conv2d(8, 8, (3, 1), groups=8, dilation=(2, 1), padding=(2, 0), bias=False),
        nn.Conv2d(8, 6, 1, groups=2),
        nn.Tanh(),
        nn.Conv2d(6, 6, 1),
        nn.Hardswish(),
        nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6, bias=False),
        nn.Flatten(),
        nn.Linear(6 * 4, 3),
    )


MODELS = {
    "linear": (lambda: build_model(ModelSpec("linear", (8, 8, 2), 3)), (2, 8, 8)),
    "small_cnn": (lambda: build_model(ModelSpec("small_cnn", (16, 16, 2), 3, {"width": 4})), (2, 16, 16)),
    "mobilenet": (
        lambda: build_model(ModelSpec("mobilenet_v3_small", (32, 32, 2), 3, {"width": 0.5, "stem": "standard"})),
        (2, 32, 32),
    ),
    "mobilenet_large": (
        lambda: build_model(ModelSpec("mobilenet_v3_large", (28, 28, 2), 3, {"width": 0.5})),
        (2, 28, 28),
    ),
    "efficientnet": (
        lambda: build_model(ModelSpec("efficientnet_lite0", (28, 28, 2), 3, {"width": 0.25})),
        (2, 28, 28),
    ),
    "resnet18": (lambda: build_model(ModelSpec("resnet18", (28, 28, 2), 3, {"width": 8})), (2, 28, 28)),
    "resnet50": (lambda: build_model(ModelSpec("resnet50", (28, 28, 2), 3, {"width": 8})), (2, 28, 28)),
    "vit": (
        lambda: build_model(ModelSpec("vit_small", (28, 30, 2), 3, {"width": 64, "depth": 2, "patch_size": 8})),
        (2, 28, 30),
    ),
    "scattering": (lambda: build_model(ModelSpec("scattering_linear", (20, 20, 2), 3, {"size": 24})), (2, 20, 20)),
    "grouped": (grouped, (2, 8, 8)),
}


# The costliest models, made of layers that others have too: with them what holds layer by layer is a slow test.
REPEATING = ("mobilenet", "mobilenet_large", "efficientnet", "resnet50")


def made(name):
    """A model and six labelled pictures."""
    build, shape = MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build(), torch.randn(6, *shape), torch.tensor([0, 1, 2, 0, 1, 2])


# Activations whose slope jumps, and smooth ones of about their form.
SMOOTH = {nn.ReLU: nn.Softplus, nn.ReLU6: nn.Softplus, nn.Hardswish: nn.SiLU, nn.Hardsigmoid: nn.Sigmoid}


def without_kinks(model):
    """The model with smooth activations in place of those whose slope jumps."""
    for module in list(model.modules()):
        for own, part in list(module.named_children()):
            if type(part) in SMOOTH:
                setattr(module, own, SMOOTH[type(part)]())
    return model


@cache
def exactly(name, views=1):
    """Each picture's gradient in float64 alone, by definition: the same for every engine and bound."""
    model, images, labels = made(name)
    return each_alone(model.double(), several(images.double(), views), labels, views)


def several(images, views):
    """Views of pictures: as they are, mirrored, and brighter."""
    return torch.cat([images, images.flip(2), 2 * images][:views])


@pytest.fixture(params=MODELS)
def each_name(request):
    """Each of the models."""
    return request.param


@pytest.fixture(params=[pytest.param(one, marks=[pytest.mark.slow] * (one in REPEATING)) for one in MODELS])
def name(request):
    """Models that have each kind of layer; the others where slow tests are run."""
    return request.param


@pytest.fixture
def setting(name):
    """The model of that name, and its pictures."""
    return made(name)


@pytest.fixture
def small():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        build, shape = MODELS["small_cnn"]
        return build(), torch.randn(6, *shape), torch.tensor([0, 1, 2, 0, 1, 2])


def trained_layers(name):
    """The kinds of layers with parameters, and for convolutions what their rules tell apart."""
    own = [layer for layer in made(name)[0].modules() if list(layer.parameters(recurse=False))]
    return {
        (
            type(layer),
            isinstance(layer, nn.Conv2d)
            and (layer.groups > 1, layer.kernel_size == (1, 1), layer.stride > (1, 1), layer.bias is None),
        )
        for layer in own
    }


def test_the_costliest_models_have_no_kind_of_layer_that_no_other_has(engine):
    of_others = set().union(*(trained_layers(name) for name in MODELS if name not in REPEATING))
    assert [name for name in REPEATING if trained_layers(name) - of_others] == []


@pytest.mark.parametrize("bound", [0.5, 1e6])
def test_the_sum_is_that_of_each_gradient_clipped_alone(engine, each_name, bound):
    model, images, labels = made(each_name)
    expected = clipped(exactly(each_name), bound)
    got = engine(model.double(), bound).clipped_sum(images.double(), labels)
    assert [g.shape for g in got] == [p.shape for p in model.parameters()]
    assert distance(got, expected) < SAME * norm_of(expected)


def test_one_picture_moves_the_sum_by_at_most_the_bound(engine, setting):
    model, images, labels = setting
    images = images * torch.tensor([1.0, 1e3, 1e-3, 1e6, 1.0, 30.0])[:, None, None, None]
    gradients = engine(model, 0.5)
    everyone = gradients.clipped_sum(images, labels)
    for i in range(len(images)):
        others = [j for j in range(len(images)) if j != i]
        without = gradients.clipped_sum(images[others], labels[others])
        assert distance(everyone, without) <= 0.5


def test_a_large_gradient_uses_nearly_all_of_the_bound(engine, small):
    model, images, labels = small
    alone = engine(model, 0.01).clipped_sum(images[:1], labels[:1])
    assert 0.01 * (1 - 2 * CLIP_MARGIN) < norm_of(alone) <= 0.01


def test_channels_last_pictures_give_the_same_sum(engine, setting, name):
    model, images, labels = setting[0].double(), setting[1].double(), setting[2]
    expected = clipped(exactly(name), 0.5)
    got = engine(model, 0.5).clipped_sum(images.to(memory_format=torch.channels_last), labels)
    assert distance(got, expected) < SAME * norm_of(expected)


def test_channels_last_pictures_give_the_same_sum_in_single_precision(engine, setting):
    """Where slopes do not jump: the formats round differently, so a number beside a kink may fall on either side."""
    model, images, labels = without_kinks(setting[0]), setting[1], setting[2]
    gradients = engine(model, 0.5)
    expected = gradients.clipped_sum(images, labels)
    got = gradients.clipped_sum(images.to(memory_format=torch.channels_last), labels)
    assert distance(got, expected) < 1e-5


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
def test_book_keeping_adds_nothing_to_what_single_precision_makes_of_kinks(setting, order):
    """Beside plain autograd through the same forward pass, in which each number is on the same side of each kink."""
    model, images, labels = setting[0], setting[1].to(memory_format=order), setting[2]
    got = ENGINES["book_keeping"](copy.deepcopy(model), 0.5).clipped_sum(images, labels)
    losses = nn.functional.cross_entropy(model(images), labels, reduction="none")
    parameters = list(model.parameters())
    plain = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses]
    assert distance(got, clipped(plain, 0.5)) < 2e-6
    for i in range(len(images)):
        others = [j for j in range(len(images)) if j != i]
        without = ENGINES["book_keeping"](copy.deepcopy(model), 0.5).clipped_sum(images[others], labels[others])
        assert distance(got, without) <= 0.5


def test_a_channels_last_model_gives_the_same_sum(engine, setting, name):
    model, images, labels = setting[0].double(), setting[1].double(), setting[2]
    expected = clipped(exactly(name), 0.5)
    model.to(memory_format=torch.channels_last)
    got = engine(model, 0.5).clipped_sum(images, labels)
    assert distance(got, expected) < SAME * norm_of(expected)


def test_half_precision_does_not_loosen_the_bound(engine, small):
    model, images, labels = small
    gradients = engine(model, 0.01)
    with torch.autocast("cpu", torch.bfloat16):
        sums = gradients.clipped_sum(images[:1], labels[:1])
    assert 0.009 < norm_of(sums) <= 0.01
    assert {s.dtype for s in sums} <= {torch.float64, torch.float32}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_a_picture_whose_gradient_is_not_finite_contributes_nothing(engine, setting, value):
    model, images, labels = setting
    gradients = engine(model, 0.5)
    expected = gradients.clipped_sum(images[1:], labels[1:])
    images[0] = value
    got = gradients.clipped_sum(images, labels)
    assert all(torch.isfinite(g).all() for g in got)
    alone = gradients.clipped_sum(images[:1], labels[:1])
    assert norm_of(alone) <= 0.5 and distance(got, expected) <= 0.5
    if value != 3e38:  # a finite picture may have a finite gradient, where a norm divides it away
        assert norm_of(alone) == 0 and distance(got, expected) < 1e-5


def test_a_pictures_views_are_averaged_before_they_are_clipped(engine, setting, name):
    model, images, labels = setting[0].double(), setting[1].double(), setting[2]
    expected = clipped(exactly(name, views=3), 0.5)
    got = engine(model, 0.5).clipped_sum(several(images, 3), labels)
    assert distance(got, expected) < SAME * norm_of(expected)


def test_no_pictures_give_zeros(engine, setting):
    model, images, labels = setting
    got = engine(model, 0.5).clipped_sum(images[:0], labels[:0])
    assert [g.shape for g in got] == [p.shape for p in model.parameters()]
    assert norm_of(got) == 0


def test_a_split_batch_gives_the_same_sum(engine, setting):
    """Into one picture, none, several, and one again."""
    model, images, labels = setting
    gradients = engine(model, 0.5)
    expected = gradients.clipped_sum(images, labels)
    parts = [gradients.clipped_sum(images[a:b], labels[a:b]) for a, b in pairwise([0, 1, 1, 5, 6])]
    got = [torch.stack(same).sum(0) for same in zip(*parts, strict=True)]
    assert distance(got, expected) < 1e-5


def test_single_precision_gives_lengths_and_sums_to_a_hundred_thousandth(engine, setting, name):
    model, images, labels = setting
    everyone, unclipped = exactly(name), engine(copy.deepcopy(model), 1e6)
    expected = clipped(everyone, 0.5)
    assert distance(engine(model, 0.5).clipped_sum(images, labels), expected) < 1e-5 * norm_of(expected)
    for i in range(len(images)):
        length = norm_of(clipped(everyone[i : i + 1], 1e6))
        alone = norm_of(unclipped.clipped_sum(images[i : i + 1], labels[i : i + 1]))
        assert alone == pytest.approx(length, rel=1e-5)


class Interrupted(Exception):
    pass


class Fuse(torch.autograd.Function):
    """Passes values on; its backward pass fails while `blown`."""

    blown = False

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        if Fuse.blown:
            raise Interrupted
        return gradient


class Fused(nn.Module):
    def forward(self, values):
        return Fuse.apply(values)


def test_a_batch_that_is_interrupted_half_way_leaves_nothing_behind(engine, monkeypatch):
    model = nn.Sequential(nn.Conv2d(2, 2, 3), Fused(), nn.Flatten(), nn.Linear(72, 3))
    images, labels = torch.randn(6, 2, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    expected = one_by_one(model, images[:2], labels[:2], 0.5)
    gradients = engine(model, 0.5)
    monkeypatch.setattr(Fuse, "blown", True)
    with pytest.raises(Interrupted):
        gradients.clipped_sum(images, labels)
    monkeypatch.setattr(Fuse, "blown", False)
    assert distance(gradients.clipped_sum(images[:2], labels[:2]), expected) < 1e-5


def test_no_raw_gradient_stays_on_the_model(engine, setting):
    model, images, labels = setting
    engine(model, 0.5).clipped_sum(images, labels)
    for parameter in model.parameters():
        assert parameter.grad is None
        assert getattr(parameter, "grad_sample", None) is None


def test_weights_are_read_and_not_changed(engine, setting):
    model, images, labels = setting
    before = [p.detach().clone() for p in model.parameters()]
    engine(model, 0.5).clipped_sum(images, labels)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_opacus_own_rules_are_left_as_they_are(engine, small):
    before = GradSampleModule.GRAD_SAMPLERS[nn.Conv2d]
    engine(small[0], 0.5)
    assert GradSampleModule.GRAD_SAMPLERS[nn.Conv2d] is before
    assert before.__module__.startswith("opacus")
