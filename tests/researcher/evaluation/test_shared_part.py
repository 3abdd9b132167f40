"""What hospitals share is scored with a part that was fitted at home, on pictures that it was not fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from support.hospitals import CLASSES, draw_pictures

from datasites.training.models import initial_weights
from policies.errors import DataError
from policies.plans.server.local_part import local_names
from policies.plans.training import ModelSpec, PrivacySpec, ServerSpec, TrainingPlan
from researcher.evaluation import shared_part
from researcher.evaluation.evaluation import evaluate
from researcher.evaluation.hold_out import HoldOut
from researcher.evaluation.shared_part import evaluate_round, halves

SPEC = ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4})


def plan_of(strategy: str) -> TrainingPlan:
    server = ServerSpec(strategy)
    return TrainingPlan("study", "d", SPEC, 2, 1, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5), server=server)


def in_turn(pictures: int) -> HoldOut:
    """Pictures whose classes alternate: every second one alone would be of one class."""
    images, _ = draw_pictures(pictures, seed=1)
    return HoldOut(images, np.arange(pictures) % 2, CLASSES, places=tuple(map(str, range(pictures))))


def test_the_halves_have_each_class_and_share_no_picture() -> None:
    hold_out = in_turn(12)
    fitting, scoring = halves(hold_out)
    assert np.bincount(fitting.labels).tolist() == np.bincount(scoring.labels).tolist() == [3, 3]
    assert set(fitting.places) | set(scoring.places) == set(hold_out.places)
    assert not set(fitting.places) & set(scoring.places)
    for half in (fitting, scoring):
        assert (half.images == hold_out.images[list(map(int, half.places))]).all()


def test_no_patient_is_in_both_halves() -> None:
    images, labels = draw_pictures(30, seed=2)
    patients = tuple(f"patient {row % 7}" for row in range(30))
    fitting, scoring = halves(HoldOut(images, labels, CLASSES, patients=patients))
    assert fitting.patients and scoring.patients and not set(fitting.patients) & set(scoring.patients)
    assert len(fitting.patients) + len(scoring.patients) == 30


def test_findings_are_halved_too() -> None:
    images, _ = draw_pictures(9, seed=3)
    labels = np.zeros((9, 2), np.int8)
    labels[:4, 1] = -1
    fitting, scoring = halves(HoldOut(images, labels, ("a", "b")))
    assert sorted((len(fitting.images), len(scoring.images))) == [4, 5]


def test_one_patient_alone_is_too_few() -> None:
    images, labels = draw_pictures(3, seed=4)
    with pytest.raises(DataError, match="at least two patients"):
        halves(HoldOut(images, labels, CLASSES, patients=("one",) * 3))


def test_a_model_of_which_nothing_stays_is_scored_on_all_pictures() -> None:
    hold_out, weights = in_turn(20), initial_weights(SPEC, 0)
    assert evaluate_round(plan_of("fed_avg"), weights, hold_out) == evaluate(SPEC, weights, hold_out)


def test_a_round_is_scored_on_one_half_with_a_part_that_only_the_other_half_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, labels = draw_pictures(80, seed=99)
    hold_out, weights, plan = HoldOut(images, labels, CLASSES), initial_weights(SPEC, 0), plan_of("fed_per")
    seen = {}

    def scored(spec: ModelSpec, given: dict[str, np.ndarray], pictures: HoldOut) -> object:
        seen["weights"], seen["pictures"] = given, pictures
        return evaluate(spec, given, pictures)

    monkeypatch.setattr(shared_part, "evaluate", scored)
    scores = evaluate_round(plan, weights, hold_out)
    _, scoring = halves(hold_out)
    assert (seen["pictures"].images == scoring.images).all()
    assert sum(map(sum, scores.confusion)) == len(scoring.images)
    stays = local_names(plan, weights)
    assert {name for name in weights if (seen["weights"][name] != weights[name]).any()} == stays

    other = HoldOut(images.copy(), labels, CLASSES)
    rows = [row for row in range(80) if (images[row] == scoring.images).all(axis=(1, 2, 3)).any()]
    other.images[rows] = 0  # what is scored on says nothing of the part
    first = seen["weights"]
    evaluate_round(plan, weights, other)
    assert all(np.allclose(seen["weights"][name], first[name]) for name in first)
