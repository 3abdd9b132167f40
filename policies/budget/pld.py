"""Epsilon and trade-off curves by privacy loss distributions: from above, nearly exact. Sees nothing of the data.

Both are read from the composed losses of `policies.budget.privacy_loss`: epsilon where the divergence reaches delta,
after a tilt that keeps rounding small there, and the divergence at every epsilon at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from policies.budget.privacy_loss import (
    LARGEST_POWER,
    MAX_POINTS,
    TAIL_SHARE,
    TILTED_SHARE,
    Steps,
    Window,
    ends,
    grid_spacing,
    log_moment,
    losses,
    steps_on_grid,
    tilted_loss,
)
from policies.budget.steps import GaussianSteps

# Epsilon is read at a delta that is smaller by this share: room for the rounding of one step's probabilities.
ROUNDING_SHARE = 1e-3
# Tried as exponents of Chernoff's bound and as the tilt.
_EXPONENTS = tuple(2.0 ** (third / 3) for third in range(-12, 43))
# How many exponents further down the next tilt is looked for.
_GENTLER = 5
# The divergence at every epsilon at once: the delta that the grid is chosen for, and the most different steps.
_GRID_DELTA, MOST_PARTS = 1e-3, 100


@dataclass(frozen=True)
class Divergences:
    """Pairs that hold: at `epsilons`, float64 (points,), at least 0, `deltas` likewise; in one direction."""

    epsilons: Any
    deltas: Any


def pld_divergences(history: Sequence[GaussianSteps]) -> tuple[Divergences, Divergences] | None:
    """The divergence at every epsilon of a grid, for a unit's removal and its addition; None as for `pld_epsilon`.

    Guarantees:
        With P what is released where the unit takes part, and Q where it does not: P(S) <= e^epsilon Q(S) + delta for
        every S by each pair of the first, Q(S) <= e^epsilon P(S) + delta by each of the second.
    """
    adjacency = losses().AdjacencyType
    spacing = grid_spacing(history, _GRID_DELTA) if len(history) <= MOST_PARTS else None
    if spacing is None:
        return None
    try:
        removal = _all_epsilons(history, spacing, adjacency.REMOVE)
        sampled = any(part.sample_rate < 1.0 for part in history)  # else both are the same
        addition = _all_epsilons(history, spacing, adjacency.ADD) if sampled else removal
    except (ArithmeticError, LookupError, MemoryError, ValueError):
        return None
    return None if removal is None or addition is None else (removal, addition)


def _all_epsilons(history: Sequence[GaussianSteps], spacing: float, direction: Any) -> Divergences | None:
    """Without a tilt: rounding stays far below every false alarm rate that is asked about."""
    import numpy as np

    found = [steps_on_grid(part, spacing, direction) for part in history]
    parts = [part for part in found if part is not None]
    if len(parts) < len(found):
        return None
    exponents = (*_EXPONENTS, -0.0625, -0.25, *(-exponent for exponent in _EXPONENTS[12:31:3]))
    known = [(exponent, log_moment(parts, exponent, spacing)) for exponent in exponents]
    low, high = ends(0.0, 0.0, known)
    window = Window(spacing, math.floor(low / spacing), math.ceil(high / spacing))
    if not 0 < window.last - window.first < MAX_POINTS:
        return None
    composed, rounding = tilted_loss(parts, 0.0, window)
    losses = np.arange(window.first, window.first + len(composed)) * spacing
    above = losses > 0
    epsilons = np.concatenate(([0.0], losses[above]))
    if epsilons[-1] > LARGEST_POWER:
        return None
    weights = composed[above]
    upper = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
    lower = np.append(np.cumsum((weights * np.exp(-losses[above]))[::-1])[::-1], 0.0)
    deltas = upper - np.exp(epsilons) * lower
    outside = sum(part.count * part.infinite for part in parts) + TILTED_SHARE + rounding * math.sqrt(len(composed))
    return Divergences(epsilons, np.clip(deltas + outside, 0.0, 1.0))


def pld_epsilon(history: Sequence[GaussianSteps], delta: float) -> float | None:
    """An upper bound on epsilon, nearly exact; None where the grid would be too large or too coarse to help.

    Guarantees:
        All steps together are (result, delta)-differentially private, add or remove one privacy unit.
    """
    adjacency = losses().AdjacencyType
    spacing = grid_spacing(history, delta)
    if spacing is None:
        return None
    directions = [adjacency.REMOVE]
    if any(part.sample_rate < 1.0 for part in history):  # else both are the same
        directions.append(adjacency.ADD)
    try:
        epsilons = [_one_direction(history, delta, spacing, direction) for direction in directions]
    except (ArithmeticError, LookupError, MemoryError, ValueError):
        return None
    return None if any(epsilon is None for epsilon in epsilons) else max(e for e in epsilons if e is not None)


def _one_direction(history: Sequence[GaussianSteps], delta: float, spacing: float, direction: Any) -> float | None:
    parts = [steps_on_grid(part, spacing, direction) for part in history]
    if any(part is None for part in parts):
        return None
    return _composed_epsilon([part for part in parts if part is not None], delta, spacing)


def _composed_epsilon(parts: Sequence[Steps], delta: float, spacing: float) -> float | None:
    """Where the composed divergence reaches delta: the least of what some tilts say, each of which bounds it.

    The tilt that is best by Chernoff's bound looks too far out where few steps or a low sample rate give a long tail;
    then the divergence is below delta all over its window, and gentler ones are tried.
    """
    import numpy as np

    exponents = np.array(_EXPONENTS)
    moments = np.array([log_moment(parts, exponent, spacing) for exponent in _EXPONENTS])
    below_zero = [(exponent, log_moment(parts, exponent, spacing)) for exponent in (0.0, -0.5, -2.0, -8.0, -32.0)]
    top = float(np.min((moments - math.log(delta * TAIL_SHARE)) / exponents))
    known = [*below_zero, *zip(_EXPONENTS, (float(moment) for moment in moments), strict=True)]
    least = None
    for best in range(int(np.argmin((moments - math.log(delta)) / exponents)), -1, -_GENTLER):
        low, high = ends(_EXPONENTS[best], float(moments[best]), known)
        window = Window(spacing, math.floor(low / spacing), math.ceil(max(high, top) / spacing))
        if not 0 < window.last - window.first < MAX_POINTS:
            continue
        outside = sum(part.count * part.infinite for part in parts) + delta * TAIL_SHARE
        target = delta * (1 - ROUNDING_SHARE) - outside
        epsilon, inside = _epsilon(parts, window, _EXPONENTS[best], float(moments[best]), target)
        least = epsilon if least is None or (epsilon is not None and epsilon < least) else least
        if inside:
            break
    return least


def _epsilon(
    parts: Sequence[Steps], window: Window, tilt: float, moment: float, target: float
) -> tuple[float | None, bool]:
    """The least epsilon of the window at which the divergence is surely at most `target`; and whether it lies
    inside, where it can be trusted to be nearly exact, or at the window's lower end.

    From losses[i] to losses[i + 1] the divergence at epsilon = losses[i] + x is scale times (upper - exp(x) lower):
    with beyond = loss - losses[i], sums over larger losses of tilted x exp(-tilt x beyond), and of that x exp(-beyond).
    By Cauchy and Schwarz, their error is at most `rounding` times the square root of their number of terms.
    """
    import numpy as np

    tilted, rounding = tilted_loss(parts, tilt, window)
    losses = np.arange(window.first, window.first + len(tilted)) * window.spacing

    def sums(index: int) -> tuple[float, float, float]:
        beyond = losses[index + 1 :] - losses[index]
        weights = tilted[index + 1 :] * np.exp(-tilt * beyond)
        scale = math.exp(min(max(moment - tilt * float(losses[index]), -LARGEST_POWER), LARGEST_POWER))
        upper = float(weights.sum()) + rounding * math.sqrt(len(beyond))
        return upper, float(np.dot(weights, np.exp(-beyond))), target / scale

    def too_much(index: int) -> bool:
        upper, lower, allowed = sums(index)
        return upper - lower > allowed

    low, high = 0, len(losses) - 1
    if target <= 0 or too_much(high):
        return None, True
    if not too_much(low):
        return max(0.0, float(losses[low])), bool(losses[low] <= 0)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if too_much(middle) else (low, middle)
    upper, lower, allowed = sums(low)
    further = min(math.log((upper - allowed) / lower), float(losses[high] - losses[low]))
    return max(0.0, float(losses[low]) + further), True
