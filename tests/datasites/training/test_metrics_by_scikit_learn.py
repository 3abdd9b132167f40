"""Metrics agree with scikit-learn's to 1e-9: over random, tied, absent, imbalanced and single-class pictures."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn

from datasites.training import metrics
from datasites.training.ranking import Ranking, known

K = 5


def _drawn(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted classes."""
    rng = np.random.default_rng(seed)
    shares = {"imbalanced": [0.9, 0.06, 0.02, 0.01, 0.01], "absent": [0.5, 0.3, 0.2, 0.0, 0.0]}
    labels = rng.choice(K, 200, p=shares.get(kind, [0.2] * K))
    if kind == "single class":
        labels[:] = 2
    if kind == "one picture":
        labels = labels[:1]
    predicted = np.where(rng.random(len(labels)) < 0.6, labels, rng.integers(0, K, len(labels)))
    return labels, np.where(predicted == 4, 1, predicted) if kind == "never predicted" else predicted


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "kind", ["random", "imbalanced", "absent", "single class", "one picture", "never predicted"], ids=str
)
def test_what_a_confusion_matrix_tells_is_what_scikit_learn_tells(kind: str, seed: int) -> None:
    labels, predicted = _drawn(kind, seed)
    matrix = metrics.confusion_matrix(labels, predicted, K)
    same = {"rel": 0, "abs": 1e-9}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are absent
        precision, recall, f1, _ = sklearn.precision_recall_fscore_support(
            labels, predicted, labels=range(K), zero_division=0
        )
        balanced = sklearn.balanced_accuracy_score(labels, predicted)
        kappa = sklearn.cohen_kappa_score(labels, predicted)
        pictures = matrix.sum(axis=1)
        for mean, of in (("macro", pictures + matrix.sum(axis=0) > 0), ("weighted", pictures)):
            taken = sklearn.precision_recall_fscore_support(labels, predicted, average=mean, zero_division=0)
            own = [getattr(metrics, mean)(share, of) for share in _shares(matrix)]
            assert own == pytest.approx(taken[:3], **same), mean
    assert metrics.accuracy(matrix) == pytest.approx(sklearn.accuracy_score(labels, predicted), **same)
    assert metrics.balanced_accuracy(matrix) == pytest.approx(balanced, **same)
    assert metrics.cohen_kappa(matrix) == pytest.approx(kappa, nan_ok=True, **same)
    for own, theirs in zip(_shares(matrix), (precision, recall, f1), strict=True):
        assert np.nan_to_num(own) == pytest.approx(theirs, **same)


def _shares(matrix: np.ndarray) -> tuple[np.ndarray, ...]:
    return metrics.precision_per_class(matrix), metrics.recall_per_class(matrix), metrics.f1_per_class(matrix)


def test_a_class_that_is_absent_has_no_recall_and_one_never_predicted_no_precision() -> None:
    matrix = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 0]])
    assert np.isnan(metrics.recall_per_class(matrix)).tolist() == [False, True, False]
    assert np.isnan(metrics.precision_per_class(matrix)).tolist() == [False, False, True]
    assert metrics.balanced_accuracy(matrix) == 3 / 8
    empty = np.zeros((2, 2), int)
    weights = np.array([[2.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    weighed = metrics.confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2, weights)
    assert weighed.tolist() == [[[2.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [1.0, 0.0]]]
    assert metrics.accuracy(weighed).tolist() == [1.0, 0.0]
    assert np.isnan(metrics.balanced_accuracy(empty)) and np.isnan(metrics.cohen_kappa(empty))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["random", "tied", "constant", "imbalanced", "separated"])
def test_areas_under_curves_are_scikit_learns_also_where_pictures_weigh(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    present = rng.random(150) < (0.05 if kind == "imbalanced" else 0.4)
    present[:2] = True, False
    scores = {
        "tied": rng.integers(0, 4, 150) / 4,
        "constant": np.full(150, 0.3),
        "separated": present + rng.random(150),
    }.get(kind, rng.random(150))
    ranking, drawn = Ranking(present, scores), rng.integers(0, 4, (2, 150)).astype(float)
    for weights in (None, drawn):
        for row, told in enumerate([None] if weights is None else drawn):
            expected = sklearn.roc_auc_score(present, scores, sample_weight=told)
            assert ranking.weighed(weights).auroc()[row] == pytest.approx(expected, abs=1e-9)
            expected = sklearn.average_precision_score(present, scores, sample_weight=told)
            assert ranking.weighed(weights).average_precision()[row] == pytest.approx(expected, abs=1e-9)
            alarms, hits, _ = sklearn.roc_curve(present, scores, drop_intermediate=False, sample_weight=told)
            for specificity in (0.0, 0.5, 0.9, 1.0):
                best = hits[alarms <= 1 - specificity + 1e-12].max()
                assert ranking.weighed(weights).sensitivities_at([specificity])[0][row] == pytest.approx(best, abs=1e-9)
    alarms, hits, _ = sklearn.roc_curve(present, scores, drop_intermediate=False)
    assert ranking.roc() == pytest.approx(np.stack([alarms, hits], axis=1), abs=1e-9)


def test_weighing_a_picture_twice_is_having_it_twice() -> None:
    present, scores = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.4, 0.4])
    again = np.array([0, 0, 1, 2, 3, 3])
    weights = np.bincount(again)[None].astype(float)
    weighed = Ranking(present, scores).weighed(weights)
    repeated = Ranking(present[again], scores[again]).weighed()
    assert weighed.auroc() == pytest.approx(repeated.auroc())
    assert weighed.average_precision() == pytest.approx(repeated.average_precision())
    assert weighed.sensitivities_at([0.5])[0] == pytest.approx(repeated.sensitivities_at([0.5])[0])


@pytest.mark.parametrize("present", [[True, True], [False, False], []])
def test_nothing_is_said_of_an_order_without_pictures_of_both_kinds(present: list[bool]) -> None:
    ranking = Ranking(np.array(present, bool), np.linspace(0, 1, len(present)))
    once = ranking.weighed()
    assert known(once.auroc()) is None and known(once.sensitivities_at([0.9])[0]) is None
    assert (known(once.average_precision()) is None) == (not any(present))
    assert np.isfinite(ranking.roc()).all()
