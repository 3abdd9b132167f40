"""A plain test of membership by the released updates, beside the most that epsilon allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FALSE_ALARM_RATE = 0.01
RESAMPLES = 400
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value and where it lies in 95 of 100 resamples of the patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Membership:
    """What the test found, and what no test can find more of.

    Attributes:
        members: Patients of the dataset that were looked at.
        others: Patients of the hold-out.
        auc: Chance that a member's score is above another's.
        tpr: Share of members found where `FALSE_ALARM_RATE` of the others are taken for members.
        epsilon: What the study has spent; None without differential privacy.
        delta: At which epsilon holds.
        allowed_auc: The most that any test can have, where the two kinds of patients differ in nothing else; 1 without
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


def find_membership(members: _Floats, others: _Floats, *, epsilon: float | None, delta: float) -> Membership:
    """Compares the scores of members with those of others, one score for each patient.

    Args:
        members: (M,), higher where the updates fit the patient better.
        others: (N,), likewise.
        epsilon: What the study has spent, or None.
        delta: At which it holds.
    """
    random = np.random.default_rng(0)
    drawn = [(random.choice(members, len(members)), random.choice(others, len(others))) for _ in range(RESAMPLES)]
    return Membership(
        members=len(members),
        others=len(others),
        auc=_interval(auc(members, others), [auc(*pair) for pair in drawn]),
        tpr=_interval(tpr(members, others), [tpr(*pair) for pair in drawn]),
        epsilon=epsilon,
        delta=delta,
        allowed_auc=_allowed_auc(epsilon, delta),
        allowed_tpr=allowed_tpr(epsilon, delta, FALSE_ALARM_RATE),
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


def allowed_tpr(epsilon: float | None, delta: float, rate: float) -> float:
    """The most true alarms that (epsilon, delta)-differential privacy allows any test at a rate of false ones."""
    if epsilon is None:
        return 1.0
    by_yes = math.exp(min(epsilon, 700.0)) * rate + delta
    by_no = 1 - math.exp(-epsilon) * (1 - delta - rate)
    return min(1.0, by_yes, by_no)


def _allowed_auc(epsilon: float | None, delta: float) -> float:
    """The area under `allowed_tpr`; each strip is taken at its higher end, so it errs upwards."""
    rates = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 2000)])
    heights = [allowed_tpr(epsilon, delta, float(rate)) for rate in rates[1:]]
    return min(1.0, float(np.dot(np.diff(rates), heights)))


def _interval(value: float, resampled: list[float]) -> Interval:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Interval(value, float(low), float(high))
