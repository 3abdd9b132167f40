"""Epsilon by Opacus' PRV accountant, wherever its arithmetic can be trusted. Sees nothing of the data.

The method: Gopi, Lee and Wutschitz, "Numerical Composition of Differential Privacy", NeurIPS 2021.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence

from policies.budget import library_files, opacus_files, renyi
from policies.budget.steps import GaussianSteps

# The PRV accountant's own allowances, Opacus' defaults. Its bound includes both.
PRV_EPSILON_ERROR = 0.01
PRV_DELTA_ERROR_SHARE = 1e-3
# Largest grid, in points of 8 bytes with some ten copies alive, and largest sum of the grids of a history.
MAX_PRV_POINTS = 4_000_000
MAX_PRV_POINTS_IN_ALL = 16_000_000
# The grid's rounding, a unit in the last place at each point, stays under this share of delta.
MAX_ROUNDING_SHARE = 0.01


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
    accountant.history = [(part.noise_multiplier, part.sample_rate, part.steps) for part in history]
    try:
        with np.errstate(all="ignore"):
            epsilon = float(
                accountant.get_epsilon(delta, eps_error=PRV_EPSILON_ERROR, delta_error=delta * PRV_DELTA_ERROR_SHARE)
            )
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, ValueError, refused):
        return None
    return epsilon if math.isfinite(epsilon) else None


def _grid_is_sound(history: Sequence[GaussianSteps], delta: float) -> bool:
    """Whether the PRV accountant's grid fits in memory and its rounding stays far below delta."""
    delta_error = delta * PRV_DELTA_ERROR_SHARE
    steps = sum(part.steps for part in history)
    width = renyi.upper_bound(history, delta_error / 4)
    for part in history:
        one = GaussianSteps(part.noise_multiplier, part.sample_rate, 1)
        width = max(width, renyi.upper_bound((one,), delta_error / (8 * steps)))
    mesh = PRV_EPSILON_ERROR / math.sqrt(steps * math.log(12 / delta_error) / 2)
    points = 2 * (width + 3) / mesh
    return (
        points <= MAX_PRV_POINTS
        and points * len(history) <= MAX_PRV_POINTS_IN_ALL
        and points * sys.float_info.epsilon <= MAX_ROUNDING_SHARE * delta
    )
