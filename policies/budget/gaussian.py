"""Epsilon of Gaussian steps that everybody takes part in: exact, and short enough to check by hand. No data here.

Steps of noise multipliers sigma together tell what one step tells whose noise is 1 / mu, with mu^2 the sum of
1 / sigma^2 (Dong, Roth and Su, "Gaussian Differential Privacy", JRSS B 2022). That step is
(epsilon, delta)-private exactly where

    Phi(mu / 2 - epsilon / mu) - e^epsilon Phi(-mu / 2 - epsilon / mu) <= delta

with Phi the normal distribution (Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", ICML
2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from policies.budget.library_files import special
from policies.budget.steps import GaussianSteps

_ERROR = 1e-10  # of each of the two terms, relative; the library's are some 1e-13 where exponents are small
_HALVINGS = 200


def gaussian_mu(history: Iterable[GaussianSteps]) -> float | None:
    """Returns the mu of a history in which everybody takes part in every step; None of any other history.

    Guarantees:
        The history tells of one privacy unit no more than a single release with Gaussian noise does, whose standard
        deviation is 1 / mu times the most that a unit changes.
    """
    parts = tuple(history)
    if any(part.sample_rate != 1 for part in parts):
        return None
    return math.sqrt(math.fsum(part.steps / part.noise_multiplier**2 for part in parts))


def gaussian_epsilon(history: Iterable[GaussianSteps], delta: float) -> float | None:
    """Returns the epsilon of a history in which everybody takes part in every step; None of any other history.

    Guarantees:
        The composition of the history is (result, delta)-differentially private, add or remove one privacy unit.
        Rounding errs upwards, and the result exceeds the least such epsilon by less than a millionth of itself where
        delta is from 1e-10 and mu from 0.001.

    Args:
        history: Steps in any order, of any number of studies.
        delta: At which epsilon is stated, in (0, 1).
    """
    mu = gaussian_mu(history)
    if mu is None:
        return None
    mu *= 1 + 1e-12
    if mu == 0 or _delta(0.0, mu) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while _delta(high, mu) > delta:
        low, high = high, 2 * high
        if high > 1e15:
            return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if _delta(middle, mu) > delta else (low, middle)
    return high


def _delta(epsilon: float, mu: float) -> float:
    """The delta at an epsilon, no smaller than it is."""
    log_ndtr = special().log_ndtr
    logs = float(log_ndtr(mu / 2 - epsilon / mu)), float(log_ndtr(-mu / 2 - epsilon / mu))
    error = _ERROR + 1e-14 * (epsilon + abs(logs[0]) + abs(logs[1]))  # exponents lose what lies before their point
    return math.exp(logs[0]) * (1 + error) - math.exp(min(0.0, epsilon + logs[1])) * (1 - error)
