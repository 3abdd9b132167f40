"""Public weights that are made to fit a plan's model: what the model computes, and what is told of it."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from datasites.training.models import build_model, initial_weights, load_weights, trainable_shapes
from datasites.training.models.public.pretrained import Normalisation, fit_weights
from datasites.training.pictures.data import to_tensor
from policies.errors import InputRefused
from policies.plans.training import ModelSpec

HALVES = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def pictures(height, width, channels=3):
    return np.random.default_rng(4).integers(0, 256, (2, height, width, channels), dtype=np.uint8)


def logits(spec, weights, images):
    model = build_model(spec)
    load_weights(model, weights)
    with torch.no_grad():
        return model(to_tensor(images))


def library_logits(model, images, normalisation):
    mean, std = (torch.tensor(v)[:, None, None] for v in (normalisation.mean, normalisation.std))
    with torch.no_grad():
        return model.eval()((torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std)


def scattered(model):
    """The model with every parameter away from its initial 0 or 1."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=0.05, std=0.05)
    return model


@pytest.mark.parametrize("normalisation", [HALVES, IMAGENET])
def test_a_public_vision_transformer_computes_the_same_on_the_same_bytes(normalisation):
    spec = ModelSpec("vit_small", (48, 48, 3), 5, {"depth": 2, "patch_size": 16})
    library = timm.create_model("vit_small_patch16_224", img_size=48, depth=2, num_classes=5)
    nn.init.normal_(library.cls_token)
    fitted = fit_weights(spec, library.state_dict(), normalisation=normalisation)
    images = pictures(48, 48)
    expected = library_logits(library, images, normalisation)
    assert torch.allclose(logits(spec, fitted.weights, images), expected, atol=1e-4)
    assert fitted.not_loaded == {} and fitted.not_used == ()
    assert fitted.changed == {"patches.weight": "scaled to this platform's pixels"}


def test_a_public_resnet_with_group_norm_computes_the_same_on_the_same_bytes():
    spec = ModelSpec("resnet18", (64, 64, 3), 5)
    library = scattered(torchvision.models.resnet18(num_classes=5, norm_layer=lambda c: nn.GroupNorm(32, c)))
    at_128 = Normalisation((128 / 255,) * 3, (0.2, 0.3, 0.25))  # where this platform's pixels are 0 as well
    fitted = fit_weights(spec, library.state_dict(), normalisation=at_128)
    images = pictures(64, 64)
    assert torch.allclose(logits(spec, fitted.weights, images), library_logits(library, images, at_128), atol=1e-3)
    assert fitted.changed == {"conv1.weight": "scaled to this platform's pixels; their mean has no place"}


def test_grey_pictures_see_what_a_public_model_sees_of_the_same_grey_in_colour():
    grey, colour = (ModelSpec("resnet18", (64, 64, channels), 5) for channels in (1, 3))
    public = {name: torch.from_numpy(value) for name, value in initial_weights(colour, 1).items()}
    images = pictures(64, 64, 1)
    fitted = fit_weights(grey, public)
    assert torch.allclose(
        logits(grey, fitted.weights, images),
        logits(colour, {n: v.numpy() for n, v in public.items()}, images.repeat(3, axis=3)),
        atol=1e-4,
    )
    assert fitted.changed == {"conv1.weight": "summed over 3 channels and spread over 1"}
    assert fitted.not_loaded == {}


@pytest.mark.parametrize(
    ("name", "library", "head"),
    [
        ("mobilenet_v3_small", torchvision.models.mobilenet_v3_small, "classifier.3"),
        ("mobilenet_v3_large", torchvision.models.mobilenet_v3_large, "classifier.3"),
        ("resnet18", torchvision.models.resnet18, "fc"),
        ("resnet50", lambda: timm.create_model("resnet50"), "fc"),
        ("efficientnet_lite0", lambda: timm.create_model("efficientnet_lite0"), "classifier"),
        ("vit_small", lambda: timm.create_model("vit_small_patch16_224"), "head"),
    ],
)
def test_all_but_the_head_of_a_librarys_own_weights_is_taken(name, library, head):
    spec, public = ModelSpec(name, (64, 64, 3), 7), library().state_dict()
    fitted = fit_weights(spec, public, seed=5)
    assert set(fitted.not_loaded) == {f"{head}.weight", f"{head}.bias"}
    drawn = initial_weights(spec, 5)
    assert {n: v.shape for n, v in fitted.weights.items()} == trainable_shapes(spec)
    assert all(np.array_equal(fitted.weights[n], drawn[n]) for n in fitted.not_loaded)
    assert all("running_" in n or n.endswith("num_batches_tracked") for n in fitted.not_used)
    for parameter in fitted.weights:
        original = parameter.replace(".norm.", ".")
        if original in public and parameter not in fitted.changed and parameter not in fitted.not_loaded:
            assert np.array_equal(fitted.weights[parameter], public[original].numpy()), parameter


def test_batch_norms_weight_and_bias_become_group_norms():
    public = torchvision.models.resnet18().state_dict()
    public["layer2.0.bn1.weight"] = torch.arange(128.0)
    fitted = fit_weights(ModelSpec("resnet18", (64, 64, 3), 2), public)
    assert fitted.weights["layer2.0.bn1.weight"].tolist() == list(range(128))
    assert "layer2.0.bn1.running_mean" in fitted.not_used


