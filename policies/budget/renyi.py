"""Two bounds on epsilon from the Rényi divergences of a history: cheap, and apart from the PRV accountant.

Sees numbers only, nothing of the data. The divergences of one Poisson-sampled Gaussian step add up over
steps. They bound epsilon from above (Balle et al., "Hypothesis Testing Interpretations and Renyi
Differential Privacy", AISTATS 2020) and, by the Paley-Zygmund inequality, from below: an epsilon under the
lower bound is impossible, so an accountant that returns one has failed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from policies.budget import sampled_gaussian
from policies.budget.allocation import allocated_steps
from policies.budget.steps import GaussianSteps

# Orders above 1; fewer fractions than Opacus has, which take most of the time and gain two thousandths.
# With an order a, nearly always 2a - 1 is there too: the lower bound needs both.
ORDERS: tuple[float, ...] = (
    *(1 + tenth / 10 for tenth in range(1, 50)),
    *(float(order) for order in range(6, 65)),
    *(
        72.0,
        80.0,
        96.0,
        112.0,
        127.0,
        128.0,
        160.0,
        192.0,
        255.0,
        256.0,
        320.0,
        384.0,
        511.0,
        512.0,
        768.0,
        1023.0,
    ),
)
# Where the lower bound cuts the tail, as a share of the mean of exp(order x privacy loss).
_TAIL_SHARES = (0.5, 0.2, 0.05, 0.01)


def upper_bound(history: Sequence[GaussianSteps], delta: float) -> float:
    """Returns an epsilon that the history certainly stays within at `delta`; infinity where none is found.

    Guarantees:
        All steps together are (result, delta)-differentially private, add or remove one privacy unit.
    """
    return upper_bound_and_order(history, delta)[0]


def upper_bound_and_order(history: Sequence[GaussianSteps], delta: float) -> tuple[float, float]:
    """Returns the bound on epsilon and the order that gives it; (infinity, infinity) where none is found."""
    import numpy as np

    epsilons = _epsilons(history, delta)
    finite = np.isfinite(epsilons)
    if not finite.any():
        return math.inf, math.inf
    best = int(np.where(finite, epsilons, math.inf).argmin())
    return max(0.0, float(epsilons[best])), ORDERS[best]


def share_of_budget(history: Sequence[GaussianSteps], epsilon: float, delta: float) -> float:
    """Returns how much of a budget a history takes by the divergence at one order; shares of histories add up.

    The order is the one at which the budget holds the most Gaussian steps. It depends on the budget alone, so it is
    chosen before anything is known.

    Guarantees:
        A history with a share of at most 1 is (epsilon, delta)-differentially private, add or remove one unit.
    """
    import numpy as np

    orders = np.array(ORDERS)
    allowed = epsilon - np.log1p(-1 / orders) + (math.log(delta) + np.log(orders)) / (orders - 1)
    chosen = int((allowed / orders).argmax())
    return float(_composed(history)[chosen] / allowed[chosen]) if allowed[chosen] > 0 else math.inf


def _epsilons(history: Sequence[GaussianSteps], delta: float) -> Any:
    """What each order says epsilon is at `delta`: float64, (len(ORDERS),); infinite or NaN where it says nothing."""
    import numpy as np

    orders = np.array(ORDERS)
    with np.errstate(all="ignore"):
        return _composed(history) + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)


def lower_bound(history: Sequence[GaussianSteps], delta: float) -> float:
    """Returns an epsilon that the history cannot stay under at `delta`; 0 where nothing better is known.

    With K(a) the log of the mean of exp(a x loss), the loss exceeds (log s + K(a)) / a with probability at
    least (1 - s)^2 exp(2 K(a) - K(2a)), for every share s in (0, 1).
    """
    import numpy as np

    once, twice = _paired_orders()
    powers = np.array(ORDERS)[once] - 1
    divergences = _composed(history, exact=True)
    best = 0.0
    with np.errstate(all="ignore"):
        moment, double_moment = powers * divergences[once], 2 * powers * divergences[twice]
        for share in _TAIL_SHARES:
            loss = (math.log(share) + moment) / powers
            log_probability = 2 * math.log1p(-share) + 2 * moment - double_moment
            epsilons = loss + np.log1p(-np.exp(math.log(delta) - log_probability))
            epsilons = epsilons[np.isfinite(epsilons)]
            best = max(best, float(epsilons.max())) if epsilons.size else best
    return best


def _composed(history: Sequence[GaussianSteps], *, exact: bool = False) -> Any:
    """The divergence of the whole history at each order: float64, (len(ORDERS),).

    Where units are allocated it is a bound; `exact`, it is that of a unit's removal, and NaN where that is not known.
    """
    import numpy as np

    total = np.zeros(len(ORDERS))
    for part in history:
        if part.allocated_over:
            total = total + part.draws * _one_epoch(part.noise_multiplier, part.allocated_over, exact)
        else:
            total = total + part.steps * _one_step(part.noise_multiplier, part.sample_rate)
    return total


@lru_cache(maxsize=1024)
def _one_epoch(noise_multiplier: float, allocated_over: int, exact: bool) -> Any:
    """The divergence of one epoch over which units are allocated, at each order: float64, (len(ORDERS),).

    Where numbers fail, it is infinite; `exact`, NaN.
    """
    import numpy as np

    try:
        if exact:
            divergences = allocated_steps.removal_divergences(noise_multiplier, allocated_over, ORDERS)
        else:
            found = allocated_steps.renyi_divergences(noise_multiplier, allocated_over, ORDERS)
            divergences = np.maximum.accumulate(np.where(np.isnan(found), math.inf, found))
    except (ArithmeticError, LookupError, ValueError):
        divergences = np.full(len(ORDERS), math.nan if exact else math.inf)
    divergences.flags.writeable = False
    return divergences


@lru_cache(maxsize=1024)
def _one_step(noise_multiplier: float, sample_rate: float) -> Any:
    """The divergence of one step at each order: float64, (len(ORDERS),); infinite where none can be had."""
    import numpy as np

    found = sampled_gaussian.divergences(noise_multiplier, sample_rate, ORDERS)
    divergences = np.where(np.isnan(found), math.inf, found)
    # Divergences never fall with the order, nor below 0: rounding that says otherwise is rounded up.
    divergences = np.maximum.accumulate(np.maximum(divergences, 0.0))
    divergences.flags.writeable = False
    return divergences


@lru_cache(maxsize=1)
def _paired_orders() -> tuple[Any, Any]:
    """Indices of each order a that has 2a - 1 in ORDERS, and of that 2a - 1."""
    import numpy as np

    position = {round(order, 6): index for index, order in enumerate(ORDERS)}
    pairs = [
        (index, position[round(2 * order - 1, 6)])
        for index, order in enumerate(ORDERS)
        if round(2 * order - 1, 6) in position
    ]
    once, twice = zip(*pairs, strict=True)
    return np.array(once), np.array(twice)
