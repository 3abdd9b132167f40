"""One round at one hospital, on models of a few numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from datasites.training.dp_sgd.engine_contract import CLIP_MARGIN
from datasites.training.local_round import train_round
from datasites.training.models import initial_weights, trainable_shapes
from datasites.training.pictures.data import LabelledPictures
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import DataError, InputRefused, PlanError, RoundRefused
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

LINEAR = ModelSpec("linear", (1, 2, 1), 2, {"bias": False})
ZERO = {"head.weight": np.zeros((2, 2), np.float32)}
ALMOST_NO_NOISE = PrivacySpec(1e-9, 0.1, 1e-5)
CNN = ModelSpec("small_cnn", (16, 16, 3), 4, {"width": 4})


def plan(**changes):
    values = {
        "study": "study",
        "dataset": "dataset",
        "model": LINEAR,
        "rounds": 2,
        "steps_per_round": 1,
        "sample_rate": 1.0,
        "learning_rate": 0.5,
        "run": RunSpec(device="cpu"),
    }
    return TrainingPlan(**{**values, **changes})


def two_pixels(*pictures, public_size=1, units=None):
    """Pictures of two pixels; each is (first value, second value, class), values of the model, not bytes."""
    images = np.array([[[[128 + int(64 * a)], [128 + int(64 * b)]]] for a, b, _ in pictures], np.uint8)
    labels = np.array([label for *_, label in pictures])
    return LabelledPictures(images, labels, np.arange(len(pictures)) if units is None else units, public_size)


def drawn(count, seed=1, **changes):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    values = {
        "images": images,
        "labels": generator.integers(0, 4, count),
        "units": np.arange(count),
        "public_size": count,
    }
    return LabelledPictures(**{**values, **changes})


def random(seed=1):
    return SecureRandom.for_tests(seed)


def distance(first, second):
    return math.sqrt(sum(float(np.square(first[n].astype(float) - second[n]).sum()) for n in first))


# --- what a step is ---


def test_without_privacy_a_step_follows_the_mean_gradient():
    # At zero weights both classes have probability 1/2: picture (1, 0) of class 0 pulls by (-1/2, 1/2) on
    # pixel 1, picture (0, 1) of class 1 by (1/2, -1/2) on pixel 2; the mean halves both.
    update = train_round(plan(), 0, ZERO, two_pixels((1, 0, 0), (0, 1, 1), public_size=900))
    assert update["head.weight"].tolist() == [[0.125, -0.125], [-0.125, 0.125]]


def test_with_privacy_a_step_is_the_clipped_sum_over_the_public_batch():
    private = plan(privacy=ALMOST_NO_NOISE)
    update = train_round(private, 0, ZERO, two_pixels((1, 0, 0), (0, 1, 1), public_size=4), random=random())
    # Each raw gradient has norm 1 / sqrt(2), and is clipped to (nearly) 0.1; the step divides by q L = 4.
    each = 0.5 * 0.1 / math.sqrt(2) / 4
    assert update["head.weight"] == pytest.approx(np.array([[each, -each], [-each, each]]), rel=2 * CLIP_MARGIN)


def test_the_true_number_of_pictures_does_not_scale_a_private_step():
    private = plan(privacy=ALMOST_NO_NOISE)
    one = train_round(private, 0, ZERO, two_pixels((1, 0, 0), public_size=4), random=random())
    two = train_round(private, 0, ZERO, two_pixels((1, 0, 0), (0, 1, 1), public_size=4), random=random())
    assert one["head.weight"][:, 0] == pytest.approx(two["head.weight"][:, 0], rel=1e-5)


def test_a_patient_with_many_pictures_moves_a_step_no_further_than_one_picture():
    pictures = two_pixels(*[(1, 0, 0)] * 5, public_size=1, units=np.zeros(5, np.int64))
    patient = plan(privacy=replace(ALMOST_NO_NOISE, unit="patient"), learning_rate=1.0)
    update = train_round(patient, 0, ZERO, pictures, random=random())
    assert 0.099 < np.linalg.norm(update["head.weight"]) <= 0.1


@pytest.mark.parametrize("engine", ["book_keeping", "opacus"])
def test_several_pictures_of_a_patient_are_averaged_before_they_are_clipped(engine):
    # Each gradient has norm 1/sqrt(2) along its own pixel, so their mean is half as long in each of two directions.
    pictures = two_pixels((1, 0, 0), (0, 1, 1), public_size=1, units=np.zeros(2, np.int64))
    settings = {"learning_rate": 1.0, "pictures_per_patient": 2, "run": RunSpec("cpu", engine=engine)}
    for bound, each in ((10.0, 0.25), (0.1, 0.05)):
        patient = plan(privacy=PrivacySpec(1e-9, bound, 1e-5, "patient"), **settings)
        update = train_round(patient, 0, ZERO, pictures, random=random())["head.weight"]
        assert update == pytest.approx(np.array([[each, -each], [-each, each]]), rel=2 * CLIP_MARGIN)


@pytest.mark.parametrize("pictures_per_patient", [1, 2, 5, 16])
def test_however_many_pictures_of_a_patient_are_looked_at_they_move_a_step_by_the_bound_at_most(pictures_per_patient):
    patients = drawn(12, units=np.array([0] * 7 + [1] * 4 + [2]), public_size=3)
    without = LabelledPictures(patients.images[:11], patients.labels[:11], patients.units[:11], 3)
    settings = {"learning_rate": 1.0, "pictures_per_patient": pictures_per_patient, "model": CNN}
    patient = plan(privacy=PrivacySpec(1e-9, 0.1, 1e-5, "patient"), **settings)
    weights = initial_weights(CNN, 1)
    alone = LabelledPictures(patients.images[11:], patients.labels[11:], np.zeros(1, np.int64), 3)
    nobody = {name: 0 * value for name, value in weights.items()}
    assert distance(train_round(patient, 0, weights, alone), nobody) <= 0.1 / 3 * 1.0001
    assert distance(train_round(patient, 0, weights, patients), nobody) <= 0.3 / 3 * 1.0001
    assert distance(train_round(patient, 0, weights, without), nobody) <= 0.2 / 3 * 1.0001


@pytest.mark.parametrize("seed", range(6))
def test_with_random_allocation_a_unit_moves_exactly_one_step_of_each_epoch(seed):
    two = {"sampling": "random_allocation", "sample_rate": 0.5, "steps_per_round": 4, "learning_rate": 1e-3}
    update = train_round(
        plan(**two, privacy=ALMOST_NO_NOISE), 0, ZERO, two_pixels((1.5, 0.5, 1), public_size=3), random=random(seed)
    )
    # Two epochs: twice the bound, over the batch that is expected; the bound is kept with a small margin.
    assert np.linalg.norm(update["head.weight"]) == pytest.approx(1e-3 * 2 * 0.1 / (0.5 * 3), rel=0.01)


def test_steps_on_empty_batches_are_taken_noised_and_counted():
    size = 64
    model = ModelSpec("linear", (size, size, 1), 2, {"bias": False})
    weights = {"head.weight": np.zeros((2, size * size), np.float32)}
    picture = LabelledPictures(np.full((1, size, size, 1), 128, np.uint8), np.array([0]), np.array([0]), public_size=5)
    told = []
    noise = PrivacySpec(noise_multiplier=3.0, max_grad_norm=0.5, delta=1e-5)
    empty = plan(model=model, sample_rate=1e-6, steps_per_round=4, rounds=1, learning_rate=1e-3, privacy=noise)
    update = train_round(empty, 0, weights, picture, random=random(), progress=lambda *numbers: told.append(numbers))
    spread = 1e-3 * math.sqrt(4) * 3.0 * 0.5 / (1e-6 * 5)
    moved = update["head.weight"].astype(float).ravel()
    assert abs(moved.std() / spread - 1) < 5 / math.sqrt(2 * moved.size)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_without_privacy_an_empty_batch_changes_nothing():
    update = train_round(plan(sample_rate=1e-9), 0, ZERO, two_pixels((1, 0, 0)), random=random())
    assert not update["head.weight"].any()


# --- noise that is there ---


def test_two_runs_of_the_same_round_share_no_noise_whatever_seeds_are_set():
    private, pictures = plan(privacy=PrivacySpec(1.0, 1.0, 1e-5)), two_pixels((1, 0, 0))
    updates = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)
        updates.append(train_round(private, 0, ZERO, pictures)["head.weight"])
    assert not (updates[0] == updates[1]).any()


def test_every_parameter_is_noised():
    noise = PrivacySpec(5.0, 1.0, 1e-5)
    quiet = plan(model=CNN, sample_rate=1e-9, learning_rate=1e-9, privacy=noise)
    update = train_round(quiet, 0, initial_weights(CNN, 1), drawn(3), random=random())
    assert all(np.count_nonzero(values) > 0.9 * values.size for values in update.values())


def test_weights_that_blow_every_gradient_up_give_finite_noise_alone():
    huge = {name: np.full_like(w, 3e38) for name, w in initial_weights(CNN, 1).items()}
    noise = PrivacySpec(1.0, 1.0, 1e-5)
    update = train_round(plan(model=CNN, privacy=noise), 0, huge, drawn(5), random=random())
    assert all(np.isfinite(values).all() for values in update.values())


# --- what leaves ---


@pytest.mark.parametrize("privacy", [None, PrivacySpec(1.0, 1.0, 1e-5)])
@pytest.mark.parametrize("model", [CNN, ModelSpec("mobilenet_v3_small", (28, 28, 3), 4, {"width": 0.5})])
def test_the_update_is_exactly_the_declared_parameters(capfd, model, privacy):
    height, width, _ = model.image_shape
    images = np.zeros((6, height, width, 3), np.uint8)
    settings = plan(model=model, privacy=privacy, sample_rate=0.5, steps_per_round=2)
    update = train_round(settings, 0, initial_weights(model, 1), drawn(6, images=images), random=random())
    assert {name: values.shape for name, values in update.items()} == trainable_shapes(model)
    assert {values.dtype for values in update.values()} == {np.dtype(np.float32)}
    assert capfd.readouterr() == ("", "")


def test_global_weights_and_pictures_are_left_as_they_were():
    weights, pictures = initial_weights(CNN, 1), drawn(4)
    copies = {n: w.copy() for n, w in weights.items()}, pictures.images.copy()
    noise = PrivacySpec(1.0, 1.0, 1e-5)
    train_round(plan(model=CNN, privacy=noise, augmentation="flips_and_turns"), 0, weights, pictures)
    assert all(np.array_equal(weights[n], copies[0][n]) for n in weights)
    assert np.array_equal(pictures.images, copies[1])


# --- the optimiser ---


def test_the_cosine_schedule_runs_over_the_whole_study():
    study = plan(rounds=4, steps_per_round=5, learning_rate=2.0, learning_rate_schedule="cosine")
    assert [study.learning_rate_at(step) for step in (0, 10)] == pytest.approx([2.0, 1.0])
    assert study.learning_rate_at(19) == pytest.approx(1 + math.cos(math.pi * 0.95))


def test_a_later_round_goes_on_where_the_schedule_was():
    study = plan(rounds=2, steps_per_round=1, learning_rate_schedule="cosine")
    first, second = (train_round(study, r, ZERO, two_pixels((1, 0, 0)))["head.weight"] for r in (0, 1))
    assert second == pytest.approx(first / 2)


def test_momentum_starts_at_zero_in_each_round():
    pictures = two_pixels((1, 0, 0))
    one_step = [train_round(plan(momentum=m), 1, ZERO, pictures)["head.weight"] for m in (0.0, 0.9)]
    assert np.array_equal(*one_step)
    two_steps = [train_round(plan(momentum=m, steps_per_round=2), 1, ZERO, pictures)["head.weight"] for m in (0.0, 0.9)]
    assert np.linalg.norm(two_steps[1]) > 1.2 * np.linalg.norm(two_steps[0])


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_without_privacy_several_steps_follow_each_its_own_gradient(momentum, weight_decay):
    """By hand, in float64: the gradients' memory is the same in each step, and what is kept of one is not the next."""
    values, classes = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, -1.0]]), np.array([0, 1, 1])
    weights, direction = np.zeros((2, 2)), np.zeros((2, 2))
    for _ in range(5):
        raised = np.exp(values @ weights.T)
        wrong = raised / raised.sum(axis=1, keepdims=True) - np.eye(2)[classes]
        direction = momentum * direction + wrong.T @ values / len(values) + weight_decay * weights
        weights = weights - 0.5 * direction
    pictures = two_pixels(*((*value, label) for value, label in zip(values, classes, strict=True)))
    settings = plan(steps_per_round=5, momentum=momentum, weight_decay=weight_decay)
    assert train_round(settings, 0, ZERO, pictures)["head.weight"] == pytest.approx(weights, rel=1e-5)