def test_positions_and_patches_are_resized_and_the_class_token_stays():
    public = timm.create_model("vit_small_patch16_224", depth=1).state_dict()
    nn.init.normal_(public["cls_token"])
    public["pos_embed"][:, 1:] = 0.25
    fitted = fit_weights(ModelSpec("vit_small", (28, 40, 1), 2, {"depth": 1}), public)
    table = fitted.weights["positions.weight"]  # patches of 8 pixels: 4 x 5
    assert table.shape == (21, 384) and np.allclose(table[1:], 0.25, atol=1e-5)
    assert np.allclose(table[0], (public["cls_token"] + public["pos_embed"][:, :1]).flatten())
    assert fitted.changed["positions.weight"] == "resized from 14 x 14 to 4 x 5 positions"
    assert "patches resized from (16, 16) to (8, 8) pixels" in fitted.changed["patches.weight"]


def test_a_small_stem_of_another_kernel_starts_at_random_and_says_so():
    fitted = fit_weights(ModelSpec("resnet18", (28, 28, 3), 1000), torchvision.models.resnet18().state_dict())
    assert set(fitted.not_loaded) == {"conv1.weight"}
    assert "(7, 7) instead of (3, 3)" in fitted.not_loaded["conv1.weight"]


def test_the_platforms_own_weights_come_back_as_they_were():
    for spec in (ModelSpec("small_cnn", (28, 28, 1), 4), ModelSpec("efficientnet_lite0", (28, 28, 1), 4)):
        own = initial_weights(spec, 1)
        fitted = fit_weights(spec, {name: torch.from_numpy(value) for name, value in own.items()}, seed=2)
        assert all(np.array_equal(fitted.weights[name], own[name]) for name in own)
        assert (fitted.changed, fitted.not_loaded, fitted.not_used) == ({}, {}, ())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: {}, "got none"),
        (lambda p: {**p, "layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}, "shape"),
        (lambda p: {**p, "bn1.bias": torch.full((64,), float("nan"))}, "not finite"),
    ],
)
def test_weights_that_are_no_resnets_are_refused(change, said):
    public = change(torchvision.models.resnet18().state_dict())
    with pytest.raises(InputRefused, match=said):
        fit_weights(ModelSpec("resnet18", (64, 64, 3), 2), public)


def test_a_normalisation_of_other_channels_is_refused():
    public = torchvision.models.resnet18().state_dict()
    with pytest.raises(InputRefused, match="3 channels"):
        fit_weights(ModelSpec("resnet18", (64, 64, 3), 2), public, normalisation=Normalisation((0.5,), (0.5,)))


def test_weights_of_which_nothing_fits_are_refused():
    public = {"head.weight": torch.zeros(3, 4), "head.bias": torch.zeros(3)}
    with pytest.raises(InputRefused, match="Nothing"):
        fit_weights(ModelSpec("linear", (4, 4, 1), 2), public)


def test_a_model_of_pictures_and_reports_takes_its_picture_encoders_public_weights():
    form = {"text_length": 4, "vocabulary": 20, "tokeniser": "hashed_words_1"}
    spec = ModelSpec("image_text", (64, 64, 1), 3, {**form, "picture_encoder": "resnet18"})
    public = torchvision.models.resnet18().state_dict()
    alone = fit_weights(ModelSpec("resnet18", (64, 64, 1), 3), public, normalisation=IMAGENET)
    fitted = fit_weights(spec, public, seed=5, normalisation=IMAGENET)
    drawn = initial_weights(spec, 5)
    assert {n: v.shape for n, v in fitted.weights.items()} == trainable_shapes(spec)
    assert np.array_equal(fitted.weights["picture.conv1.weight"], alone.weights["conv1.weight"])
    assert fitted.changed == {"picture.conv1.weight": alone.changed["conv1.weight"]}
    own = {name for name in drawn if not name.startswith("picture.")}
    assert set(fitted.not_loaded) == own and "text.words.weight" in own
    assert all(np.array_equal(fitted.weights[name], drawn[name]) for name in own)
    assert all(np.array_equal(fitted.weights[f"picture.{n}"], v) for n, v in alone.weights.items() if "fc." not in n)
    assert {"fc.weight", "fc.bias"} <= set(fitted.not_used)


def test_a_global_model_of_pictures_and_reports_is_taken_whole():
    form = {"text_length": 4, "vocabulary": 20, "tokeniser": "hashed_words_1"}
    spec = ModelSpec("image_text", (16, 16, 1), 3, {**form, "width": 4})
    before = initial_weights(spec, 1)
    fitted = fit_weights(spec, {name: torch.from_numpy(value) for name, value in before.items()}, seed=2)
    assert all(np.array_equal(fitted.weights[name], value) for name, value in before.items())
    assert fitted.not_loaded == {} and fitted.not_used == ()


def test_public_weights_of_another_network_than_the_picture_encoder_are_refused():
    form = {"text_length": 4, "vocabulary": 20, "tokeniser": "hashed_words_1"}
    spec = ModelSpec("image_text", (64, 64, 3), 3, {**form, "picture_encoder": "resnet18"})
    with pytest.raises(InputRefused):
        fit_weights(spec, torchvision.models.mobilenet_v3_small().state_dict())
