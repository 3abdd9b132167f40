"""Epsilon by privacy loss distributions: from above, and nearly exact. Sees nothing of the data.

What one sampled step can tell is Google's dp-accounting's, at every epsilon of a grid and for a unit that is added as
well as for one that is removed. Its points are joined from above (Doroshenko et al., "Connect the Dots: Tighter
Discrete Approximations of Privacy Loss Distributions", PoPETs 2022), so what is composed of them is never too small.
The composition is this module's own. By Fourier transforms alone its rounding is as large as the smallest deltas (the
library's result has been seen below the exact one from delta 1e-10 on); here the distributions are tilted first, so
that the rounding is small beside the part that delta is read from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from policies.budget import renyi
from policies.budget.steps import GaussianSteps

# How far the grid may lift epsilon, as a share of it; chooses how fine the grid is. Any grid bounds from above.
GRID_SHARE = 1e-4
# Coarsest spacing where memory allows it: a few steps at a low sample rate lose little, and near one value.
COARSEST_SPACING = 1e-3
# Most points of one step's distribution (each costs a microsecond or two), and of the composed one.
MAX_STEP_POINTS = 50_000
MAX_POINTS = 1 << 20
# Epsilon is read at a delta that is smaller by this share: room for the rounding of one step's probabilities.
ROUNDING_SHARE = 1e-3
# Rounding of the transforms beside the norm of what they give, for each step and once more for each history.
_ROUNDING_PER_STEP = 1e-13
_STEPS_OF_A_TRANSFORM = 1000
# What may lie outside the composed window: above it, as a share of delta; on either side, of the tilted mass.
_TAIL_SHARE, _TILTED_SHARE = 1e-6, 1e-9
# Tried as exponents of Chernoff's bound and as the tilt.
_EXPONENTS = tuple(2.0 ** (third / 3) for third in range(-12, 43))
# How many exponents further down the next tilt is looked for.
_GENTLER = 5
_LARGEST_SUM_ERROR = 1e-6
# Of e, within double precision; beyond it the divergence is certainly above, or below, every delta.
_LARGEST_POWER = 700.0


@dataclass(frozen=True)
class _Steps:
    """Equal steps' loss on the grid: `probabilities` float64 (points,), the first at `lowest` times the spacing."""

    lowest: int
    probabilities: Any
    infinite: float
    count: int


@dataclass(frozen=True)
class _Window:
    """The losses that are looked at, from `first` to `last` times the spacing."""

    spacing: float
    first: int
    last: int


def pld_epsilon(history: Sequence[GaussianSteps], delta: float) -> float | None:
    """An upper bound on epsilon, nearly exact; None where the grid would be too large or too coarse to help.

    Guarantees:
        All steps together are (result, delta)-differentially private, add or remove one privacy unit.
    """
    from dp_accounting.pld.privacy_loss_mechanism import AdjacencyType

    spacing = _spacing(history, delta)
    if spacing is None:
        return None
    directions = [AdjacencyType.REMOVE]
    if any(part.sample_rate < 1.0 for part in history):  # else both are the same
        directions.append(AdjacencyType.ADD)
    try:
        epsilons = [_one_direction(history, delta, spacing, direction) for direction in directions]
    except (ArithmeticError, LookupError, MemoryError, ValueError):
        return None
    return None if any(epsilon is None for epsilon in epsilons) else max(e for e in epsilons if e is not None)


def _spacing(history: Sequence[GaussianSteps], delta: float) -> float | None:
    """The grid's spacing in units of loss; None where nothing finite is known to choose it from."""
    epsilon, order = renyi.upper_bound_and_order(history, delta)
    width = renyi.upper_bound(history, delta * _TAIL_SHARE)
    reach = max(_reach(part.noise_multiplier) for part in history)
    if not (epsilon > 0 and math.isfinite(width)) or reach > _LARGEST_POWER:
        return None
    steps = sum(part.steps for part in history)
    fine_enough = min(math.sqrt(8 * GRID_SHARE * epsilon / (steps * order)), COARSEST_SPACING)
    return max(fine_enough, 2 * width / MAX_POINTS, 2 * reach / MAX_STEP_POINTS)


