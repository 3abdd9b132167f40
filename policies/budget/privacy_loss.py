"""Privacy loss of steps on a grid: of one step, joined from above, and composed. Sees nothing of the data.

What one sampled step can tell is Google's dp-accounting's, at every epsilon of a grid and for a unit that is added as
well as for one that is removed; what an epoch of which a unit joins one step can tell is computed by
`policies.budget.allocation`. Its points are joined from above (Doroshenko et al., "Connect the Dots: Tighter
Discrete Approximations of Privacy Loss Distributions", PoPETs 2022), so what is composed of them is never too small.
The composition is this module's own. By Fourier transforms alone its rounding is as large as the smallest deltas (the
library's result has been seen below the exact one from delta 1e-10 on); here the distributions can be tilted first, so
that the rounding is small beside the part that delta is read from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from policies.budget import library_files, renyi
from policies.budget.allocation import allocated_steps
from policies.budget.steps import GaussianSteps

# How far the grid may lift epsilon, as a share of it; chooses how fine the grid is. Any grid bounds from above.
GRID_SHARE = 1e-4
# Coarsest spacing where memory allows it: a few steps at a low sample rate lose little, and near one value.
COARSEST_SPACING = 1e-3
# Most points of one step's distribution (each costs a microsecond or two), and of the composed one.
MAX_STEP_POINTS = 50_000
MAX_POINTS = 1 << 20
# Rounding of the transforms beside the norm of what they give, for each step and once more for each history.
_ROUNDING_PER_STEP = 1e-13
_STEPS_OF_A_TRANSFORM = 1000
# What may lie outside the composed window: above it, as a share of delta; on either side, of the tilted mass.
TAIL_SHARE, TILTED_SHARE = 1e-6, 1e-9
_LARGEST_SUM_ERROR = 1e-6
# Of e, within double precision; beyond it the divergence is certainly above, or below, every delta.
LARGEST_POWER = 700.0


@dataclass(frozen=True)
class Steps:
    """Equal steps' loss on the grid: `probabilities` float64 (points,), the first at `lowest` times the spacing.

    Where units are allocated, an epoch stands for a step.
    """

    lowest: int
    probabilities: Any
    infinite: float
    count: int


@dataclass(frozen=True)
class Window:
    """The losses that are looked at, from `first` to `last` times the spacing."""

    spacing: float
    first: int
    last: int


def losses() -> Any:
    """Google's dp-accounting's module of privacy losses, without the package around it."""
    packages = ["dp_accounting_files=", "dp_accounting_files.pld=pld"]
    return library_files.module(
        "dp_accounting_files.pld.privacy_loss_mechanism", library="dp_accounting", packages=packages
    )


def grid_spacing(history: Sequence[GaussianSteps], delta: float) -> float | None:
    """The grid's spacing in units of loss; None where nothing finite is known to choose it from."""
    epsilon, order = renyi.upper_bound_and_order(history, delta)
    width = renyi.upper_bound(history, delta * TAIL_SHARE)
    reach = max(_reach(part.noise_multiplier) for part in history)
    if not (epsilon > 0 and math.isfinite(width)) or reach > LARGEST_POWER:
        return None
    steps = sum(part.draws for part in history)
    fine_enough = min(math.sqrt(8 * GRID_SHARE * epsilon / (steps * order)), COARSEST_SPACING)
    return max(fine_enough, 2 * width / MAX_POINTS, 2 * reach / MAX_STEP_POINTS)


def _reach(noise: float) -> float:
    """About the largest loss of one step that is looked at: ten standard deviations."""
    return 1 / (2 * noise**2) + 10 / noise


def steps_on_grid(part: GaussianSteps, spacing: float, direction: Any) -> Steps | None:
    """One step's loss, its hockey-stick divergence exact at every point of the grid and joined from above."""
    import numpy as np

    low, high, divergences_at = _one_draw(part, direction)
    lowest, highest = math.floor(low / spacing), math.ceil(high / spacing)
    if highest - lowest < 1:
        lowest -= 1
    if highest - lowest > 2 * MAX_STEP_POINTS:
        return None
    deltas = divergences_at(np.arange(lowest, highest + 1) * spacing)
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
    return Steps(lowest, probabilities, float(deltas[-1]), part.draws)


def _one_draw(part: GaussianSteps, direction: Any) -> tuple[float, float, Callable[[Any], Any]]:
    """Between which losses one step lies, or one epoch over which units are allocated; and its divergences."""
    noise, addition = part.noise_multiplier, direction.name == "ADD"
    if terms := part.allocated_over:
        low, high = allocated_steps.loss_range(noise, terms, addition=addition)
        return low, high, partial(allocated_steps.divergences, noise, terms, addition=addition)
    loss = losses().GaussianPrivacyLoss(noise, sampling_prob=part.sample_rate, adjacency_type=direction)
    bounds = loss.connect_dots_bounds()
    return bounds.epsilon_lower, bounds.epsilon_upper, partial(divergences, loss, part)


def divergences(loss: Any, part: GaussianSteps, epsilons: Any) -> Any:
    """One step's hockey-stick divergence at each epsilon: the same as the library's, for a whole grid at once."""
    import numpy as np

    sign = 1.0 if loss.adjacency_type.name == "ADD" else -1.0
    with np.errstate(all="ignore"):
        # Where the loss is epsilon; not a number beyond the least loss of a removal and the largest of an addition.
        points = sign * (0.5 + part.noise_multiplier**2 * np.log1p(np.expm1(-sign * epsilons) / part.sample_rate))
        divergences = loss.mu_upper_cdf(points) - np.exp(epsilons + loss.mu_lower_log_cdf(points))
        beyond = np.zeros_like(epsilons) if sign > 0 else -np.expm1(epsilons)
    return np.clip(np.where(np.isnan(points), beyond, divergences), 0.0, 1.0)


def ends(tilt: float, moment: float, known: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Two losses that leave hardly any of the tilted mass below and above them, by Chernoff's bound."""
    bounds = [(e < tilt, (math.log(TILTED_SHARE) + moment - other) / (tilt - e)) for e, other in known if e != tilt]
    return max(b for gentler, b in bounds if gentler), min((b for gentler, b in bounds if not gentler), default=0.0)


def log_moment(parts: Sequence[Steps], exponent: float, spacing: float) -> float:
    """Log of the mean of exp(exponent x loss) over all steps together."""
    import numpy as np

    total = 0.0
    for part in parts:
        possible = np.flatnonzero(part.probabilities)
        powers = exponent * spacing * (part.lowest + possible)
        shift = float(powers.max())
        total += part.count * (shift + math.log(float(np.dot(part.probabilities[possible], np.exp(powers - shift)))))
    return total


def tilted_loss(parts: Sequence[Steps], tilt: float, window: Window) -> tuple[Any, float]:
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
