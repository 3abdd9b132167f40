"""A plain test of membership by the released updates, beside the most that any test can find in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.budget.accountant import epsilon_spent
from policies.budget.membership import MembershipBounds, membership_bounds
from policies.budget.steps import GaussianSteps

FALSE_ALARM_RATE = 0.01
# At which the most that any test can find is computed: fine where false alarms are rare, and to the whole area.
RATES = (*(10.0 ** (power / 10) for power in range(-40, -20, 2)), *(step / 200 for step in range(2, 201)))
RESAMPLES = 400
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value and where it lies in 95 of 100 resamples of the patients or pictures."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Membership:
    """What the test found, and what no test can find more of.

    Attributes:
        members: Privacy units of the dataset that were looked at: patients or pictures.
        others: As many as the hold-out has of them.
        auc: Chance that a member's score is above another's.
        tpr: Share of members found where `FALSE_ALARM_RATE` of the others are taken for members.
        epsilon: What the study has spent; None without differential privacy.
        delta: At which epsilon holds.
        allowed_auc: The most that any test can have, where the two kinds differ in nothing else; 1 without
            differential privacy.
        allowed_tpr: Likewise.
    """

    members: int
    others: int
    auc: Interval
    tpr: Interval
    epsilon: float | None
    delta: float
    allowed_auc: float
    allowed_tpr: float


def find_membership(
    members: _Floats, others: _Floats, *, spent: Sequence[GaussianSteps] | None, delta: float
) -> Membership:
    """Compares the scores of members with those of others, one score for each privacy unit.

    Guarantees:
        What is allowed is computed from what the ledger charged, as on the approval card: no test can find more.

    Args:
        members: (M,), higher where the updates fit the patient or picture better.
        others: (N,), likewise.
        spent: What the study is charged; None without differential privacy.
        delta: At which epsilon is stated.
    """
    bounds = None if spent is None else membership_bounds(spent, RATES)
    random = np.random.default_rng(0)
    drawn = [(random.choice(members, len(members)), random.choice(others, len(others))) for _ in range(RESAMPLES)]
    return Membership(
        members=len(members),
        others=len(others),
        auc=_interval(auc(members, others), [auc(*pair) for pair in drawn]),
        tpr=_interval(tpr(members, others), [tpr(*pair) for pair in drawn]),
        epsilon=None if spent is None else epsilon_spent(spent, delta),
        delta=delta,
        allowed_auc=1.0 if bounds is None else allowed_auc(bounds),
        allowed_tpr=1.0 if bounds is None else bounds.powers[RATES.index(FALSE_ALARM_RATE)],
    )


def auc(members: _Floats, others: _Floats) -> float:
    """The chance that a member's score is above another's; a tie counts half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, members, side="left") + np.searchsorted(ordered, members, side="right")
    return float(below.mean() / (2 * len(others)))


def tpr(members: _Floats, others: _Floats) -> float:
    """The share of members above the least score that at most `FALSE_ALARM_RATE` of the others are above."""
    threshold = np.sort(others)[-1 - math.floor(FALSE_ALARM_RATE * len(others))]
    return float((members > threshold).mean())


def allowed_auc(bounds: MembershipBounds) -> float:
    """The area under the most power that any test has; each strip is taken at its higher end, so it errs upwards."""
    rates = np.array((0.0, *bounds.false_alarm_rates))
    return min(1.0, float(np.dot(np.diff(rates), bounds.powers)))


def _interval(value: float, resampled: list[float]) -> Interval:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Interval(value, float(low), float(high))
