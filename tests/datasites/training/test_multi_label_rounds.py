"""Rounds on pictures with several findings: right by hand, bounded for each patient, refused where kinds differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from datasites.assets.drawn.findings import draw_patients
from datasites.training.dp_sgd.batch_shape import EMPTY
from datasites.training.dp_sgd.loader import Loader
from datasites.training.dp_sgd.self_check import made_up_batch
from datasites.training.evaluation import predict
from datasites.training.finding_metrics import macro_auroc, score_findings
from datasites.training.jobs import run_round
from datasites.training.local_round import train_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.privacy_audit.subject import Silent
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import DataError, PlanError
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

CPU = RunSpec("cpu", 8)
TWO = ModelSpec("linear", (1, 2, 1), 2, {"bias": False}, "multi")
ZERO = {"head.weight": np.zeros((2, 2), np.float32)}


def two_pixels(*rows, units=None, public_size=2):
    """Pictures of two pixels; each is (first byte, second byte, first finding, second finding)."""
    images = np.array([[[[a], [b]]] for a, b, _, _ in rows], np.uint8)
    labels = np.array([findings for _, _, *findings in rows], np.int8)
    return LabelledPictures(images, labels, np.arange(len(rows)) if units is None else units, public_size)


def plan(**changes):
    values = {"model": TWO, "sample_rate": 1.0, "learning_rate": 1.0, "run": CPU}
    return TrainingPlan("s", "d", **{"rounds": 1, "steps_per_round": 1, **values, **changes})


def test_a_step_without_privacy_is_that_of_the_loss_by_hand():
    # bytes 192 and 128 are 1 and 0; at weights 0 a known finding's gradient is (1/2 - label) / 2 on the first pixel
    pictures = two_pixels((192, 128, 1, 0), (192, 128, 1, -1))
    update = train_round(plan(), 0, ZERO, pictures)["head.weight"]
    assert update.tolist() == [[0.25, 0.0], [pytest.approx(-0.125), 0.0]]


@pytest.mark.parametrize("engine", ["book_keeping", "opacus"])
def test_each_patients_mean_gradient_is_clipped_once(engine):
    pictures = two_pixels((192, 128, 1, -1), (192, 128, 0, 0), (128, 192, 1, 1), units=np.array([0, 0, 1]))
    privacy = PrivacySpec(1.0, 1e-2, 1e-5, "patient")
    wanted = plan(privacy=privacy, pictures_per_patient=2, run=RunSpec("cpu", 8, engine=engine))
    update = train_round(wanted, 0, ZERO, pictures, random=Silent(SecureRandom.for_tests(1)))["head.weight"]
    # first patient: mean of (-1/4, 0) and (1/4, 1/4) on the first pixel; second: (-1/4, -1/4) on the second
    first, second = np.array([0.0, 0.125]), np.array([-0.25, -0.25])
    expected = np.stack([-vector / np.linalg.norm(vector) for vector in (first, second)], axis=1)
    assert update * 2 / 1e-2 == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("seed", range(6))
def test_one_patient_more_moves_an_update_by_at_most_the_bound(seed):
    """Without noise, with everybody and all of their random pictures drawn, the last patient left out."""
    spec = ModelSpec("small_cnn", (16, 16, 1), 4, {"width": 4}, "multi")
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(5), [1, 3, 3, 1, rng.integers(1, 6)])
    labels = rng.integers(-1, 2, (len(units), 4)).astype(np.int8)
    images = rng.integers(0, 256, (len(units), 16, 16, 1), dtype=np.uint8)
    weights = {name: 10 * values for name, values in initial_weights(spec, seed).items()}
    wanted = plan(model=spec, privacy=PrivacySpec(1.0, 0.3, 1e-5, "patient"), pictures_per_patient=3)

    def update(kept):
        pictures = LabelledPictures(images[kept], labels[kept], units[kept], 1)
        return train_round(wanted, 0, weights, pictures, random=Silent(SecureRandom.for_tests(seed)))

    everyone, without = update(units >= 0), update(units < 4)
    moved = np.sqrt(sum(float(np.square(everyone[name].astype(float) - without[name]).sum()) for name in everyone))
    assert moved <= 0.3 * (1 + 1e-6)


def test_pictures_of_which_nothing_is_known_leave_an_update_as_it_is_without_them():
    known = two_pixels((192, 128, 1, 0), public_size=3)
    unknown = two_pixels((192, 128, 1, 0), (200, 3, -1, -1), (9, 250, -1, -1), public_size=3)
    private = plan(privacy=PrivacySpec(1.0, 1e-2, 1e-5))
    found = [
        train_round(private, 0, ZERO, pictures, random=Silent(SecureRandom.for_tests(1)))["head.weight"]
        for pictures in (known, unknown)
    ]
    assert found[0].tolist() == found[1].tolist()


def test_every_place_of_a_batch_has_its_own_findings_in_each_view():
    pictures = two_pixels((10, 0, 1, -1), (20, 0, 0, 1), (30, 0, -1, 0))
    settings = {"augmentation": "flips", "augmentation_multiplicity": 2}
    load = Loader(plan(**settings), pictures, SecureRandom.for_tests(1), "cpu")
    (batch,) = load([np.array([[2], [EMPTY], [0]])])
    assert batch.labels.dtype == torch.int8
    assert batch.labels.tolist() == [[-1, 0], [0, 0], [1, -1]] * 2
    assert batch.counted.tolist() == [True, False, True]


def test_made_up_pictures_have_findings_of_every_kind_and_one_that_is_known():
    batch = made_up_batch(ModelSpec("linear", (4, 4, 1), 3, {}, "multi"), 40, 2, "cpu", number=0)
    assert batch.labels.shape == (80, 3) and batch.labels.dtype == torch.int8
    assert torch.equal(batch.labels[:40], batch.labels[40:])
    assert batch.labels.unique().tolist() == [-1, 0, 1]
    assert (batch.labels[:, 0] >= 0).all()


def test_private_training_learns_to_tell_drawn_findings():
    images, labels, owners = draw_patients(500, seed=3)
    spec = ModelSpec("linear", (16, 16, 1), 4, {}, "multi")
    private = plan(
        model=spec,
        steps_per_round=25,
        sample_rate=0.3,
        learning_rate=0.5,
        privacy=PrivacySpec(1.5, 1.0, 1e-5, "patient"),
        run=RunSpec("cpu", 200),
    )
    weights = initial_weights(spec, 0)
    update = run_round(private, 0, weights, LabelledPictures(images, labels, owners, 500))
    trained = {name: weights[name] + update[name] for name in weights}
    public, truth, _ = draw_patients(200, seed=9)
    found = macro_auroc(score_findings(truth, predict(spec, trained, public)))
    before = macro_auroc(score_findings(truth, predict(spec, weights, public)))
    assert found is not None and before is not None
    assert found > 0.85 > before


# --- what is refused ---


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((2, 2), np.int64),
        np.zeros((3, 2), np.int8),
        np.zeros((2, 1), np.int8),
        np.array([[0, 2], [0, 0]], np.int8),
        np.array([[0, -2], [0, 0]], np.int8),
        np.zeros((2, 2, 2), np.int8),
    ],
    ids=lambda labels: f"{labels.dtype}-{labels.shape}-{labels.flat[1]}",
)
def test_findings_that_are_none_are_refused(labels):
    with pytest.raises(DataError, match=r"[Ff]inding|one int64 of labels"):
        LabelledPictures(np.zeros((2, 1, 2, 1), np.uint8), labels, np.arange(2), 2)


CLASSES = replace(two_pixels((1, 2, 0, 0), (3, 4, 0, 0)), labels=np.array([0, 1]))
RELEASE = ReleaseSpec(10.0, 1e-5)


@pytest.mark.parametrize(
    ("wanted", "weights"),
    [
        (plan(), ZERO),
        (plan(privacy=PrivacySpec(1.0, 1.0, 1e-5)), ZERO),
        (EvaluationPlan("s", "d", TWO, 1, RELEASE, run=CPU), ZERO),
        (StatisticsPlan("s", "d", (1, 2, 1), 2, RELEASE, run=CPU, label_kind="multi"), {}),
    ],
    ids=["training", "private", "evaluation", "statistics"],
)
def test_a_plan_for_another_kind_of_labels_or_other_findings_is_refused_before_a_row_is_used(wanted, weights):
    with pytest.raises(PlanError, match="label_kind is 'multi', the dataset's labels are 'single'"):
        run_round(wanted, 0, weights, CLASSES)
    single = (
        replace(wanted, label_kind="single")
        if isinstance(wanted, StatisticsPlan)
        else replace(wanted, model=replace(TWO, label_kind="single"))
    )
    with pytest.raises(PlanError, match="label_kind is 'single', the dataset's labels are 'multi'"):
        run_round(single, 0, weights, two_pixels((1, 2, 0, 1), (3, 4, 0, -1)))
    three = replace(CLASSES, labels=np.zeros((2, 3), np.int8))
    with pytest.raises(PlanError, match="num_classes is 2, the dataset has 3 findings"):
        run_round(wanted, 0, weights, three)
