"""Frozen public backbones: what they say of a picture follows from it alone, and is what timm says."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from support.public_weights import resnet18_state

from datasites.training.models.public.backbone import bare_backbone, features_of, load_backbone
from policies.errors import InputRefused
from policies.plans.features import BACKBONES, FeatureSpec

SPEC = FeatureSpec("resnet18", "0" * 64, 32, "imagenet")


@pytest.fixture(scope="module")
def public():
    """Weights of a whole ResNet, with statistics that are not the initial ones."""
    state = resnet18_state()
    for name, value in state.items():
        if "running_mean" in name:
            value.normal_(generator=torch.Generator().manual_seed(2)).mul_(0.1)
    return state


def pictures(count, height=20, width=24, channels=3, seed=3):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def computed(network, images, spec=SPEC):
    found = np.full((len(images), spec.width), np.nan, dtype=np.float32)
    for rows, values in features_of(network, spec, images):
        found[rows] = values
    return found


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_backbone_gives_as_many_features_as_its_name_says(backbone):
    spec = FeatureSpec(backbone, "0" * 64, 64)
    network = bare_backbone(spec).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 64)).shape == (2, BACKBONES[backbone])
    head = network.pretrained_cfg["classifier"]
    assert not [name for name, _ in network.named_parameters() if name.startswith(head)]


def test_features_are_what_timm_computes_on_the_resized_and_normalised_picture(public):
    whole = timm.create_model("resnet18")
    whole.load_state_dict(public)
    whole.reset_classifier(0)
    images = pictures(3)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    bytes_first = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    resized = F.interpolate(bytes_first, (32, 32), mode="bilinear", antialias=True)
    with torch.inference_mode():
        expected = whole.eval()((resized / 255 - mean) / std)
    expected = (expected - expected.mean(1, keepdim=True)) / expected.std(1, keepdim=True, unbiased=False)
    got = computed(load_backbone(SPEC, public), images)
    assert np.allclose(got, expected.numpy(), atol=1e-3)


def test_a_picture_has_the_same_features_whatever_the_others_are(public):
    network = load_backbone(SPEC, public)
    mine = pictures(1, seed=9)
    alone = computed(network, mine)
    among = computed(network, np.concatenate([pictures(45, seed=4), mine, pictures(7, seed=5)]))
    assert np.array_equal(among[45], alone[0])


def test_grey_pictures_are_seen_as_equal_colours(public):
    network = load_backbone(SPEC, public)
    grey = pictures(2, channels=1)
    assert np.allclose(computed(network, grey), computed(network, grey.repeat(3, axis=3)), atol=1e-5)


def test_features_are_normalised_picture_by_picture(public):
    found = computed(load_backbone(SPEC, public), pictures(5))
    assert np.allclose(found.mean(axis=1), 0, atol=1e-5) and np.allclose(found.var(axis=1), 1, atol=1e-2)


def test_a_backbone_is_frozen_and_keeps_its_public_statistics(public):
    network = load_backbone(SPEC, public)
    computed(network, pictures(5))
    assert not network.training and not [p for p in network.parameters() if p.requires_grad]
    assert torch.equal(network.state_dict()["bn1.running_mean"], public["bn1.running_mean"])


@pytest.mark.parametrize("change", ["missing", "unknown", "shape", "nan"])
def test_weights_of_another_network_are_refused(public, change):
    arrays = dict(public)
    if change == "missing":
        del arrays["layer1.0.conv1.weight"]
    elif change == "unknown":
        arrays["layer9.weight"] = torch.zeros(1)
    elif change == "shape":
        arrays["bn1.running_mean"] = torch.zeros(3)
    else:
        arrays["bn1.running_mean"] = torch.full((64,), torch.nan)
    with pytest.raises(InputRefused):
        load_backbone(SPEC, arrays)


def test_a_network_whose_features_are_not_finite_is_refused(public):
    network = load_backbone(SPEC, {**public, "bn1.weight": torch.full((64,), 1e38)})
    with pytest.raises(InputRefused, match="finite"):
        computed(network, pictures(2))


def test_a_vision_transformer_takes_whole_patches_only():
    with pytest.raises(InputRefused, match="whole patches"):
        bare_backbone(FeatureSpec("vit_small_patch16_224", "0" * 64, 40))
