"""The Rényi divergences of one Poisson-sampled Gaussian step at many orders, all terms of a series at once.

Sees numbers only, nothing of the data. The series are those of Mironov, Talwar and Zhang, "Rényi Differential Privacy
of the Sampled Gaussian Mechanism" (arXiv 1908.10530, 3.3): the binomial one at whole orders, two alternating ones at
the others. Near order 1 these have thousands of terms, so an accountant that adds them up one by one takes most of a
calibration's time for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from policies.budget.library_files import special

_NEGLIGIBLE = -30.0  # the log of a term at which a series ends, as at Opacus: less than 1e-13 of the sum
_FIRST_TERMS, _MOST_TERMS = 64, 1 << 18


def divergences(noise_multiplier: float, sample_rate: float, orders: Sequence[float]) -> Any:
    """The divergence of one step at each order.

    Guarantees:
        Where the terms leave double precision, or what they add up to is none, it is infinite: never less than it is.

    Args:
        noise_multiplier: Above 0.
        sample_rate: In (0, 1].
        orders: Above 1, whole ones at most 1023.

    Returns:
        float64, (len(orders),).
    """
    import numpy as np

    with np.errstate(all="ignore"):
        return np.array([_divergence(noise_multiplier, sample_rate, float(order)) for order in orders])


def _divergence(noise: float, rate: float, order: float) -> float:
    try:
        if rate == 1.0:
            return order / (2 * noise**2)
        of_order = _log_moment_whole if order.is_integer() else _log_moment_between
        return of_order(noise, rate, order) / (order - 1)
    except (ArithmeticError, ValueError):
        return math.inf


def _log_moment_whole(noise: float, rate: float, order: float) -> float:
    """The log of the mean of the ratio of densities to the power of a whole order; infinity where none can be had."""
    import numpy as np

    binom, i = special().binom, np.arange(order + 1.0)
    terms = (
        np.log(binom(order, i)) + i * math.log(rate) + (order - i) * math.log1p(-rate) + (i * i - i) / (2 * noise**2)
    )
    return _log_sum(terms, np.ones_like(terms))


def _log_moment_between(noise: float, rate: float, order: float) -> float:
    """Likewise for an order between whole ones: two integrals, below and above where both densities are alike."""
    import numpy as np

    binom, log_ndtr = special().binom, special().log_ndtr
    alike = noise**2 * math.log(1 / rate - 1) + 0.5
    count = _FIRST_TERMS
    while count <= _MOST_TERMS:
        i = np.arange(float(count))
        j = order - i
        coefficients = binom(order, i)
        logs = np.log(np.abs(coefficients))
        below = logs + i * math.log(rate) + j * math.log1p(-rate) + (i * i - i) / (2 * noise**2)
        below += log_ndtr((alike - i) / noise)
        above = logs + j * math.log(rate) + i * math.log1p(-rate) + (j * j - j) / (2 * noise**2)
        above += log_ndtr((j - alike) / noise)
        small = np.maximum(below, above) < _NEGLIGIBLE
        if not (np.isfinite(below).all() and np.isfinite(above).all()):
            return math.inf
        if small.any():
            end = int(small.argmax()) + 1
            signs = np.sign(coefficients[:end])
            return float(np.logaddexp(_log_sum(below[:end], signs), _log_sum(above[:end], signs)))
        count *= 4
    return math.inf


def _log_sum(terms: Any, signs: Any) -> float:
    """The log of a sum of terms given by their logs; infinity where that is no number, or some part is below 0.

    Args:
        terms: float64, (N,), logs.
        signs: float64, (N,), 1 or -1.
    """
    import numpy as np

    largest = terms.max()
    if not np.isfinite(terms).all():
        return math.inf
    parts = np.cumsum(signs * np.exp(terms - largest))
    total = float(parts[-1])
    return float(largest) + math.log(total) if parts.min() >= 0 and total > 0 else math.inf
