"""The membership test, its intervals, and the most that epsilon allows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from datasites.study_report.membership import allowed_tpr, auc, find_membership, tpr


def test_scores_that_say_nothing_and_scores_that_say_all() -> None:
    drawn = np.random.default_rng(0).normal(size=(2, 500))
    nothing = find_membership(*drawn, epsilon=1.0, delta=1e-5)
    assert nothing.auc.low < 0.5 < nothing.auc.high and nothing.tpr.value < 0.05
    everything = find_membership(drawn[0] + 100, drawn[1], epsilon=None, delta=0.0)
    assert (everything.auc.value, everything.tpr.value) == (1.0, 1.0)
    assert (everything.allowed_auc, everything.allowed_tpr) == (1.0, 1.0)


def test_a_tie_counts_half_and_no_false_alarm_is_taken_that_the_rate_does_not_allow() -> None:
    assert auc(np.zeros(3), np.zeros(5)) == 0.5
    assert auc(np.array([1.0, 3.0]), np.array([2.0])) == 0.5
    others = np.arange(100.0)
    assert tpr(np.array([98.0, 98.5, 99.5]), others) == pytest.approx(2 / 3)
    assert tpr(np.array([98.5, 99.5]), others[:50]) == 1.0
    assert tpr(np.array([49.0]), others[:50]) == 0.0


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 3.0, 20.0])
def test_what_is_allowed_is_the_bound_of_differential_privacy(epsilon: float) -> None:
    found = find_membership(np.zeros(2), np.zeros(2), epsilon=epsilon, delta=1e-5)
    assert found.allowed_tpr == allowed_tpr(epsilon, 1e-5, 0.01)
    assert found.allowed_tpr <= min(1.0, math.exp(epsilon) * 0.01 + 1e-5)
    # The area under min(e^eps x, 1 - e^-eps (1 - x)), which is that bound without delta.
    meet = (1 - math.exp(-epsilon)) / (math.exp(epsilon) - math.exp(-epsilon)) if epsilon else 0.0
    area = math.exp(epsilon) * meet**2 / 2 + (1 - meet) - math.exp(-epsilon) * (1 - meet) ** 2 / 2
    assert area <= found.allowed_auc <= area + 0.01