def _reach(noise: float) -> float:
    """About the largest loss of one step that is looked at: ten standard deviations."""
    return 1 / (2 * noise**2) + 10 / noise


def _one_direction(history: Sequence[GaussianSteps], delta: float, spacing: float, direction: Any) -> float | None:
    parts = [_steps(part, spacing, direction) for part in history]
    if any(part is None for part in parts):
        return None
    return _composed_epsilon([part for part in parts if part is not None], delta, spacing)


def _steps(part: GaussianSteps, spacing: float, direction: Any) -> _Steps | None:
    """One step's loss, its hockey-stick divergence exact at every point of the grid and joined from above."""
    import numpy as np
    from dp_accounting.pld.privacy_loss_mechanism import GaussianPrivacyLoss

    loss = GaussianPrivacyLoss(part.noise_multiplier, sampling_prob=part.sample_rate, adjacency_type=direction)
    bounds = loss.connect_dots_bounds()
    lowest, highest = math.floor(bounds.epsilon_lower / spacing), math.ceil(bounds.epsilon_upper / spacing)
    if highest - lowest < 1:
        lowest -= 1
    if highest - lowest > 2 * MAX_STEP_POINTS:
        return None
    deltas = _divergences(loss, part, np.arange(lowest, highest + 1) * spacing)
    # Rounding that would make a divergence grow with epsilon is rounded up.
    deltas = np.maximum.accumulate(deltas[::-1])[::-1]
    falls = -np.diff(deltas)
    probabilities = np.zeros(len(deltas))
    probabilities[0] = 1 - deltas[0]
    probabilities[1:] += falls / -math.expm1(-spacing)
    probabilities[:-1] -= falls / math.expm1(spacing)
    probabilities = np.maximum(probabilities, 0.0)
    if not abs(float(probabilities.sum()) + float(deltas[-1]) - 1) <= _LARGEST_SUM_ERROR:
        return None
    return _Steps(lowest, probabilities, float(deltas[-1]), part.steps)


def _divergences(loss: Any, part: GaussianSteps, epsilons: Any) -> Any:
    """One step's hockey-stick divergence at each epsilon: the same as the library's, for a whole grid at once."""
    import numpy as np
    from dp_accounting.pld.privacy_loss_mechanism import AdjacencyType

    sign = 1.0 if loss.adjacency_type == AdjacencyType.ADD else -1.0
    with np.errstate(all="ignore"):
        # Where the loss is epsilon; not a number beyond the least loss of a removal and the largest of an addition.
        points = sign * (0.5 + part.noise_multiplier**2 * np.log1p(np.expm1(-sign * epsilons) / part.sample_rate))
        divergences = loss.mu_upper_cdf(points) - np.exp(epsilons + loss.mu_lower_log_cdf(points))
        beyond = np.zeros_like(epsilons) if sign > 0 else -np.expm1(epsilons)
    return np.clip(np.where(np.isnan(points), beyond, divergences), 0.0, 1.0)


def _composed_epsilon(parts: Sequence[_Steps], delta: float, spacing: float) -> float | None:
    """Where the composed divergence reaches delta: the least of what some tilts say, each of which bounds it.

    The tilt that is best by Chernoff's bound looks too far out where few steps or a low sample rate give a long tail;
    then the divergence is below delta all over its window, and gentler ones are tried.
    """
    import numpy as np

    exponents = np.array(_EXPONENTS)
    moments = np.array([_log_moment(parts, exponent, spacing) for exponent in _EXPONENTS])
    below_zero = [(exponent, _log_moment(parts, exponent, spacing)) for exponent in (0.0, -0.5, -2.0, -8.0, -32.0)]
    top = float(np.min((moments - math.log(delta * _TAIL_SHARE)) / exponents))
    known = [*below_zero, *zip(_EXPONENTS, (float(moment) for moment in moments), strict=True)]
    least = None
    for best in range(int(np.argmin((moments - math.log(delta)) / exponents)), -1, -_GENTLER):
        low, high = _ends(_EXPONENTS[best], float(moments[best]), known)
        window = _Window(spacing, math.floor(low / spacing), math.ceil(max(high, top) / spacing))
        if not 0 < window.last - window.first < MAX_POINTS:
            continue
        outside = sum(part.count * part.infinite for part in parts) + delta * _TAIL_SHARE
        target = delta * (1 - ROUNDING_SHARE) - outside
        epsilon, inside = _epsilon(parts, window, _EXPONENTS[best], float(moments[best]), target)
        least = epsilon if least is None or (epsilon is not None and epsilon < least) else least
        if inside:
            break
    return least


