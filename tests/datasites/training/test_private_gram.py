"""Gram matrices of private features: exact sums of bounded rows inside, and outside nothing without its noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.training.jobs import run_round
from datasites.training.models import build_model
from datasites.training.pictures.data import LabelledPictures, to_tensor
from datasites.training.randomness import gaussian
from datasites.training.randomness.randomness import SecureRandom
from datasites.training.releases.private_gram import LONGEST, WHOLE, gram_privately, sum_grams, whole_rows
from policies.errors import InputRefused, PlanError, RoundRefused
from policies.plans.features import BACKBONES, FeatureSpec, width_of
from policies.plans.releases import MAX_GRAM_INPUTS, MAX_GRAM_NOISE, GramPlan, ReleaseSpec
from policies.plans.training import ModelSpec, RunSpec

SHAPE = (28, 28, 1)
SCATTERING = ModelSpec("scattering_linear", SHAPE, 3)
BACKBONE = ModelSpec("features", SHAPE, 3, FeatureSpec("vit_small_patch16_224", "a" * 64).options)
WIDTH = 384
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def plan(model=BACKBONE, noise=1e-4, **changes):
    return GramPlan("study", "dataset", model, ReleaseSpec(noise, 1e-5), **{"run": RunSpec(device="cpu"), **changes})


def drawn(count, *, units=None, seed=1, features=None):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    labels = generator.integers(0, 3, count)
    if features is None:
        features = generator.standard_normal((count, WIDTH)).astype(np.float32)
    units = np.arange(count) if units is None else np.asarray(units)
    return LabelledPictures(images, labels, units, public_size=50, features=features)


def matrix(released):
    """The whole matrix that the released numbers are of."""
    size = len(released["squares"])
    found = np.diag(released["squares"].astype(np.float64))
    found[np.triu_indices(size, 1)] = released["products"]
    return np.triu(found, 1).T + found


def rows_of(features):
    rows = np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float64)
    root = math.sqrt(rows.shape[1])
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), root) * LONGEST


def farthest_neighbour(pictures):
    """The largest change in Frobenius norm of the un-noised matrix when any one unit is taken away."""
    whole = matrix(sum_grams(plan(), pictures))
    changes = []
    for left_out in range(pictures.num_units):
        kept = pictures.units != left_out
        rest = np.unique(pictures.units[kept], return_inverse=True)[1]
        others = LabelledPictures(
            pictures.images[kept], pictures.labels[kept], rest, 50, features=pictures.features[kept]
        )
        changes.append(np.linalg.norm(whole - matrix(sum_grams(plan(), others))))
    return max(changes)


# --- what is summed ---


def test_with_almost_no_noise_it_is_the_gram_matrix_of_rows_of_length_one():
    pictures = drawn(40)
    rows = rows_of(pictures.features)
    released = gram_privately(plan(), pictures)
    assert {name: array.shape for name, array in released.items()} == plan().outputs
    assert matrix(released) == pytest.approx(rows.T @ rows, abs=2e-3)


def test_three_features_that_a_reader_checks_by_hand():
    # (3, 0, 0) and the bias's 1 are of length sqrt(10), more than sqrt(4): the row is (3, 0, 0, 1) / sqrt(10).
    row = whole_rows(np.array([[3, 0, 0]], np.float32), np.array([1]))[0] / (WHOLE * LONGEST)
    assert row == pytest.approx([3 / math.sqrt(10), 0, 0, 1 / math.sqrt(10)], abs=2 / WHOLE)
    # (1, 0, 0) is shorter than sqrt(4): the row is (1, 0, 0, 1) / 2. One of a patient's four is half of that.
    row = whole_rows(np.array([[1, 0, 0]], np.float32), np.array([4]))[0] / (WHOLE * LONGEST)
    assert row == pytest.approx([1 / 4, 0, 0, 1 / 4], abs=2 / WHOLE)


def test_scattering_features_are_those_that_the_head_reads():
    pictures = drawn(6)
    features = build_model(SCATTERING).get_submodule("features")(to_tensor(pictures.images)).numpy()
    assert width_of(SCATTERING) == features.shape[1]
    assert width_of(ModelSpec("scattering_linear", (32, 32, 3), 2)) == 3 * features.shape[1]
    rows = rows_of(features)
    assert matrix(sum_grams(plan(SCATTERING), pictures)) == pytest.approx(rows.T @ rows, abs=1e-3)


@pytest.mark.parametrize("batch", [1, 5, 64, 4096])
def test_the_size_of_batches_changes_next_to_nothing(batch):
    pictures = drawn(20)
    found = sum_grams(plan(SCATTERING, run=RunSpec("cpu", batch)), pictures)
    whole = sum_grams(plan(SCATTERING), pictures)
    assert np.linalg.norm(matrix(found) - matrix(whole)) < 1e-3


def test_labels_change_nothing():
    pictures = drawn(9)
    other = LabelledPictures(
        pictures.images, pictures.labels[::-1].copy(), pictures.units, 50, features=pictures.features
    )
    assert all(
        np.array_equal(sum_grams(plan(), pictures)[name], sum_grams(plan(), other)[name]) for name in plan().outputs
    )


# --- what a unit can change ---


@given(
    st.lists(FINITE | st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1, max_size=12), st.integers(1, 10**6)
)
@settings(max_examples=300, deadline=None)
def test_no_row_is_longer_than_its_share_whatever_the_features(features, together):
    row = whole_rows(np.array([features], np.float32), np.array([together]))[0]
    assert sum(int(number) ** 2 for number in row) * together <= (LONGEST * WHOLE) ** 2


def test_rows_of_all_sizes_of_features_use_their_room():
    for scale in (1e-45, 1e-20, 1.0, 1e10, 3e38):
        rows = whole_rows(np.full((1, WIDTH), scale, np.float32), np.array([1])).astype(np.float64)
        assert np.linalg.norm(rows) <= LONGEST * WHOLE
    assert np.linalg.norm(rows) > 0.999 * LONGEST * WHOLE


@pytest.mark.parametrize("scale", [1.0, 1e30])
def test_one_patient_more_moves_the_matrix_by_less_than_the_sensitivity(scale):
    features = (scale * np.random.default_rng(2).standard_normal((12, WIDTH))).astype(np.float32)
    pictures = drawn(12, units=[0, 0, 0, 0, 0, 1, 1, 2, 3, 3, 4, 5], features=features)
    assert 0.9 < farthest_neighbour(pictures) <= plan().sensitivity


def test_features_that_are_not_finite_add_nothing_and_hide_nobody_else():
    features = np.random.default_rng(3).standard_normal((4, WIDTH)).astype(np.float32)
    broken = features.copy()
    broken[1, 5], broken[2, :] = np.nan, np.inf
    kept = drawn(2, features=features[[0, 3]])
    expected = sum_grams(plan(), kept)
    found = sum_grams(plan(), drawn(4, features=broken))
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    released = gram_privately(plan(noise=1.0), drawn(1, features=broken[1:2]))
    assert all(np.isfinite(array).all() for array in released.values())


def test_a_patients_pictures_count_as_their_mean():
    features = np.random.default_rng(4).standard_normal((3, WIDTH)).astype(np.float32)
    one_patient = sum_grams(plan(), drawn(3, units=[0, 0, 0], features=features))
    three = sum_grams(plan(), drawn(3, features=features))
    assert matrix(one_patient) == pytest.approx(matrix(three) / 3, abs=1e-4)


def test_rounding_to_the_noises_lattice_stays_in_the_room_that_rows_leave():
    numbers = MAX_GRAM_INPUTS * (MAX_GRAM_INPUTS + 1) / 2
    assert LONGEST**2 + math.sqrt(2 * numbers) * gaussian.step_of(MAX_GRAM_NOISE) < 1
    assert max(BACKBONES.values()) < MAX_GRAM_INPUTS


# --- the noise ---


def test_squares_carry_the_noise_and_products_the_root_of_two_less():
    pictures = drawn(3)
    exact, noise = sum_grams(plan(), pictures), 5.0
    released = gram_privately(plan(noise=noise), pictures, random=SecureRandom.for_tests(7))
    above = released["products"] - exact["products"]
    assert np.std(above) == pytest.approx(noise / math.sqrt(2), rel=4 / math.sqrt(2 * len(above)))
    beside = np.concatenate(
        [
            gram_privately(plan(noise=noise), pictures, random=SecureRandom.for_tests(seed))["squares"]
            - exact["squares"]
            for seed in range(20)
        ]
    )
    assert np.std(beside) == pytest.approx(noise, rel=4 / math.sqrt(2 * len(beside)))


def test_each_release_has_noise_of_its_own():
    pictures = drawn(3)
    first, second = (gram_privately(plan(noise=1.0), pictures) for _ in range(2))
    assert not np.isin(first["squares"], second["squares"]).any()


def test_progress_is_told_in_quarters_whatever_the_number_of_pictures():
    told = []
    for count in (1, 7, 300):
        gram_privately(plan(), drawn(count), progress=lambda done, total: told.append((done, total)))
    assert told == 3 * [(1, 4), (2, 4), (3, 4), (4, 4)]


# --- what is refused ---


def test_the_run_takes_no_weights_and_only_its_round():
    pictures = drawn(3)
    assert set(run_round(plan(), 0, {}, pictures)) == {"squares", "products"}
    with pytest.raises(InputRefused, match="take no weights"):
        run_round(plan(), 0, {"head.weight": np.zeros((3, WIDTH), np.float32)}, pictures)
    with pytest.raises(RoundRefused):
        run_round(plan(), 1, {}, pictures)


def test_features_that_are_not_there_and_other_pictures_are_refused():
    pictures = drawn(3)
    without = LabelledPictures(pictures.images, pictures.labels, pictures.units, 50)
    with pytest.raises(PlanError, match="none came"):
        gram_privately(plan(), without)
    with pytest.raises(PlanError, match="image_shape"):
        gram_privately(plan(ModelSpec("scattering_linear", (32, 32, 1), 3)), pictures)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": ModelSpec("small_cnn", SHAPE, 3)}, "scattering_linear or features"),
        ({"rounds": 2}, "released once"),
        ({"noise": 1001.0}, "at most 1000"),
    ],
)
def test_a_plan_for_no_head_for_two_rounds_or_of_too_much_noise_is_refused(changes, says):
    with pytest.raises(PlanError, match=says):
        plan(**changes)
