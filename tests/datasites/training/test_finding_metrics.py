"""Metrics of findings: by hand, by counting pairs, and nothing where nothing can be said."""

from __future__ import annotations

import math

import numpy as np
import pytest

from datasites.training.finding_metrics import (
    macro_auroc,
    mean_of_known,
    right_share,
    score_findings,
)
from datasites.training.ranking import Ranking

LABELS = np.array([[1, 0], [0, -1], [1, 1], [0, 0], [-1, 0]], np.int8)
SHARES = np.array([[0.9, 0.5], [0.2, 0.9], [0.4, 0.6], [0.6, 0.1], [0.99, 0.2]])


def test_each_finding_is_scored_over_the_pictures_of_which_it_is_known():
    first, second = score_findings(LABELS, SHARES)
    # first: present at .9 and .4, absent at .2 and .6
    assert (first.known, first.present) == (4, 2)
    assert first.auroc == 3 / 4
    assert first.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert (first.sensitivity, first.specificity, first.f1) == (1 / 2, 1 / 2, 1 / 2)
    # second: present at .6, absent at .5, .1, .2; a probability of .5 is told
    assert (second.known, second.present) == (4, 1)
    assert (second.auroc, second.average_precision) == (1.0, 1.0)
    assert (second.sensitivity, second.specificity, second.f1) == (1.0, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert macro_auroc((first, second)) == 7 / 8
    assert right_share(LABELS, SHARES) == 5 / 8


@pytest.mark.parametrize("seed", range(5))
def test_by_ranks_is_by_counting_pairs_with_ties_as_a_half(seed):
    rng = np.random.default_rng(seed)
    present, scores = rng.random(60) < 0.3, rng.integers(0, 9, 60) / 8
    own, other = scores[present][:, None], scores[~present][None, :]
    assert Ranking(present, scores).weighed().auroc()[0] == pytest.approx(
        float(((own > other) + 0.5 * (own == other)).mean())
    )


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_precision_weighed_by_the_recall_that_each_score_adds(seed):
    rng = np.random.default_rng(seed)
    present, scores = rng.random(60) < 0.3, rng.integers(0, 9, 60) / 8
    expected, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        told = scores >= threshold
        recall = (told & present).sum() / present.sum()
        expected, before = expected + (recall - before) * (told & present).sum() / told.sum(), recall
    assert Ranking(present, scores).weighed().average_precision()[0] == pytest.approx(expected)


def test_where_nothing_can_be_said_there_is_no_score_and_no_zero():
    labels = np.array([[1, 0, -1, 0], [1, 0, -1, 0], [-1, -1, -1, 1]], np.int8)
    shares = np.array([[0.9, 0.1, 0.9, 0.1], [0.1, 0.2, 0.9, 0.1], [0.5, 0.5, 0.9, 0.1]])
    always, never, unknown, both = score_findings(labels, shares)
    assert (always.auroc, always.specificity, always.sensitivity, always.average_precision) == (None, None, 0.5, 1.0)
    assert (never.auroc, never.sensitivity, never.average_precision, never.f1) == (None, None, None, None)
    assert never.specificity == 1.0
    assert [value for value in vars(unknown).values() if value is not None] == [0, 0]
    assert both.f1 == 0.0
    assert macro_auroc((always, never, unknown, both)) == both.auroc == 0.5
    assert macro_auroc((always, never)) is None and mean_of_known([]) is None
    assert right_share(np.full((2, 3), -1, np.int8), np.ones((2, 3))) == 0.0


def test_a_probability_that_is_no_number_counts_as_zero():
    labels = np.array([[1, 1], [0, 0]], np.int8)
    (first, _) = score_findings(labels, np.array([[math.nan, 0.9], [0.3, 0.1]]))
    assert first.auroc == 0.0 and first.sensitivity == 0.0
