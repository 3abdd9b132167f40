"""Findings about a plan that is unusual, in plain sentences for its reviewer. The numbers are the researcher's own.

A finding refuses nothing: ranges and the hospital's limits do that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.plans.features import width_of
from policies.plans.kinds import Plan
from policies.plans.releases import ReleaseSpec
from policies.plans.training import PrivacySpec, TrainingPlan
from policies.validate import written

# The ordinary: both ends count as ordinary.
ORDINARY_MAX_GRAD_NORMS = (0.01, 10.0)
ORDINARY_CLIP_OF_A_HEAD = 1.0
"""Most max_grad_norm of a linear head on features, over the root of its inputs' number; recipes take 0.3 and 0.5."""
ORDINARY_LEARNING_RATES = (1e-4, 10.0)
ORDINARY_SAMPLE_RATES = (0.001, 0.5)
LEAST_ORDINARY_NOISE = 0.5
MOST_ORDINARY_NOISE = 100.0
MOST_ORDINARY_MOMENTUM = 0.99
MOST_ORDINARY_WEIGHT_DECAY = 0.1
MOST_ORDINARY_PROXIMAL_MU = 1.0
MOST_ORDINARY_DELTA_SHARE = 0.1
LEAST_ORDINARY_BATCH = 2


@dataclass(frozen=True)
class Finding:
    """One unusual value: the plan's `field`, and `text`, which says what follows from it."""

    field: str
    text: str


def findings(plan: Plan, *, public_size: int) -> tuple[Finding, ...]:
    """What is unusual about a plan for a dataset of that public size; empty for an ordinary one."""
    found: list[Finding] = []
    if isinstance(plan, TrainingPlan):
        found += _of_training(plan)
    if isinstance(plan.privacy, PrivacySpec):
        found += _of_clipping(plan.privacy, width_of(plan.model) if isinstance(plan, TrainingPlan) else None)
    if plan.privacy is None:
        found.append(Finding("privacy", "There is no differential privacy: the updates may show single pictures."))
    else:
        found += _of_noise(plan.privacy, public_size)
    return tuple(found)


def _of_training(plan: TrainingPlan) -> list[Finding]:
    low, high = ORDINARY_LEARNING_RATES
    least, most = ORDINARY_SAMPLE_RATES
    tries = (
        (
            plan.learning_rate < low,
            "learning_rate",
            "learning_rate {:g} is far below what models use: the model will hardly move.",
        ),
        (
            plan.learning_rate > high,
            "learning_rate",
            "learning_rate {:g} is far above what models use: the weights may grow without end.",
        ),
        (
            plan.sample_rate < least,
            "sample_rate",
            "sample_rate {:g} is very low: most steps will draw few units or none.",
        ),
        (
            most < plan.sample_rate < 1,  # at 1 nobody is drawn, and epsilon counts on no draw: see the card's words
            "sample_rate",
            "sample_rate {:g} is high: a step draws most units, so that sampling hides little of who takes part.",
        ),
        (
            plan.momentum > MOST_ORDINARY_MOMENTUM,
            "momentum",
            "momentum {:g} is close to 1: noise of many steps adds up.",
        ),
        (
            plan.weight_decay > MOST_ORDINARY_WEIGHT_DECAY,
            "weight_decay",
            "weight_decay {:g} is far above what models use.",
        ),
        (
            plan.proximal_mu > MOST_ORDINARY_PROXIMAL_MU,
            "proximal_mu",
            "proximal_mu {:g} is far above what studies use: the model will hardly leave the global weights.",
        ),
    )
    found = [Finding(name, text.format(getattr(plan, name))) for unusual, name, text in tries if unusual]
    size = plan.run.physical_batch_size
    if size < LEAST_ORDINARY_BATCH:
        found.append(
            Finding("run.physical_batch_size", f"run.physical_batch_size {size} computes pictures one by one: slow.")
        )
    return found


def _of_clipping(privacy: PrivacySpec, width: int | None) -> list[Finding]:
    """Of the bound on a unit's part, which grows with the length of the rows that a linear head reads.

    Args:
        privacy: Of the plan.
        width: How many features a head reads; None where the model is no head on features.
    """
    clip, (low, high) = privacy.max_grad_norm, ORDINARY_MAX_GRAD_NORMS
    ordinary = f"what models use ({low:g} to {high:g})"
    if width is not None:
        high = max(high, ORDINARY_CLIP_OF_A_HEAD * math.sqrt(width + 1))
        ordinary = f"what linear heads on {width} features use ({low:g} to {high:.3g})"
    if clip < low:
        return [
            Finding(
                "privacy.max_grad_norm",
                f"max_grad_norm {clip:g} is far below {ordinary}: every gradient is cut to almost nothing.",
            )
        ]
    if clip > high:
        return [
            Finding(
                "privacy.max_grad_norm",
                f"max_grad_norm {clip:g} is far above {ordinary}: so is the noise, and the update is little else.",
            )
        ]
    return []


def _of_noise(privacy: PrivacySpec | ReleaseSpec, public_size: int) -> list[Finding]:
    noise, delta, found = privacy.noise_multiplier, privacy.delta, []
    if noise < LEAST_ORDINARY_NOISE:
        text = f"noise_multiplier {noise:g} is below {LEAST_ORDINARY_NOISE:g}: each single step tells much of a unit."
        found.append(Finding("privacy.noise_multiplier", text))
    if noise > MOST_ORDINARY_NOISE:
        text = f"noise_multiplier {noise:g} is above {MOST_ORDINARY_NOISE:g}: the result will be almost noise alone."
        found.append(Finding("privacy.noise_multiplier", text))
    if delta * public_size > MOST_ORDINARY_DELTA_SHARE:
        text = (
            f"delta {written(delta)} times the public size {public_size} is above {MOST_ORDINARY_DELTA_SHARE:g}: "
            "the promise may fail for somebody with that probability."
        )
        found.append(Finding("privacy.delta", text))
    return found
