"""Bounds on what any test of membership can find out, from the privacy loss of a history. Sees nothing of the data.

A test says of one privacy unit whether it took part. Its *false alarm rate* is how often it says so of one that did
not, its *power* how often it says so of one that did. Every pair (epsilon, delta) that holds bounds the power at each
false alarm rate by two lines (Kairouz, Oh and Viswanath, "The Composition Theorem for Differential Privacy", ICML
2015); the pairs at all epsilons together are the whole trade-off curve (Dong, Roth and Su, "Gaussian Differential
Privacy", JRSS B 2022). To state it in place of epsilon: Kulynych, Gomez, Kaissis, Calmon and Troncoso, "Attack-Aware
Noise Calibration for Differential Privacy", NeurIPS 2024 (arXiv 2407.02191).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from policies.budget import renyi
from policies.budget.library_files import special
from policies.budget.pld import Divergences, pld_divergences
from policies.budget.steps import GaussianSteps, merged

FALSE_ALARM_RATES = (0.001, 0.01, 0.1)
# Where privacy loss distributions say nothing, pairs by Rényi divergences at these deltas are taken.
_DELTAS = tuple(10.0 ** -(half / 2) for half in range(2, 21))
# The Gaussian parameter is stated for tests between these false alarm rates, looked at in so many steps.
LEAST_RATE, MOST_RATE = 1e-4, 0.5
_RATE_STEPS = 800
# For that, so many pairs of a curve are enough: leaving some out lifts the bound a little.
_PAIRS = 4000


@dataclass(frozen=True)
class MembershipBounds:
    """The most that any test of membership can find.

    Attributes:
        false_alarm_rates: At which powers are stated.
        powers: For each, the most power that a test can have.
        gaussian_mu: No test with a false alarm rate from 0.01 % to 50 % has more power than one against a single
            release of Gaussian noise whose standard deviation is 1 / gaussian_mu times what one unit changes; None
            where no such number is known.
    """

    false_alarm_rates: tuple[float, ...]
    powers: tuple[float, ...]
    gaussian_mu: float | None


def membership_bounds(history: Iterable[GaussianSteps], rates: Sequence[float] = FALSE_ALARM_RATES) -> MembershipBounds:
    """Returns what any test can find about one privacy unit in all that a history released.

    Guarantees:
        Whoever sees everything that the steps released and knows every other unit's data, and says of one unit whether
        it took part, has at each false alarm rate at most the power stated; and so has who says of one whether it did
        not. Rounding errs upwards. An empty history tells nothing: its power is the false alarm rate. Where the
        arithmetic fails, no bound is known: a power of 1.

    Args:
        history: Steps in any order, of any number of studies.
        rates: The false alarm rates at which powers are stated.
    """
    parts = merged(history)
    if not parts:
        return MembershipBounds(tuple(rates), tuple(rates), 0.0)
    try:
        return _bounds(parts, tuple(rates))
    except (ArithmeticError, LookupError, ValueError):
        return MembershipBounds(tuple(rates), (1.0,) * len(rates), None)


@lru_cache(maxsize=1024)
def _bounds(history: tuple[GaussianSteps, ...], rates: tuple[float, ...]) -> MembershipBounds:
    import numpy as np

    curves = pld_divergences(history) or (_by_renyi(history),) * 2
    powers = tuple(float(power) for power in _powers(curves, np.array(rates)))
    return MembershipBounds(rates, powers, _gaussian_mu(curves))


def _by_renyi(history: Sequence[GaussianSteps]) -> Divergences:
    """Pairs (epsilon, delta) that hold wherever numbers can be computed at all; none where epsilon has no bound."""
    import numpy as np

    pairs = [(renyi.upper_bound(history, delta), delta) for delta in _DELTAS]
    finite = [(min(epsilon, 700.0), delta) for epsilon, delta in pairs if epsilon <= 700.0]
    return Divergences(np.array([e for e, _ in finite]), np.array([d for _, d in finite]))


def _powers(curves: tuple[Divergences, Divergences], rates: Any) -> Any:
    """The most power at each false alarm rate: float64, as `rates`; of tests for having taken part, and for not having.

    With P what is released where the unit takes part and Q where it does not: P(S) <= e^epsilon Q(S) + delta from a
    unit's removal, Q(S) <= e^epsilon P(S) + delta from its addition, S being where the test says yes, or where it
    says no.
    """
    import numpy as np

    removal, addition = curves
    taken_part = np.minimum(_by_yes(removal, rates), _by_no(addition, rates))
    not_taken_part = np.minimum(_by_yes(addition, rates), _by_no(removal, rates))
    powers = np.maximum(taken_part, not_taken_part) * (1 + 1e-9)
    return np.clip(powers, rates, 1.0)


def _by_yes(curve: Divergences, rates: Any) -> Any:
    """Least over all epsilons of e^epsilon x rate + delta; 1 where there is none."""
    import numpy as np

    slopes = np.exp(curve.epsilons)
    return np.array([np.min(slopes * rate + curve.deltas, initial=1.0) for rate in rates])


def _by_no(curve: Divergences, rates: Any) -> Any:
    """Least over all epsilons of 1 - e^-epsilon x (1 - delta - rate); 1 where there is none."""
    import numpy as np

    slopes = np.exp(-curve.epsilons)
    return np.array([np.min(1 - slopes * (1 - curve.deltas - rate), initial=1.0) for rate in rates])


def _gaussian_mu(curves: tuple[Divergences, Divergences]) -> float | None:
    """The least Gaussian parameter that covers the powers from LEAST_RATE to MOST_RATE.

    Between two of the rates looked at the power is at most that at the larger one, and the Gaussian's at least that at
    the smaller one. Stating one parameter with the false alarm rates that it holds for is after Gomez, Kulynych,
    Kaissis, Hayes, Balle and Honkela (arXiv 2503.10945).
    """
    import numpy as np

    rates = np.geomspace(LEAST_RATE, MOST_RATE, _RATE_STEPS + 1)
    powers = _powers((_thinned(curves[0]), _thinned(curves[1])), rates)
    mus = special().ndtri(powers[1:]) - special().ndtri(rates[:-1])
    most = float(np.max(mus))
    return max(most, 0.0) if math.isfinite(most) else None


def _thinned(curve: Divergences) -> Divergences:
    stride = -(-len(curve.epsilons) // _PAIRS) or 1
    return Divergences(curve.epsilons[::stride], curve.deltas[::stride])
