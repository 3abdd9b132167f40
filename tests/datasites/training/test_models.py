"""The models that a plan can name."""

from __future__ import annotations

import subprocess
import sys
from functools import cache, partial

import numpy as np
import pytest
import timm
import torch
import torchvision
from timm.layers import DropPath, LayerScale
from torch import nn

from datasites.training.models import (
    MODELS,
    build_model,
    build_undrawn,
    check_weights,
    initial_weights,
    load_weights,
    read_weights,
    trainable_shapes,
)
from datasites.training.models.layers import HalvingPool, PoolTo
from policies.errors import InputRefused, PlanError
from policies.plans.training import ModelSpec

SIZES = ((28, 1), (64, 3), (224, 3))  # pixels, channels
SPECS = [
    ModelSpec("linear", (5, 7, 1), 3),
    ModelSpec("small_cnn", (32, 32, 3), 6),
    ModelSpec("small_cnn", (16, 24, 4), 2, {"activation": "relu", "width": 8}),
    ModelSpec("mobilenet_v3_small", (64, 32, 3), 9, {"width": 0.5}),
    ModelSpec("vit_small", (33, 45, 2), 3, {"width": 64, "depth": 1}),
    ModelSpec("resnet18", (61, 129, 4), 3, {"width": 24}),
    ModelSpec("scattering_linear", (32, 32, 3), 6),
    ModelSpec("scattering_linear", (28, 40, 1), 2, {"size": 24}),
]
DEEP = ("efficientnet_lite0", "mobilenet_v3_large", "mobilenet_v3_small", "resnet18", "resnet50", "vit_small")
SPECS += [ModelSpec(name, (size, size, channels), 2) for name in DEEP for size, channels in SIZES]
over_specs = pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.name}-{s.image_shape}-{dict(s.options)}")


def batch_for(spec, count):
    height, width, channels = spec.image_shape
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(1))


def test_every_model_is_tested_here():
    assert {spec.name for spec in SPECS} == set(MODELS) - {"image_text", "features"}  # which have tests of their own


@cache
def built(number):
    """The model of `SPECS[number]`, which tests only read."""
    return build_model(SPECS[number])


@over_specs
def test_no_model_keeps_statistics_or_mixes_pictures_and_each_gives_one_logit_for_each_class(spec):
    model = built(SPECS.index(spec))
    assert list(model.buffers()) == []
    forbidden = (nn.modules.batchnorm._BatchNorm, nn.MultiheadAttention, DropPath, LayerScale)
    assert not [m for m in model.modules() if isinstance(m, forbidden) or getattr(m, "inplace", False)]
    assert not [m for m in model.modules() if isinstance(m, nn.Dropout) and m.p > 0]
    images = batch_for(spec, 3)
    with torch.no_grad():
        together, alone = model(images), model(images[:1])
    assert together.shape == (3, spec.num_classes)
    assert torch.allclose(together[:1], alone, atol=1e-5)


