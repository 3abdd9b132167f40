"""Estimates from a few steps on the mock what a plan's rounds will take at the public size, and on what grounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policies.plans.features import SCATTERING_MODEL
from policies.plans.kinds import Plan
from policies.plans.releases import EvaluationPlan, GramPlan
from policies.plans.training import TrainingPlan

STEPS = 3  # the first warms the device up and is not counted, and two measure
MOST_PLACES = 256  # of a batch of a plan that counts
_DRAWS = 8


@dataclass(frozen=True)
class Measured:
    """What a rehearsal took on this machine.

    Attributes:
        preparing_seconds: Before the pictures: the process, its enclosure, the model and the device's own check.
        steps: Seconds from when it was told to go to the end of each step.
        working_seconds: From then to its result.
        pictures: Of the mock.
        gpus: GPUs that it was leased; 0 where it ran on the processors.
    """

    preparing_seconds: float
    steps: Sequence[float]
    working_seconds: float
    pictures: int
    gpus: int = 0


@dataclass(frozen=True)
class Estimate:
    """What a step took, and what a round and all rounds would take; rounded, since no more is known."""

    seconds_a_step: float
    seconds_a_round: float
    hours: float
    assumptions: str


def shortened(plan: Plan) -> Plan:
    """The plan with a few steps in a round, each with a draw of its own; of counts the plan itself."""
    return plan.shortened(STEPS) if isinstance(plan, TrainingPlan) else plan


def estimate(plan: Plan, measured: Measured, *, public_size: int) -> Estimate:
    """What the plan's rounds would take on this machine, from what a shortened one took on the mock.

    Guarantees:
        The result is a function of the plan, of the dataset's public size and of times on the mock, and of nothing
        else: neither the pictures nor how many there are enter.
    """
    step = _seconds_a_step(measured.steps, measured.working_seconds)
    grown = max(1.0, public_size / measured.pictures)
    if isinstance(plan, TrainingPlan) and plan.privacy is not None:
        a_round = measured.preparing_seconds + plan.steps_per_round * step
        said = f"a step computes as many pictures as one at the public size of {public_size} does"
    elif isinstance(plan, TrainingPlan):
        step *= grown
        a_round = measured.preparing_seconds + plan.steps_per_round * step
        said = f"a step on {measured.pictures} pictures of the mock is stretched to the public size of {public_size}"
    else:
        after = measured.working_seconds - max(measured.steps, default=measured.working_seconds)  # the noise, once
        step = measured.working_seconds - after
        a_round = measured.preparing_seconds + _passes(plan, measured.pictures, public_size, grown) * step + after
        said = f"a pass over {measured.pictures} pictures of the mock is stretched to the public size of {public_size}"
    return Estimate(
        seconds_a_step=_rounded(step),
        seconds_a_round=_rounded(a_round),
        hours=_rounded(plan.rounds * a_round / 3600),
        assumptions=f"on {_where(measured.gpus)} with nothing else running, where {said}; "
        "without what the network takes",
    )


def _passes(plan: Plan, pictures: int, public_size: int, grown: float) -> float:
    """How often what a pass over the mock computes goes into one over pictures of the public size.

    A model computes batches of one size, whose places follow from the pictures' bytes: as many batches as pictures come
    to one place. On a few pictures these are nearly empty.
    """
    if isinstance(plan, GramPlan) and plan.model.name != SCATTERING_MODEL:
        return grown
    if not isinstance(plan, GramPlan | EvaluationPlan):
        return grown
    places = min(plan.run.physical_batch_size, MOST_PLACES)
    return max(1.0, expected_batches(public_size, places) / expected_batches(pictures, places))


def expected_batches(pictures: int, places: int) -> float:
    """Mean number of batches of so many places, where each picture comes to a place as if it were drawn."""
    most = [
        np.bincount(np.random.default_rng(seed).integers(0, places, max(1, pictures))).max() for seed in range(_DRAWS)
    ]
    return float(np.mean(most))


def _where(gpus: int) -> str:
    """What it ran on, in words that mean the same machine at the hospital and at the researcher's."""
    if gpus > 1:
        return f"{gpus} of the hospital's own GPUs"
    return "one of the hospital's own GPUs" if gpus else "the hospital's own processors"


def _seconds_a_step(steps: Sequence[float], working_seconds: float) -> float:
    if len(steps) > 1:
        return (steps[-1] - steps[0]) / (len(steps) - 1)
    return steps[0] if steps else working_seconds


def _rounded(value: float) -> float:
    """To two digits."""
    return float(f"{value:.2g}")
