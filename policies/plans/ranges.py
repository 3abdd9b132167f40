"""Between which numbers a plan may lie, for every setting that the privacy analysis or its arithmetic rests on.

Public, and the same for every hospital; docs/ref-policies.md says why each end is where it is. A hospital's limits are
tighter ranges inside these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policies.validate import PLANS, Checks


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float

    def check(self, field: str, value: Any, checks: Checks = PLANS) -> float:
        """Returns `value` as a float if it lies inside.

        Raises:
            PlanError: It does not, or the checks' own kind of error; the text names the field and both ends.
        """
        return checks.number(field, value, low=self.low, high=self.high)

    def check_part(self, field: str, ends: Any, checks: Checks = PLANS) -> tuple[float, float]:
        """Returns `ends` as (low, high) if they are a range inside this one.

        Raises:
            PlanError: They are not; or the checks' own kind of error.
        """
        if not isinstance(ends, list | tuple) or len(ends) != 2:
            raise checks.refusal(f"{field} must be two numbers, the least and the most, got {ends!r}.")
        low, high = (self.check(field, end, checks) for end in ends)
        if low > high:
            raise checks.refusal(f"{field} must have the least first, got {low:g} and then {high:g}.")
        return low, high


NOISE_MULTIPLIER = Range(1e-9, 1e5)
MAX_GRAD_NORM = Range(1e-6, 1e4)
DELTA = Range(1e-12, 1e-2)
SAMPLE_RATE = Range(1e-9, 1.0)
LEARNING_RATE = Range(1e-9, 1e3)
MOMENTUM = Range(0.0, 0.999)
WEIGHT_DECAY = Range(0.0, 1e3)
PROXIMAL_MU = Range(0.0, 1e3)
# What a hospital may set as its own least noise: below, calibration has no bound to offer.
HOSPITAL_NOISE_MULTIPLIER = Range(0.05, 1e5)