@over_specs
def test_a_model_computes_alike_whatever_lies_side_by_side_in_memory(spec):
    """Plain training on a processor gives it pictures with a pixel's channels side by side."""
    model, images = built(SPECS.index(spec)).train(), batch_for(spec, 2)
    with torch.no_grad():
        usual, beside = model(images), model(images.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(usual, beside, atol=1e-5)


@over_specs
def test_declared_shapes_are_those_of_the_model(spec):
    found = {name: tuple(p.shape) for name, p in built(SPECS.index(spec)).named_parameters()}
    assert trainable_shapes(spec) == found


def group_norm(groups):
    return lambda channels: nn.GroupNorm(groups, channels)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mobilenet_v3_large"])
def test_a_mobilenet_computes_what_torchvisions_does(name):
    spec = ModelSpec(name, (64, 64, 3), 5)
    ours = build_model(spec)
    reference = getattr(torchvision.models, name)(num_classes=5, norm_layer=group_norm(8), dropout=0.0)
    reference.load_state_dict(ours.state_dict())
    images = batch_for(spec, 2)
    assert torch.allclose(ours(images), reference(images), atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_resnet_computes_what_torchvisions_does(name):
    spec = ModelSpec(name, (64, 64, 3), 5)
    ours = build_model(spec)
    reference = getattr(torchvision.models, name)(num_classes=5, norm_layer=group_norm(32))
    reference.load_state_dict(ours.state_dict())
    images = batch_for(spec, 2)
    assert torch.allclose(ours(images), reference(images), atol=1e-5)


def test_the_efficientnet_computes_what_timms_does():
    spec = ModelSpec("efficientnet_lite0", (64, 64, 3), 5)
    ours = build_model(spec)
    reference = timm.create_model("efficientnet_lite0", num_classes=5, norm_layer=partial(nn.GroupNorm, num_groups=8))
    reference.load_state_dict({name.replace(".norm.", "."): value for name, value in ours.state_dict().items()})
    images = batch_for(spec, 2)
    assert torch.allclose(ours(images), reference(images), atol=1e-5)


def test_the_vision_transformer_computes_what_timms_does():
    spec = ModelSpec("vit_small", (64, 48, 3), 5)
    ours = build_model(spec)
    reference = timm.create_model("vit_small_patch16_224", num_classes=5, img_size=(64, 48), patch_size=8)
    state = {name.replace("patches.", "patch_embed.proj."): value for name, value in ours.state_dict().items()}
    table = state.pop("positions.weight")
    state |= {"cls_token": torch.full((1, 1, 384), 0.25), "pos_embed": table[None].clone()}
    state["pos_embed"][:, 0] -= 0.25
    reference.load_state_dict(state)
    images = batch_for(spec, 2)
    assert torch.allclose(ours(images), reference(images), atol=1e-5)


@pytest.mark.parametrize(
    ("image_shape", "patch_size", "patches"),
    [
        ((28, 28, 1), 4, 49),
        ((32, 32, 3), 4, 64),
        ((64, 64, 3), 8, 64),
        ((130, 30, 3), 16, 18),
        ((224, 224, 3), 16, 196),
    ],
)
def test_a_patchs_size_follows_from_the_pictures_longer_side(image_shape, patch_size, patches):
    shapes = trainable_shapes(ModelSpec("vit_small", image_shape, 2))
    assert shapes["patches.weight"][2:] == (patch_size, patch_size)
    assert shapes["positions.weight"] == (1 + patches, 384)


def test_a_plan_may_set_the_patchs_size():
    shapes = trainable_shapes(ModelSpec("vit_small", (28, 28, 1), 2, {"patch_size": 7}))
    assert shapes["patches.weight"] == (384, 1, 7, 7) and shapes["positions.weight"] == (17, 384)


def last_map_of(spec):
    """Height and width of the features that the last convolution gives."""
    model, seen = build_model(spec), []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, i, o: seen.append(tuple(o.shape[2:])))
    model(batch_for(spec, 1))
    return seen


@pytest.mark.parametrize("name", sorted(set(DEEP) - {"vit_small"}))
@pytest.mark.parametrize(("stem", "size", "side"), [("auto", 28, 2), ("standard", 28, 1), ("auto", 64, 2)])
def test_small_pictures_are_not_gone_before_the_last_layers(name, stem, size, side):
    if name.startswith("resnet") and (stem, size) == ("auto", 28):
        side = 4  # their small stem does without pooling as well
    assert last_map_of(ModelSpec(name, (size, size, 3), 2, {"stem": stem}))[-1] == (side, side)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("resnet18", 32),
        ("resnet50", 32),
        ("efficientnet_lite0", 8),
        ("mobilenet_v3_large", 8),
        ("mobilenet_v3_small", 8),
    ],
)
def test_the_libraries_widths_get_the_papers_groups(name, step):
    groups = {m.num_groups for m in build_model(ModelSpec(name, (64, 64, 3), 2)).modules() if hasattr(m, "num_groups")}
    assert groups == {step}


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


def test_weights_that_are_closed_to_writing_are_put_in_and_stay_their_owners():
    weights = initial_weights(SPECS[1], 1)
    for array in weights.values():
        array.flags.writeable = False
    model = build_undrawn(SPECS[1])
    load_weights(model, weights)
    for parameter in model.parameters():
        parameter.data.add_(1)
    again = initial_weights(SPECS[1], 1)
    assert all(np.array_equal(weights[name], again[name]) for name in again)
    assert all(np.array_equal(read, again[name] + 1) for name, read in read_weights(model).items())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 65_535, 65_536, -1])
