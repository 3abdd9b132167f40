"""Scores of probabilities are scikit-learn's to 1e-9, for classes and findings, and weigh as repetition does."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn
from sklearn.preprocessing import label_binarize

from researcher.judgement.measures import measures_of
from researcher.judgement.reliability import BINS, Reliability, brier, fitted_temperature, scaled

SAME = {"rel": 0, "abs": 1e-9}


def _classes(seed: int, *, kinds: int = 4, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate(
        [np.arange(kinds), rng.choice(kinds, count - kinds, p=[0.7, *[0.3 / (kinds - 1)] * (kinds - 1)])]
    )
    probabilities = rng.dirichlet(np.ones(kinds), count).round(1) + np.eye(kinds)[labels] * 0.2
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kinds", [2, 4])
def test_scores_of_classes(kinds: int, seed: int) -> None:
    labels, probabilities = _classes(seed, kinds=kinds)
    found = {key: values[0] for key, values in measures_of(labels, probabilities).scores().items()}
    truth = np.eye(kinds, dtype=int)[labels]
    for mean in ("macro", "weighted"):
        assert found[f"{mean}_auroc", None] == pytest.approx(
            sklearn.roc_auc_score(truth, probabilities, average=mean), **SAME
        )
        expected = sklearn.average_precision_score(truth, probabilities, average=mean)
        assert found[f"{mean}_average_precision", None] == pytest.approx(expected, **SAME)
    given = probabilities[:, 1] if kinds == 2 else probabilities
    assert found["brier", None] == pytest.approx(sklearn.brier_score_loss(labels, given), **SAME)
    predicted = probabilities.argmax(axis=1)
    assert found["micro_f1", None] == pytest.approx(sklearn.f1_score(labels, predicted, average="micro"), **SAME)
    for place in range(kinds):
        (quiet, alarms), _ = sklearn.confusion_matrix(labels == place, predicted == place, labels=[False, True])
        assert found["specificity", place] == pytest.approx(quiet / (quiet + alarms), **SAME)


def test_an_absent_class_is_in_no_mean_of_areas() -> None:
    labels, probabilities = _classes(0)
    wider = np.hstack([probabilities * 0.5, np.zeros((len(labels), 1))])  # halved, so that ties stay ties
    with_absent, without = measures_of(labels, wider).scores(), measures_of(labels, probabilities).scores()
    for name in ("auroc", "average_precision", "recall", "precision", "f1"):
        assert np.isnan(with_absent[name, 4][0]), f"nothing can be said of {name}"
    told = measures_of(labels, np.hstack([probabilities * 0.5, np.ones((len(labels), 1))])).scores()
    assert told["f1", 4][0] == 0 and np.isnan(told["recall", 4][0]), "told, and never right"
    for name in ("macro_auroc", "macro_average_precision", "balanced_accuracy", "macro_f1"):
        assert with_absent[name, None] == pytest.approx(without[name, None], abs=1e-9), name


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_findings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random((90, 3)) < [0.5, 0.2, 0.05]).astype(np.int8)
    labels[:2] = [[1, 1, 1], [0, 0, 0]]
    shares = np.clip(rng.random((90, 3)).round(1) * 0.7 + 0.3 * labels, 0, 1)
    found = {key: values[0] for key, values in measures_of(labels, shares).scores().items()}
    told = (shares >= 0.5).astype(int)
    for mean in ("macro", "weighted", "micro"):
        expected = sklearn.precision_recall_fscore_support(labels, told, average=mean, zero_division=0)[:3]
        assert [found[f"{mean}_{name}", None] for name in ("precision", "recall", "f1")] == pytest.approx(
            expected, **SAME
        )
    assert found["macro_auroc", None] == pytest.approx(sklearn.roc_auc_score(labels, shares), **SAME)
    assert found["weighted_average_precision", None] == pytest.approx(
        sklearn.average_precision_score(labels, shares, average="weighted"), **SAME
    )
    for place in range(3):
        kappa = sklearn.cohen_kappa_score(labels[:, place], told[:, place])
        assert found["cohen_kappa", place] == pytest.approx(kappa, **SAME)
        assert found["brier", place] == pytest.approx(
            sklearn.brier_score_loss(labels[:, place], shares[:, place]), **SAME
        )


def test_what_nobody_knows_of_a_finding_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    labels, shares = rng.integers(0, 2, (40, 2)).astype(np.int8), rng.random((40, 2))
    unknown = np.vstack([labels, np.full((9, 2), -1, np.int8)])
    with_unknown = measures_of(unknown, np.vstack([shares, rng.random((9, 2))])).scores()
    for key, values in measures_of(labels, shares).scores().items():
        assert values == pytest.approx(with_unknown[key], nan_ok=True), key


@pytest.mark.parametrize("findings", [False, True])
def test_weighing_pictures_is_repeating_them_in_every_score(findings: bool) -> None:
    labels, probabilities = _classes(1, count=50)
    if findings:
        labels = label_binarize(labels, classes=range(4)).astype(np.int8)
        labels[::7, 1] = -1
    again = np.random.default_rng(5).integers(0, 50, 50)
    weights = np.bincount(again, minlength=50)[None].astype(float)
    repeated = measures_of(labels[again], probabilities[again]).scores()
    weighed = measures_of(labels, probabilities).scores(weights)
    for key, values in repeated.items():
        if key[0] != "adaptive_ece":  # whose bins are those of the pictures that there are
            assert weighed[key] == pytest.approx(values, nan_ok=True), key


def test_calibration_errors_are_distances_in_bins() -> None:
    said, so = np.array([0.95, 0.95, 0.95, 0.35]), np.array([True, True, False, False])
    found = Reliability(said, so)
    assert found.ece()[0] == pytest.approx(0.75 * abs(0.95 - 2 / 3) + 0.25 * 0.35)
    assert found.adaptive_ece()[0] == pytest.approx(found.ece()[0])  # equal probabilities are in one bin
    bins = found.bins()
    assert len(bins) == BINS and sum(one.count for one in bins) == 4
    assert (bins[-1].probability, bins[-1].share) == pytest.approx((0.95, 2 / 3)) and bins[0].share is None
    constant = Reliability(np.full(6, 0.5), np.array([True, False] * 3))
    assert constant.ece()[0] == constant.adaptive_ece()[0] == 0.0


def test_the_sum_of_squares_is_halved_for_two_classes_alone() -> None:
    assert brier(np.array([0]), np.array([[0.8, 0.2]]))[0] == pytest.approx(0.04)
    assert brier(np.array([0]), np.array([[0.8, 0.2, 0.0]]))[0] == pytest.approx(0.08)


@pytest.mark.parametrize("findings", [False, True])
def test_the_temperature_that_made_a_model_too_sure_is_found_again(findings: bool) -> None:
    rng = np.random.default_rng(0)
    if findings:
        true = rng.random((4000, 2))
        labels = (rng.random((4000, 2)) < true).astype(np.int8)
        labels[0, 0] = -1
    else:
        true = rng.dirichlet(np.ones(3), 4000)
        labels = (rng.random((4000, 1)) > np.cumsum(true, axis=1)).sum(axis=1)
    sure = scaled(true, 0.5, findings=findings)
    assert fitted_temperature(labels, sure) == pytest.approx(2.0, rel=0.08)
    assert scaled(sure, 2.0, findings=findings) == pytest.approx(true, abs=1e-6)
    assert (scaled(true, 7.0, findings=findings).argmax(axis=1) == true.argmax(axis=1)).all()


def test_probabilities_of_0_and_1_have_a_temperature() -> None:
    labels, certain = np.array([0, 1, 0, 1, 0]), np.eye(2)[[0, 1, 0, 1, 1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = fitted_temperature(labels, certain)
    assert 1 < value <= 20.001 and np.isfinite(scaled(certain, value, findings=False)).all()