def _ends(tilt: float, moment: float, known: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Two losses that leave hardly any of the tilted mass below and above them, by Chernoff's bound."""
    bounds = [(e < tilt, (math.log(_TILTED_SHARE) + moment - other) / (tilt - e)) for e, other in known if e != tilt]
    return max(b for gentler, b in bounds if gentler), min((b for gentler, b in bounds if not gentler), default=0.0)


def _log_moment(parts: Sequence[_Steps], exponent: float, spacing: float) -> float:
    """Log of the mean of exp(exponent x loss) over all steps together."""
    import numpy as np

    total = 0.0
    for part in parts:
        possible = np.flatnonzero(part.probabilities)
        powers = exponent * spacing * (part.lowest + possible)
        shift = float(powers.max())
        total += part.count * (shift + math.log(float(np.dot(part.probabilities[possible], np.exp(powers - shift)))))
    return total


def _tilted(parts: Sequence[_Steps], tilt: float, window: _Window) -> tuple[Any, float]:
    """The composed distribution times exp(tilt x loss), scaled to 1, over the window; and its error in L2 norm.

    The transform is cyclic: what lies outside the window is added inside, which only makes the bound larger.
    """
    import numpy as np
    from scipy import fft

    points = fft.next_fast_len(window.last - window.first + 1, real=True)
    spectrum = np.ones(points // 2 + 1, dtype=np.complex128)
    lowest = 0
    for part in parts:
        powers = tilt * window.spacing * np.arange(len(part.probabilities))
        weights = part.probabilities * np.exp(powers - powers[np.flatnonzero(part.probabilities)[-1]])
        weights /= weights.sum()
        wrapped = np.bincount(np.arange(len(weights)) % points, weights, points)
        spectrum *= fft.rfft(wrapped) ** part.count
        lowest += part.lowest * part.count
    composed = np.roll(fft.irfft(spectrum, points), (lowest - window.first) % points)
    steps = sum(part.count for part in parts)
    norm = float(np.linalg.norm(composed))
    return np.maximum(composed, 0.0), _ROUNDING_PER_STEP * (steps + _STEPS_OF_A_TRANSFORM * len(parts)) * norm


def _epsilon(
    parts: Sequence[_Steps], window: _Window, tilt: float, moment: float, target: float
) -> tuple[float | None, bool]:
    """The least epsilon of the window at which the divergence is surely at most `target`; and whether it lies
    inside, where it can be trusted to be nearly exact, or at the window's lower end.

    From losses[i] to losses[i + 1] the divergence at epsilon = losses[i] + x is scale times (upper - exp(x) lower):
    with beyond = loss - losses[i], sums over larger losses of tilted x exp(-tilt x beyond), and of that x exp(-beyond).
    By Cauchy and Schwarz, their error is at most `rounding` times the square root of their number of terms.
    """
    import numpy as np

    tilted, rounding = _tilted(parts, tilt, window)
    losses = np.arange(window.first, window.first + len(tilted)) * window.spacing

    def sums(index: int) -> tuple[float, float, float]:
        beyond = losses[index + 1 :] - losses[index]
        weights = tilted[index + 1 :] * np.exp(-tilt * beyond)
        scale = math.exp(min(max(moment - tilt * float(losses[index]), -_LARGEST_POWER), _LARGEST_POWER))
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