def test_a_value_that_is_not_finite_is_found_wherever_it_lies(bad, at):
    spec = ModelSpec("linear", (64, 64, 3), 6)
    weights = initial_weights(spec, 1)
    name = max(weights, key=lambda one: weights[one].size)
    assert weights[name].size > 65_536
    weights[name].reshape(-1)[at] = bad
    with pytest.raises(InputRefused, match="not finite"):
        check_weights(build_undrawn(spec), weights)


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
        (
            ModelSpec("resnet9000", (32, 32, 3), 2),
            "efficientnet_lite0, features, image_text, linear",
        ),
        (ModelSpec("small_cnn", (32, 32, 3), 2, {"depth": 4}), "activation, width"),
        (ModelSpec("small_cnn", (32, 32, 3), 2, {"activation": "sine"}), "tanh, relu"),
        (ModelSpec("small_cnn", (32, 32, 3), 2, {"width": 6}), "multiple of 4"),
        (ModelSpec("small_cnn", (32, 32, 3), 2, {"width": True}), "whole number"),
        (ModelSpec("small_cnn", (8, 32, 3), 2), "from 16 x 16 to 224 x 224"),
        (ModelSpec("mobilenet_v3_small", (27, 28, 3), 2), "from 28 x 28"),
        (ModelSpec("mobilenet_v3_small", (28, 28, 3), 2, {"width": 9.0}), "at most 2"),
        (ModelSpec("linear", (2, 2, 1), 2, {"bias": 1}), "true or false"),
        (ModelSpec("resnet18", (27, 28, 3), 2), "from 28 x 28"),
        (ModelSpec("resnet50", (28, 28, 3), 2, {"width": 20}), "multiple of 8"),
        (ModelSpec("resnet50", (28, 28, 3), 2, {"stem": "tiny"}), "auto, standard, small"),
        (ModelSpec("vit_small", (28, 28, 3), 2, {"width": 100}), "multiple of 64"),
        (ModelSpec("vit_small", (28, 28, 3), 2, {"stem": "small"}), "depth, patch_size, width"),
        (ModelSpec("efficientnet_lite0", (513, 64, 3), 2), "to 512 x 512"),
    ],
)
def test_what_no_model_offers_is_refused_with_what_there_is(spec, said):
    for asked in (build_model, trainable_shapes, lambda s: initial_weights(s, 0)):
        with pytest.raises(PlanError, match=said):
            asked(spec)


def test_a_small_models_shapes_are_known_without_the_libraries_of_the_large_ones():
    program = """
import sys
from datasites.training.models import trainable_shapes
from policies.plans.training import ModelSpec
trainable_shapes(ModelSpec("small_cnn", (28, 28, 1), 2))
print(sorted({"timm", "torchvision", "huggingface_hub"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.name}-{spec.image_shape[0]}")
def test_a_model_built_undrawn_draws_nothing_and_is_the_same_once_it_has_its_weights(spec: ModelSpec) -> None:
    drawn, before = build_model(spec), torch.random.get_rng_state()
    undrawn = build_undrawn(spec)
    assert torch.equal(torch.random.get_rng_state(), before)
    load_weights(undrawn, read_weights(drawn))
    pictures = torch.rand(2, spec.image_shape[2], *spec.image_shape[:2])
    with torch.no_grad():
        assert torch.equal(undrawn.eval()(pictures), drawn.eval()(pictures))


@pytest.mark.parametrize("size", [(32, 32), (16, 8), (2, 6), (7, 8), (9, 9)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
def test_a_pool_of_two_by_two_has_torchs_bits_both_ways(size: tuple[int, int], order: torch.memory_format) -> None:
    torch.manual_seed(4)
    pictures = torch.randn(3, 5, *size).to(memory_format=order)
    pictures[1, 2, 0, 0], pictures[2, 1, 0, 1] = torch.nan, 3e38
    pictures.requires_grad_()
    quick, plain = HalvingPool()(pictures), nn.AvgPool2d(2)(pictures)
    takes_lines = order is torch.contiguous_format and not any(one % 2 for one in size)
    assert ("Halved" in quick.grad_fn.name()) == takes_lines
    assert torch.equal(quick.view(torch.int32), plain.view(torch.int32))
    gradient = torch.randn_like(plain)
    found, expected = (torch.autograd.grad(pool, pictures, gradient)[0] for pool in (quick, plain))
    assert torch.equal(found, expected)
    assert "Halved" not in HalvingPool().eval()(pictures).grad_fn.name()


@pytest.mark.parametrize("size", [(8, 8), (4, 4), (9, 8), (16, 16)])
def test_a_pool_to_a_size_has_torchs_bits_both_ways(size: tuple[int, int]) -> None:
    torch.manual_seed(5)
    pictures = torch.randn(3, 5, *size, requires_grad=True)
    quick, plain = PoolTo(4)(pictures), nn.AdaptiveAvgPool2d(4)(pictures)
    assert ("Adaptive" not in quick.grad_fn.name()) == (size == (8, 8))
    assert torch.equal(quick, plain)
    gradient = torch.randn_like(plain)
    found, expected = (torch.autograd.grad(pool, pictures, gradient)[0] for pool in (quick, plain))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_in_another_precision_both_pools_are_torchs(dtype: torch.dtype) -> None:
    pictures = torch.rand(2, 3, 8, 8).to(dtype).requires_grad_()
    assert "Halved" not in HalvingPool()(pictures).grad_fn.name()
    assert torch.equal(HalvingPool()(pictures), nn.functional.avg_pool2d(pictures, 2))
    assert "Adaptive" in PoolTo(4)(pictures).grad_fn.name()
