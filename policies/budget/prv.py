"""Epsilon by Opacus' PRV accountant, wherever its arithmetic can be trusted. Sees nothing of the data.

The method: Gopi, Lee and Wutschitz, "Numerical Composition of Differential Privacy", NeurIPS 2021.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from policies.budget import library_files, opacus_files, renyi, sampled_gaussian
from policies.budget.steps import GaussianSteps

# The PRV accountant's own allowances, Opacus' defaults. Its bound includes both.
PRV_EPSILON_ERROR = 0.01
PRV_DELTA_ERROR_SHARE = 1e-3
# Largest grid, in points of 8 bytes with some ten copies alive, and largest sum of the grids of a history.
MAX_PRV_POINTS = 4_000_000
MAX_PRV_POINTS_IN_ALL = 16_000_000
# Histories of more kinds of steps than this, with more points than that: seconds of work, and in the end not the least.
MANY_KINDS, MOST_QUICK_POINTS = 8, 3_000_000
# The grid's rounding, a unit in the last place at each point, stays under this share of delta.
MAX_ROUNDING_SHARE = 0.01
_OPACUS_ORDERS = (*(1 + tenth / 10 for tenth in range(1, 100)), *map(float, range(12, 64)))


def prv_epsilon(history: Sequence[GaussianSteps], delta: float) -> float | None:
    """The PRV accountant's upper bound, or None where it cannot be computed or trusted.

    It works on a grid, in double precision. A grid too large for memory, or so fine that its rounding could
    reach delta, is not tried: there its "upper" bound has been seen below the exact value. Nor does it know steps over
    which units are allocated.
    """
    if any(part.allocated_over for part in history) or not _grid_is_sound(history, delta):
        return None
    import numpy as np

    refused = library_files.quadrature().IntegrationWarning
    # Set at each call: whoever restores Python's filters in between would take them away.
    warnings.filterwarnings("ignore", "Optimal order is the", UserWarning, opacus_files.NAME)
    warnings.filterwarnings("error", "", refused, opacus_files.NAME)
    accountant = opacus_files.prv().PRVAccountant()
    accountant._get_domain = partial(_domain, history)  # where it spends three quarters of its time
    accountant.history = [(part.noise_multiplier, part.sample_rate, part.steps) for part in history]
    try:
        with np.errstate(all="ignore"):
            epsilon = float(
                accountant.get_epsilon(delta, eps_error=PRV_EPSILON_ERROR, delta_error=delta * PRV_DELTA_ERROR_SHARE)
            )
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, ValueError, refused):
        return None
    return epsilon if math.isfinite(epsilon) else None


def is_quick(history: Sequence[GaussianSteps], delta: float) -> bool:
    """Whether the PRV accountant's bound takes a second at most, or the kinds of steps are few: it is asked then."""
    return len(history) <= MANY_KINDS or _points(history, delta) * len(history) <= MOST_QUICK_POINTS


def _domain(history: Sequence[GaussianSteps], *, eps_error: float, delta_error: float, **_: object) -> Any:
    """Opacus' grid, to the last bit, with divergences of which all terms are added up at once."""
    steps = sum(part.steps for part in history)
    width = _epsilon_by_renyi([(part, part.steps) for part in history], delta_error / 4)
    for part in history:
        width = max(width, _epsilon_by_renyi([(part, 1)], delta_error / (8 * steps)))
    half = max(width, eps_error) + 3
    return opacus_files.prv().Domain.create_aligned(-half, half, eps_error / _root_of_steps(steps, delta_error))


def _epsilon_by_renyi(parts: Sequence[tuple[GaussianSteps, int]], delta: float) -> float:
    """Epsilon as Opacus' RDP accountant has it, at its orders; infinity where none of them says one.

    Args:
        parts: Kinds of steps, and how many of each.
        delta: At which epsilon is stated.
    """
    import numpy as np

    orders = np.array(_OPACUS_ORDERS)
    composed = sum(steps * _one_step(part.noise_multiplier, part.sample_rate) for part, steps in parts)
    epsilons = composed - (math.log(delta) + np.log(orders)) / (orders - 1) + np.log((orders - 1) / orders)
    known = epsilons[~np.isnan(epsilons)]
    return float(known.min()) if known.size else math.inf


@lru_cache(maxsize=1024)
def _one_step(noise_multiplier: float, sample_rate: float) -> Any:
    found = sampled_gaussian.divergences(noise_multiplier, sample_rate, _OPACUS_ORDERS)
    found.flags.writeable = False
    return found


def _root_of_steps(steps: int, delta_error: float) -> float:
    import numpy as np

    return float(np.sqrt(steps * np.log(12 / delta_error) / 2))  # whose logarithm differs from math's in the last bit


def _grid_is_sound(history: Sequence[GaussianSteps], delta: float) -> bool:
    """Whether the PRV accountant's grid fits in memory and its rounding stays far below delta."""
    points = _points(history, delta)
    return (
        points <= MAX_PRV_POINTS
        and points * len(history) <= MAX_PRV_POINTS_IN_ALL
        and points * sys.float_info.epsilon <= MAX_ROUNDING_SHARE * delta
    )


def _points(history: Sequence[GaussianSteps], delta: float) -> float:
    """About how many points the grid has."""
    delta_error = delta * PRV_DELTA_ERROR_SHARE
    steps = sum(part.steps for part in history)
    width = renyi.upper_bound(history, delta_error / 4)
    for part in history:
        one = GaussianSteps(part.noise_multiplier, part.sample_rate, 1)
        width = max(width, renyi.upper_bound((one,), delta_error / (8 * steps)))
    return 2 * (width + 3) * _root_of_steps(steps, delta_error) / PRV_EPSILON_ERROR
