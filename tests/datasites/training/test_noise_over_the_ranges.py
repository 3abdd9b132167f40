"""The noise's arithmetic over all that a plan may say: a lattice that is exact, and numbers that float32 holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from datasites.training.randomness.gaussian import noised
from datasites.training.randomness.randomness import SecureRandom
from policies.plans import ranges

ENDS = [
    (noise, clip)
    for noise in (ranges.NOISE_MULTIPLIER.low, ranges.HOSPITAL_NOISE_MULTIPLIER.low, 1.0, ranges.NOISE_MULTIPLIER.high)
    for clip in (ranges.MAX_GRAD_NORM.low, 1.0, ranges.MAX_GRAD_NORM.high)
]


def lattice_step(spread: float) -> float:
    return 2.0 ** (math.floor(math.log2(spread)) - 32)


@pytest.mark.parametrize(("noise", "clip"), ENDS)
def test_noised_sums_are_finite_and_lie_on_the_lattice(noise: float, clip: float) -> None:
    """Sums of up to a million units at the clipping bound; a float32 of a multiple of the step is one as well."""
    spread = noise * clip
    sums = torch.tensor(np.linspace(-1, 1, 1001) * clip * 1e6, dtype=torch.float64)
    out = noised(sums, spread, SecureRandom()).to(torch.float64)
    assert torch.isfinite(out).all()
    multiples = out / lattice_step(spread)
    assert torch.equal(multiples, multiples.round())


@pytest.mark.parametrize(
    "noise", np.geomspace(ranges.HOSPITAL_NOISE_MULTIPLIER.low, ranges.HOSPITAL_NOISE_MULTIPLIER.high, 7)
)
def test_as_many_units_as_the_reference_says_leave_the_lattice_exact(noise: float) -> None:
    """Neighbouring multiples of the step are different numbers as long as a sum has fewer than 2^53 of them."""
    units = 2**21 * noise
    largest = units / lattice_step(noise)
    assert largest <= 2.0**54
    assert largest / 2 + 1 != largest / 2


def test_the_largest_step_that_a_plan_can_ask_for_is_far_inside_float32() -> None:
    noise = ranges.NOISE_MULTIPLIER.high * ranges.MAX_GRAD_NORM.high * 10
    step = ranges.LEARNING_RATE.high * noise / (ranges.SAMPLE_RATE.low * 1)
    assert step / (1 - ranges.MOMENTUM.high) < 1e26 < float(np.finfo(np.float32).max)


def test_the_least_spread_is_a_normal_number_far_above_where_float32_ends() -> None:
    least = ranges.NOISE_MULTIPLIER.low * ranges.MAX_GRAD_NORM.low
    assert lattice_step(least) > 1e6 * float(np.finfo(np.float32).tiny)
