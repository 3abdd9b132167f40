"""The scattering transform, against its definition in space, and what it must not see."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from datasites.training.models import build_model, trainable_shapes
from datasites.training.models.public.reference_pictures import reference_pictures
from datasites.training.models.scattering.transform import DIRECTIONS, RINGS, WIDTH, Scattering
from datasites.training.models.scattering.wavelets import morlet
from datasites.training.pictures.data import to_tensor
from policies.errors import PlanError
from policies.plans.training import ModelSpec

SIZE = 32
ANGLES = [math.pi * d / DIRECTIONS for d in range(DIRECTIONS)]
PLACES = {step: np.arange(SIZE // step) * step + (step - 1) / 2 for step in (1, 2, 4)}
HARMONICS = ((0, 0), (2, 1), (4, 2), (1, 0), (2, 0), (3, 0), (4, 0), (0, 1), (0, 2))
ORDER_ONE = 5 * RINGS  # where the first order begins
ORDER_TWO = ORDER_ONE + 3 * len(HARMONICS) * RINGS


@pytest.fixture(scope="module")
def picture():
    """A drawn picture, with everything in it off the middle."""
    return reference_pictures(3, SIZE)[2]


@pytest.fixture(scope="module")
def transformed(picture):
    return Scattering(SIZE, torch.device("cpu"))(picture[None])[0].numpy()


def wavelet_at(down, right, scale, angle):
    """The wavelet in space: a plane wave, less its mean, under a Gaussian twice as long across; periods summed."""
    wave, envelope = 0, 0
    for rows, columns in itertools.product((-1, 0, 1), repeat=2):
        y, x = down + SIZE * rows, right + SIZE * columns
        along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        bell = np.exp(-(along**2 + across**2 / 4) / (2 * (0.8 * 2**scale) ** 2))
        wave = wave + bell * np.exp(0.75j * math.pi / 2**scale * along)
        envelope = envelope + bell
    return wave, envelope


def filtered(values, scale, angle, *, spacing, step):
    """|values * wavelet| at every `step`-th place, one product for each pair of places."""
    inner, outer = PLACES[spacing], PLACES[step]
    lattice = wavelet_at(*np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"), scale, angle)
    mean = lattice[0].sum() / lattice[1].sum()
    apart, which = np.unique(outer[:, None] - inner[None, :], return_inverse=True)
    which = which.reshape(len(outer), len(inner))
    wave, envelope = wavelet_at(*np.meshgrid(apart, apart, indexing="ij"), scale, angle)
    found = (wave - mean * envelope) / (4 * math.pi * (0.8 * 2**scale) ** 2)
    kernel = found[which[:, None, :, None], which[None, :, None, :]]
    return abs((kernel * values).sum(axis=(2, 3))) * spacing**2


def ring_averages(values, step, m):
    """Means over triangular rings of values times e^(i m phi)."""
    found = []
    for ring in range(RINGS):
        total, weights = 0, 0
        for (i, down), (j, right) in itertools.product(enumerate(PLACES[step] - 15.5), enumerate(PLACES[step] - 15.5)):
            radius = math.hypot(down, right) / (SIZE / 2 / RINGS)
            weight = 1 if ring == 0 and radius < 0.5 else max(0, 1 - abs(radius - ring - 0.5))
            weights += weight
            total += weight * values[i, j] * np.exp(1j * m * math.atan2(down, right))
        found.append(total / weights)
    return np.array(found)


def test_a_wavelet_lets_no_constant_through_and_its_own_wave_whole():
    for scale, angle in itertools.product(range(3), ANGLES):
        transform = morlet(64, scale, angle)
        assert abs(transform[0, 0]) < 1e-12
        assert 0.9 < transform.max() < 1.1
    row, column = np.unravel_index(morlet(64, 0, 0).argmax(), (64, 64))
    assert (row, abs(column - 24) <= 1) == (0, True)  # 3/4 of the highest frequency, 32, along a row


def test_order_zero_is_the_pictures_own_rings(picture, transformed):
    for m in range(5):
        expected = ring_averages(picture.numpy(), 1, m)
        expected = expected.real if m == 0 else abs(expected)
        assert transformed[m * RINGS : (m + 1) * RINGS] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scale", [0, 1, 2])
def test_the_first_order_is_what_its_definition_in_space_gives(picture, transformed, scale):
    step = 2**scale
    maps = [filtered(picture.numpy(), scale, angle, spacing=1, step=step) for angle in ANGLES]
    for number, (m, k) in enumerate(HARMONICS):
        turned = [ring_averages(one, step, m) * np.exp(-2j * k * a) for one, a in zip(maps, ANGLES, strict=True)]
        joint = sum(turned) / DIRECTIONS
        expected = joint.real if m == 2 * k else abs(joint)
        begin = ORDER_ONE + (scale * len(HARMONICS) + number) * RINGS
        # scale 0 is exact; longer wavelets lose what lies outside their window of frequencies
        assert transformed[begin : begin + RINGS] == pytest.approx(expected, abs=1e-5 if scale == 0 else 2e-3)


def test_the_second_order_is_the_first_filtered_again(picture, transformed):
    first = [filtered(picture.numpy(), 1, angle, spacing=1, step=2) for angle in ANGLES]
    rings = {
        (i, j): ring_averages(filtered(first[i], 2, ANGLES[j], spacing=2, step=4), 4, 0).real
        for i, j in itertools.product(range(DIRECTIONS), repeat=2)
    }
    for apart in range(DIRECTIONS // 2 + 1):
        begin = ORDER_TWO + (2 * 5 + apart) * RINGS  # the third of three pairs of scales
        wanted = [one for (i, j), one in rings.items() if min((i - j) % 8, (j - i) % 8) == apart]
        assert transformed[begin : begin + RINGS] == pytest.approx(np.mean(wanted, axis=0), abs=5e-4)


def test_a_turned_or_mirrored_picture_has_the_same_features(picture, transformed):
    transform = Scattering(SIZE, torch.device("cpu"))
    for other in (picture.rot90(1), picture.rot90(2), picture.flip(0), picture.T):
        assert transform(other[None].contiguous())[0].numpy() == pytest.approx(transformed, abs=1e-5)


def test_an_ellipse_at_any_angle_has_the_same_features_and_a_circle_others():
    transform, axis = Scattering(SIZE, torch.device("cpu")), np.arange(SIZE) - 15.5
    down, right = np.meshgrid(axis, axis, indexing="ij")

    def ellipse(angle, length):
        along, across = right * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - right * np.sin(angle)
        return torch.from_numpy(1 / (1 + np.exp(np.hypot(along / length, across) - 7))).float()

    upright, turned, circle = transform(torch.stack([ellipse(0, 1.5), ellipse(0.4, 1.5), ellipse(0, 1.2)]))
    assert (turned - upright).norm() < 0.15 * (circle - upright).norm()


def test_brighter_light_changes_the_features_in_proportion(picture, transformed):
    brighter = Scattering(SIZE, torch.device("cpu"))(picture[None] * 1.5)[0].numpy()
    assert brighter == pytest.approx(1.5 * transformed, rel=1e-3, abs=1e-6)


def test_reference_pictures_are_the_same_each_time_and_are_no_constant():
    pictures = reference_pictures(5, 24)
    assert pictures.shape == (5, 24, 24)
    assert torch.equal(pictures, reference_pictures(5, 24))
    assert torch.equal(pictures[:3], reference_pictures(5, 24)[:3])
    assert 0 <= pictures.min() < pictures.max() <= 1
    assert (pictures.flatten(1).std(1) > 0.01).all()


def test_the_models_features_are_the_same_whatever_pictures_come_with_them():
    model = build_model(ModelSpec("scattering_linear", (32, 32, 3), 6))
    images = to_tensor(np.random.default_rng(1).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8))
    features = model.features(images)
    assert features.shape == (40, 3 * WIDTH)
    assert torch.allclose(features[17:18], model.features(images[17:18]), atol=1e-4)
    assert features.mean(1) == pytest.approx(torch.zeros(40), abs=1e-5)
    assert features.var(1, unbiased=False) == pytest.approx(torch.ones(40), abs=1e-3)


def test_a_blank_picture_and_a_wild_one_have_finite_features():
    model = build_model(ModelSpec("scattering_linear", (16, 16, 1), 2, {"size": 24}))
    wild = torch.tensor([0.0, 1e-9, 1e9])[:, None, None, None] * torch.ones(3, 1, 16, 16)
    assert torch.isfinite(model.features(wild)).all()
    assert model.features(wild).abs().max() < 100


def test_only_the_head_is_trained_and_starts_from_zero():
    spec = ModelSpec("scattering_linear", (32, 32, 3), 6)
    assert trainable_shapes(spec) == {"head.weight": (6, 705), "head.bias": (6,)}
    assert all((p == 0).all() for p in build_model(spec).parameters())


@pytest.mark.parametrize("size", [16, 36, 136, "32"])
def test_a_size_that_the_transform_does_not_take_is_refused(size):
    with pytest.raises(PlanError, match="size"):
        build_model(ModelSpec("scattering_linear", (32, 32, 3), 6, {"size": size}))
