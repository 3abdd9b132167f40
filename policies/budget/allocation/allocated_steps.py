"""Divergences of one epoch of which each unit joins exactly one step, from above. Sees nothing of the data.

Hockey-stick divergences by the sums of `policies.budget.allocation.lognormal_sums`. Rényi divergences of a unit's
removal at whole orders exactly, by the moments of the sum; of its addition by those sums and, at their lower end, by
Jensen's inequality, the mean of Y_1 .. Y_t being at least their geometric mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from policies.budget.allocation.lognormal_sums import lognormal_sum
from policies.budget.library_files import special

MOST_ORDER = 256
"""Largest order at which moments are computed; above, a step without sampling stands for the epoch."""
LEAST_NOISE = 0.04
"""Below, numbers leave double precision, and only formulas are used."""
_COARSER = 4  # than for hockey-stick divergences: calibration asks for this at many noise multipliers
_ROUNDING = 1e-12  # of logarithms, relative and absolute


def loss_range(noise: float, terms: int, *, addition: bool) -> tuple[float, float]:
    """The least and the largest loss at which the divergence of an epoch of `terms` steps is worth knowing."""
    logs = lognormal_sum(noise, terms).logs - math.log(terms)
    low, high = float(logs[0]), float(logs[-1])
    return (-high, -low) if addition else (low, high)


def divergences(noise: float, terms: int, epsilons: Any, *, addition: bool) -> Any:
    """The hockey-stick divergence of one epoch at each epsilon, never less than it is.

    Args:
        noise: Standard deviation of a step's noise, over the bound on what one unit adds.
        terms: Steps of the epoch.
        epsilons: float64, (N,).
        addition: Of a unit's addition; else of its removal.

    Returns:
        float64, (N,), from 0 to 1.
    """
    import numpy as np

    found = lognormal_sum(noise, terms)
    logs = found.logs - math.log(terms)
    without, taking_part = found.masses, found.masses * np.exp(logs)
    with np.errstate(over="ignore"):
        slopes = np.exp(epsilons)
    if addition:
        below = np.searchsorted(logs, -epsilons, side="left")
        first, second = (np.concatenate(([0.0], np.cumsum(part)))[below] for part in (without, taking_part))
        more = found.at_zero
    else:
        above = np.searchsorted(logs, epsilons, side="right")
        first, second = (np.append(np.cumsum(part[::-1])[::-1], 0.0)[above] for part in (taking_part, without))
        more = found.beyond / terms
    paid = np.where(second > 0, slopes * second, 0.0)
    return np.clip(np.maximum(first - paid, 0.0) + more, 0.0, 1.0)


def renyi_divergences(noise: float, terms: int, orders: Sequence[float]) -> Any:
    """The Rényi divergence of one epoch at each order, of removal and addition the larger, never less than it is.

    Returns:
        float64, (len(orders),).
    """
    import numpy as np

    at = np.array(orders)
    addition = (1 + (at - 1) / terms) / (2 * noise**2)
    if noise >= LEAST_NOISE:
        addition = np.minimum(_addition_by_sum(noise, terms, at), addition)
    # A unit that is allocated tells no more than one that joins a known step: divergences are convex.
    return np.minimum(np.fmax(_removal_between(noise, terms, at), addition), at / (2 * noise**2))


def removal_divergences(noise: float, terms: int, orders: Sequence[float]) -> Any:
    """The Rényi divergence of a unit's removal at each order: exact but for rounding upwards; NaN where not known.

    Returns:
        float64, (len(orders),).
    """
    import numpy as np

    at = np.array(orders)
    exact = (at == np.round(at)) & (at <= MOST_ORDER)
    return np.where(exact, _removal_between(noise, terms, at), math.nan)


def _addition_by_sum(noise: float, terms: int, orders: Any) -> Any:
    """The Rényi divergence of a unit's addition at each order: float64, (orders,); no bound on its own is exact.

    It is the log of the mean of M^-k over k, with k = order - 1 and M = (Y_1 + .. + Y_t) / t. Down to the sum's first
    point c that is a convex function, and below goes on as its tangent at c, which is finite at 0. What is missing
    there is at most the mean of c^m M^-(k + m) for every m >= 0, which Jensen's inequality bounds.
    """
    import numpy as np

    found = lognormal_sum(noise, terms, _COARSER)
    logs = found.logs - math.log(terms)
    powers = orders - 1
    with np.errstate(divide="ignore"):
        weights = np.log(found.masses)
        zero = math.log(found.at_zero) if found.at_zero > 0 else -math.inf
    inside = np.array([_log_sum(weights - power * logs) for power in powers])
    at_zero = zero - powers * logs[0] + np.log1p(powers)
    raised = np.maximum(powers, -terms * noise**2 * (logs[0] + 1 / (2 * noise**2)))
    below = (raised - powers) * logs[0] + (raised + raised**2 / terms) / (2 * noise**2)
    moments = np.logaddexp(np.logaddexp(inside, at_zero), below)
    return np.maximum(moments + _ROUNDING * (1 + np.abs(powers * logs[0])), 0.0) / powers


def _log_sum(logs: Any) -> float:
    """The log of a sum of terms given by their logs, float64 (N,)."""
    import numpy as np

    largest = float(logs.max())
    return largest + math.log(float(np.exp(logs - largest).sum()))


def _removal_between(noise: float, terms: int, orders: Any) -> Any:
    """At each order; between whole ones along a line through (order - 1) x divergence, which is convex in the order."""
    import numpy as np

    logs = _log_moments(noise, terms)
    found = np.interp(orders, np.arange(1, MOST_ORDER + 1), logs) / (orders - 1)
    return np.where((orders <= MOST_ORDER) & np.isfinite(found), found, math.inf)


def _log_moments(noise: float, terms: int) -> Any:
    """The log of the mean of (mean of Y_1 .. Y_t)^a at the orders a = 1 .. MOST_ORDER: float64, (MOST_ORDER,).

    The sum's moment over a! is a coefficient of a power of the series of Y's own.
    """
    import numpy as np

    gammaln, order = special().gammaln, np.arange(MOST_ORDER + 1.0)
    series = (order * order - order) / (2 * noise**2) - gammaln(order + 1)
    power, product, left = series, None, terms
    while left:
        if left & 1:
            product = power if product is None else _log_product(product, power)
        left >>= 1
        power = _log_product(power, power) if left else power
    logs = (product if product is not None else series) + gammaln(order + 1) - order * math.log(terms)
    sizes = np.abs(series) + gammaln(order + 1) + order * math.log(terms)
    logs = logs + _ROUNDING * (1 + sizes)
    logs[1] = 0.0
    return np.maximum(logs[1:], 0.0)


def _log_product(one: Any, other: Any) -> Any:
    """The logs of the coefficients of a product of two series: float64, (MOST_ORDER + 1,), as both."""
    import numpy as np

    shifted = np.full((len(one), len(one)), -np.inf)
    for index in range(len(one)):
        shifted[index, index:] = one[index] + other[: len(one) - index]
    largest = shifted.max(axis=0)
    return largest + np.log(np.exp(shifted - largest).sum(axis=0))
