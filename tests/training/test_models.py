"""The models that a plan can name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v3_small

from datasites.training.models import (
    MODELS,
    build_model,
    initial_weights,
    load_weights,
    read_weights,
    trainable_shapes,
)
from policies.errors import InputRefused, PlanError
from policies.plan import ModelSpec

SPECS = [
    ModelSpec("linear", (5, 7, 1), 3),
    ModelSpec("small_cnn", (32, 32, 3), 6),
    ModelSpec("small_cnn", (16, 24, 4), 2, {"activation": "relu", "width": 8}),
    ModelSpec("mobilenet_v3_small", (28, 28, 1), 2),
    ModelSpec("mobilenet_v3_small", (64, 32, 3), 9, {"width": 0.5}),
]
over_specs = pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.name}-{s.image_shape}")


def batch_for(spec, count):
    height, width, channels = spec.image_shape
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(1))


def test_every_model_is_tested_here():
    assert {spec.name for spec in SPECS} == set(MODELS)


@over_specs
def test_a_model_gives_one_logit_for_each_class(spec):
    assert build_model(spec)(batch_for(spec, 2)).shape == (2, spec.num_classes)


@over_specs
def test_no_model_keeps_statistics_or_mixes_pictures(spec):
    model = build_model(spec)
    assert list(model.buffers()) == []
    forbidden = (nn.modules.batchnorm._BatchNorm, nn.Dropout)
    assert not [m for m in model.modules() if isinstance(m, forbidden) or getattr(m, "inplace", False)]
    images = batch_for(spec, 3)
    together, alone = model(images)[:1], model(images[:1])
    assert torch.allclose(together, alone, atol=1e-5)


@over_specs
def test_declared_shapes_are_those_of_the_model(spec):
    built = {name: tuple(p.shape) for name, p in build_model(spec).named_parameters()}
    assert trainable_shapes(spec) == built


def test_the_mobilenet_computes_what_torchvisions_does():
    spec = ModelSpec("mobilenet_v3_small", (64, 64, 3), 5)
    ours = build_model(spec)
    reference = mobilenet_v3_small(num_classes=5, norm_layer=lambda channels: nn.GroupNorm(8, channels), dropout=0.0)
    reference.load_state_dict(ours.state_dict())
    images = batch_for(spec, 2)
    assert torch.allclose(ours(images), reference(images), atol=1e-6)


def test_the_small_cnn_is_small():
    count = sum(int(np.prod(s)) for s in trainable_shapes(ModelSpec("small_cnn", (32, 32, 3), 6)).values())
    # convolutions 448 + 4640 + 9248, norms 2 * (16 + 32 + 32), head (32 * 16 + 1) * 6
    assert count == 448 + 4640 + 9248 + 160 + 3078


def test_initial_weights_depend_on_the_seed_alone():
    spec = SPECS[1]
    torch.manual_seed(5)
    first = initial_weights(spec, 1)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1)), "the global generator was moved"
    second, other = initial_weights(spec, 1), initial_weights(spec, 2)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["head.weight"], other["head.weight"])


def test_weights_come_back_as_they_were_put_in():
    weights = initial_weights(SPECS[1], 1)
    model = build_model(SPECS[1])
    load_weights(model, weights)
    read = read_weights(model)
    assert set(read) == set(weights) and all(np.array_equal(read[n], weights[n]) for n in read)
    read["head.bias"][:] = 7
    assert not (read_weights(model)["head.bias"] == 7).any(), "a copy, not a view"


def without(weights, name):
    return {n: w for n, w in weights.items() if n != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: without(w, "head.bias"), "missing"),
        (lambda w: {**w, "head.extra": w["head.bias"]}, "unknown"),
        (lambda w: {**w, "head.bias": w["head.bias"][:1]}, "shape"),
        (lambda w: {**w, "head.bias": w["head.bias"].astype(np.float64)}, "float32"),
        (lambda w: {**w, "head.bias": w["head.bias"] * np.float32("nan")}, "finite"),
        (lambda w: {**w, "head.bias": w["head.bias"] + np.float32("inf")}, "finite"),
    ],
)
def test_weights_of_another_model_are_refused(change, said):
    weights = change(initial_weights(SPECS[1], 1))
    with pytest.raises(InputRefused, match=said):
        load_weights(build_model(SPECS[1]), weights)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (ModelSpec("resnet9000", (32, 32, 3), 2), "linear, mobilenet_v3_small, small_cnn"),
        (ModelSpec("small_cnn", (32, 32, 3), 2, {"depth": 4}), "activation, width"),
        (ModelSpec("small_cnn", (32, 32, 3), 2, {"activation": "sine"}), "tanh, relu"),
        (ModelSpec("small_cnn", (32, 32, 3), 2, {"width": 6}), "multiple of 4"),
        (ModelSpec("small_cnn", (32, 32, 3), 2, {"width": True}), "whole number"),
        (ModelSpec("small_cnn", (8, 32, 3), 2), "from 16 x 16 to 224 x 224"),
        (ModelSpec("mobilenet_v3_small", (27, 28, 3), 2), "from 28 x 28"),
        (ModelSpec("mobilenet_v3_small", (28, 28, 3), 2, {"width": 9.0}), "at most 2"),
        (ModelSpec("linear", (2, 2, 1), 2, {"bias": 1}), "true or false"),
    ],
)
def test_what_no_model_offers_is_refused_with_what_there_is(spec, said):
    for asked in (build_model, trainable_shapes, lambda s: initial_weights(s, 0)):
        with pytest.raises(PlanError, match=said):
            asked(spec)
