"""Equal noisy steps, which the accountants count. Three numbers each, which may be known outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from policies import validate


@dataclass(frozen=True, order=True)
class GaussianSteps:
    """Equal steps of the Poisson-sampled Gaussian mechanism, per privacy unit.

    Attributes:
        noise_multiplier: Standard deviation of the noise, over the bound on what one unit adds.
        sample_rate: Probability that a unit joins a step, in (0, 1].
        steps: How many steps, at least 1.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int

    def __post_init__(self) -> None:
        noise = validate.number("noise_multiplier", self.noise_multiplier, low=0, high=1e6, open_low=True)
        rate = validate.number("sample_rate", self.sample_rate, low=0, high=1, open_low=True)
        validate.integer("steps", self.steps, low=1, high=10**12)
        object.__setattr__(self, "noise_multiplier", noise)
        object.__setattr__(self, "sample_rate", rate)


def merged(history: Iterable[GaussianSteps]) -> tuple[GaussianSteps, ...]:
    """Returns a history in one canonical order, with steps of equal noise and sample rate put together."""
    steps: Counter[tuple[float, float]] = Counter()
    for part in history:
        steps[part.noise_multiplier, part.sample_rate] += part.steps
    return tuple(GaussianSteps(noise, rate, count) for (noise, rate), count in sorted(steps.items()))