@pytest.mark.parametrize("privacy", [None, PrivacySpec(1e-9, 100.0, 1e-5)])
def test_the_proximal_term_pulls_towards_the_rounds_own_global_weights(privacy):
    pictures, start = two_pixels((1, 0, 0)), {"head.weight": np.ones((2, 2), np.float32)}

    def moved(mu, steps):
        settings = plan(proximal_mu=mu, steps_per_round=steps, privacy=privacy)
        return train_round(settings, 0, start, pictures, random=random())["head.weight"]

    assert moved(0.4, 1) == pytest.approx(moved(0.0, 1)), "the first step starts at the global weights"
    # The second step is pulled back by lr * mu times the first.
    assert moved(0.4, 2) == pytest.approx(moved(0.0, 2) - 0.5 * 0.4 * moved(0.0, 1), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("privacy", [None, PrivacySpec(0.5, 0.3, 1e-5)])
@pytest.mark.parametrize("augmentation", ["none", "flips_and_turns"])
def test_physical_batches_do_not_change_the_result(privacy, augmentation):
    updates, pictures = [], drawn(20)
    for size in (4, 64):
        settings = plan(
            model=CNN,
            sample_rate=0.6,
            steps_per_round=3,
            privacy=privacy,
            augmentation="none" if size == 4 else augmentation,
            run=RunSpec(device="cpu", physical_batch_size=size),
        )
        updates.append(train_round(settings, 0, initial_weights(CNN, 1), pictures, random=random()))
    same = distance(*updates) < 1e-4
    assert same == (augmentation == "none"), "augmentation must change something"


@pytest.mark.parametrize(
    ("engine", "precision"), [("book_keeping", "float32"), ("opacus", "float32"), ("book_keeping", "bfloat16")]
)
def test_engines_and_precisions_take_the_same_steps(engine, precision):
    privacy = PrivacySpec(1e-6, 0.3, 1e-5)
    usual, other = (
        train_round(
            plan(model=CNN, sample_rate=0.6, steps_per_round=3, privacy=privacy, run=run),
            0,
            initial_weights(CNN, 1),
            drawn(20),
            random=random(),
        )
        for run in (RunSpec("cpu"), RunSpec("cpu", engine=engine, precision=precision))
    )
    length = distance(usual, {name: 0 * value for name, value in usual.items()})
    assert distance(usual, other) < (1e-4 if precision == "float32" else 0.05) * length
    assert {value.dtype for value in other.values()} == {np.dtype(np.float32)}
    assert (distance(usual, other) == 0) == (engine == "book_keeping" and precision == "float32"), "something else ran"


@pytest.mark.parametrize("privacy", [None, PrivacySpec(1e-9, 0.05, 1e-5)])
def test_the_views_of_a_picture_are_averaged_before_anything_is_clipped(privacy):
    # The model is linear, so the mean gradient over the eight symmetries is that of the mean picture. Clipped after the
    # mean it has length C; the mean of clipped ones would be shorter.
    images = np.full((1, 4, 4, 1), 128, np.uint8)
    images[0, 0, 0], images[0, 0, 1], images[0, 1, 1] = 255, 200, 30
    model = ModelSpec("linear", (4, 4, 1), 2, {"bias": False})
    start = {"head.weight": np.zeros((2, 16), np.float32)}
    pictures = LabelledPictures(images, np.array([0]), np.arange(1), 1)
    many = plan(model=model, privacy=privacy, augmentation="flips_and_turns", augmentation_multiplicity=16)
    updates = [train_round(many, 0, start, pictures, random=random(seed))["head.weight"] for seed in range(200)]
    square = (images[0, :, :, 0] - 128.0) / 64
    views = [np.rot90(turned, k) for turned in (square, square.T) for k in range(4)]
    direction = np.mean(views, axis=0).ravel()
    length = 0.5 * 0.5 * direction if privacy is None else 0.5 * 0.05 * direction / np.linalg.norm(direction) / 2**0.5
    got, sampling = np.mean(updates, axis=0), np.std(updates, axis=0).max() / 200**0.5
    assert got[0] == pytest.approx(-got[1], abs=1e-6)
    assert got[0] == pytest.approx(length, abs=0.02 * np.abs(length).max() + 4 * sampling)


def test_views_change_neither_how_many_pictures_count_nor_the_scale():
    start = initial_weights(CNN, 1)
    symmetric = drawn(6, images=np.repeat(np.arange(0, 240, 40, dtype=np.uint8), 16 * 16 * 3).reshape(6, 16, 16, 3))
    for privacy in (None, PrivacySpec(1e-9, 0.3, 1e-5)):
        one, four = (
            train_round(
                plan(model=CNN, privacy=privacy, augmentation="flips", augmentation_multiplicity=views),
                0,
                start,
                symmetric,
                random=random(),
            )
            for views in (1, 4)
        )
        assert distance(one, four) < 1e-4


def test_pictures_may_be_a_read_only_memory_map(tmp_path):
    np.save(tmp_path / "images.npy", drawn(6).images)
    mapped = drawn(6, images=np.load(tmp_path / "images.npy", mmap_mode="r"))
    weights, settings = initial_weights(CNN, 1), plan(model=CNN)
    expected = train_round(settings, 0, weights, drawn(6), random=random())
    assert distance(train_round(settings, 0, weights, mapped, random=random()), expected) == 0


def test_an_interrupted_round_leaves_nothing_for_the_next():
    private = plan(privacy=ALMOST_NO_NOISE, steps_per_round=3)
    pictures = two_pixels((1, 0, 0), (0, 1, 1))
    expected = train_round(private, 0, ZERO, pictures, random=random())

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_round(private, 0, ZERO, pictures, random=random(), progress=stop)
    assert distance(train_round(private, 0, ZERO, pictures, random=random()), expected) == 0


# --- what is refused ---


@pytest.mark.parametrize("round_index", [-1, 2])
def test_a_round_outside_the_plan_is_refused(round_index):
    with pytest.raises(RoundRefused, match="rounds 1 to 2"):
        train_round(plan(), round_index, ZERO, two_pixels((1, 0, 0)))


def test_weights_of_another_model_are_refused():
    with pytest.raises(InputRefused):
        train_round(plan(), 0, initial_weights(CNN, 1), two_pixels((1, 0, 0)))


def test_a_model_of_another_picture_size_is_refused():
    with pytest.raises(PlanError, match=r"\(16, 16, 3\)"):
        train_round(plan(), 0, ZERO, drawn(2))


def test_turns_of_pictures_that_are_not_square_are_refused():
    with pytest.raises(PlanError, match="square"):
        train_round(plan(augmentation="flips_and_turns"), 0, ZERO, two_pixels((1, 0, 0)))


def test_a_class_beyond_the_model_is_refused_without_naming_it():
    with pytest.raises(DataError) as refused:
        train_round(plan(), 0, ZERO, two_pixels((1, 0, 0), (1, 0, 777)))
    assert "777" not in str(refused.value) + refused.value.private
