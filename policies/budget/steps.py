"""Equal noisy steps, which the accountants count. Four numbers each, which may be known outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from policies import validate
from policies.errors import PlanError
from policies.plans.rounds.sampling import MOST_ALLOCATED


@dataclass(frozen=True, order=True)
class GaussianSteps:
    """Equal steps of the Gaussian mechanism, per privacy unit: Poisson-sampled, or with units allocated at random.

    Attributes:
        noise_multiplier: Standard deviation of the noise, over the bound on what one unit adds.
        sample_rate: Probability that a unit joins a step, in (0, 1].
        steps: How many steps, at least 1.
        allocated_over: With random allocation, the steps of an epoch: each unit joins exactly one of them, every one
            equally likely, drawn anew for each unit and epoch. Then the sample rate is 1 over it, and steps are whole
            epochs. 0 where each step draws by itself, Poisson sampling.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int
    allocated_over: int = 0

    def __post_init__(self) -> None:
        noise = validate.number("noise_multiplier", self.noise_multiplier, low=0, high=1e6, open_low=True)
        rate = validate.number("sample_rate", self.sample_rate, low=0, high=1, open_low=True)
        validate.integer("steps", self.steps, low=1, high=10**12)
        object.__setattr__(self, "noise_multiplier", noise)
        object.__setattr__(self, "sample_rate", rate)
        if validate.integer("allocated_over", self.allocated_over, low=0, high=MOST_ALLOCATED):
            self._check_epochs()

    @property
    def draws(self) -> int:
        """How many times units are drawn, each time independently: once a step, or once an epoch."""
        return self.steps // self.allocated_over if self.allocated_over else self.steps

    def _check_epochs(self) -> None:
        if self.allocated_over < 2 or self.sample_rate != 1 / self.allocated_over:
            raise PlanError(
                f"Random allocation over {self.allocated_over} steps takes at least 2, and a sample_rate of 1 over "
                f"them, got {self.sample_rate!r}."
            )
        if self.steps % self.allocated_over:
            raise PlanError(
                f"Random allocation takes whole epochs of {self.allocated_over} steps, got {self.steps} steps."
            )


def merged(history: Iterable[GaussianSteps]) -> tuple[GaussianSteps, ...]:
    """Returns a history in one canonical order, with steps of equal noise and equal draws put together."""
    steps: Counter[tuple[float, float, int]] = Counter()
    for part in history:
        steps[part.noise_multiplier, part.sample_rate, part.allocated_over] += part.steps
    return tuple(
        GaussianSteps(noise, rate, count, allocated) for (noise, rate, allocated), count in sorted(steps.items())
    )
