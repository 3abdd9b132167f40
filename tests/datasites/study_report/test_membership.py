"""The membership test, its intervals, and the most that epsilon allows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from datasites.study_report.membership import auc, find_membership, tpr
from policies.budget.accountant import epsilon_spent
from policies.budget.membership import membership_bounds
from policies.budget.steps import GaussianSteps


def test_scores_that_say_nothing_and_scores_that_say_all() -> None:
    drawn = np.random.default_rng(0).normal(size=(2, 500))
    nothing = find_membership(*drawn, spent=(), delta=1e-5)
    assert nothing.auc.low < 0.5 < nothing.auc.high and nothing.tpr.value < 0.05
    everything = find_membership(drawn[0] + 100, drawn[1], spent=None, delta=0.0)
    assert (everything.auc.value, everything.tpr.value) == (1.0, 1.0)
    assert (everything.allowed_auc, everything.allowed_tpr) == (1.0, 1.0)


def test_a_tie_counts_half_and_no_false_alarm_is_taken_that_the_rate_does_not_allow() -> None:
    assert auc(np.zeros(3), np.zeros(5)) == 0.5
    assert auc(np.array([1.0, 3.0]), np.array([2.0])) == 0.5
    others = np.arange(100.0)
    assert tpr(np.array([98.0, 98.5, 99.5]), others) == pytest.approx(2 / 3)
    assert tpr(np.array([98.5, 99.5]), others[:50]) == 1.0
    assert tpr(np.array([49.0]), others[:50]) == 0.0


def test_what_is_allowed_is_what_the_approval_card_states_and_its_area_never_less_than_the_gaussians() -> None:
    steps = (GaussianSteps(2.0, 0.1, 40),)
    found = find_membership(np.zeros(2), np.zeros(2), spent=steps, delta=1e-5)
    bounds = membership_bounds(steps)
    assert found.allowed_tpr == bounds.powers[bounds.false_alarm_rates.index(0.01)]
    assert found.epsilon == epsilon_spent(steps, 1e-5)
    alone = find_membership(np.zeros(2), np.zeros(2), spent=(GaussianSteps(1.0, 1.0, 1),), delta=1e-5)
    exact = float(ndtr(1.0 / math.sqrt(2)))  # the area of the best test on one Gaussian release
    assert exact <= alone.allowed_auc <= exact + 0.01
    nothing = find_membership(np.zeros(2), np.zeros(2), spent=(), delta=1e-5)
    assert nothing.allowed_tpr == 0.01 and 0.5 <= nothing.allowed_auc < 0.51
