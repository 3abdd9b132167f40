"""The audit of a trainer: five parts, each of which finds faults that the others cannot see.

Canaries hide in the noise as far as epsilon says; draws are the plan's, by Poisson sampling and by allocation;
gradients are clipped as they are defined to be; noise is fresh in every number. None of it is a proof: what an audit
shows is that a promise is broken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from datasites.training.privacy_audit.allocation import allocation_checks
from datasites.training.privacy_audit.canaries import Scores, canary_checks, canary_round
from datasites.training.privacy_audit.checks import Check
from datasites.training.privacy_audit.draws import draw_checks
from datasites.training.privacy_audit.faults import FAULTS
from datasites.training.privacy_audit.gradients import gradient_checks
from datasites.training.privacy_audit.noise import noise_checks
from datasites.training.privacy_audit.subject import Subject
from datasites.training.process_group.process_group import SINGLE_PROCESS, ProcessGroup
from policies import validate
from policies.plans.training import UNITS

PARTS = (draw_checks, gradient_checks, noise_checks, allocation_checks)  # beside the canaries


@dataclass(frozen=True)
class AuditResult:
    """The result of an audit.

    Attributes:
        claimed_epsilon: What the plan of the canaries' round claims, at delta 1e-5.
        checks: All findings, with how far each may go.
        scores: The canaries' scores.
    """

    claimed_epsilon: float
    checks: tuple[Check, ...]
    scores: Scores = field(repr=False, compare=False)

    @property
    def passed(self) -> bool:
        """Whether all checks hold."""
        return all(check.holds for check in self.checks)

    @property
    def one_run_lower_bound(self) -> float:
        """The largest epsilon that guessing who took part refutes."""
        return self.scores.one_run_lower_bound

    @property
    def gaussian_lower_bound(self) -> float:
        """The largest epsilon that the distance between the two groups of scores refutes."""
        return self.scores.gaussian_lower_bound

    @property
    def noise_z(self) -> float:
        """Spread of the excluded canaries' scores against the expected one, in standard errors."""
        return self.scores.noise_z

    @property
    def included_scores(self) -> np.ndarray:
        """float64, (n,): scores of the canaries that took part, in units of max_grad_norm."""
        return self.scores.included

    @property
    def excluded_scores(self) -> np.ndarray:
        """float64, (n,): scores of the canaries that did not take part."""
        return self.scores.excluded

    @property
    def expected_spread(self) -> float:
        """Standard deviation that the excluded scores should have."""
        return self.scores.spread

    def to_dict(self) -> dict[str, object]:
        """The five numbers and all checks, for JSON."""
        return {
            "claimed_epsilon": self.claimed_epsilon,
            "one_run_lower_bound": self.one_run_lower_bound,
            "gaussian_lower_bound": self.gaussian_lower_bound,
            "noise_z": self.noise_z,
            "passed": self.passed,
            "checks": {c.name: {"found": c.value, "allowed": c.allowed, "holds": c.holds} for c in self.checks},
        }


def run_audit(
    *,
    broken: str | None = None,
    unit: str = "picture",
    seed: int | None = None,
    claimed_epsilon: float = 1.0,
    engine: str = "book_keeping",
    device: str = "auto",
    process_group: ProcessGroup = SINGLE_PROCESS,
) -> AuditResult:
    """Audits rounds as hospitals' runs take them.

    Args:
        broken: One of `FAULTS`, built in on purpose; None audits what hospitals run.
        unit: Of the canaries: `picture`, or `patient`, where each has one to four pictures.
        seed: Makes the audit repeatable; None lets the trainer make its own generators, as hospitals do, and so
            covers how it makes them.
        claimed_epsilon: The noise of the canaries' round is calibrated to this at delta 1e-5.
        engine: The engine to audit, by its name in plans.
        device: `auto` takes a GPU where there is one, `cpu` never does.
        process_group: The processes that take the steps; all must call this with the same seed, and the first one's
            result counts.

    Raises:
        PlanError: An unknown fault, unit, engine or device, or a seed below 0 or of more than 128 bits.
    """
    validate.choice("unit", unit, UNITS)
    if broken is not None:
        validate.choice("broken", broken, FAULTS)
    if seed is not None:
        validate.integer("seed", seed, low=0, high=2**128 - 1)
    subject = Subject(broken, seed, engine, device, process_group)
    scores = canary_round(subject, unit=unit, claimed_epsilon=claimed_epsilon)
    checks = canary_checks(scores, claimed_epsilon=claimed_epsilon)
    for part in PARTS:
        checks += part(subject)
    return AuditResult(claimed_epsilon, tuple(checks), scores)
