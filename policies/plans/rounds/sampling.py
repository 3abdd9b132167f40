"""Sampling of a plan: which privacy units join a step."""

from __future__ import annotations

from policies import validate
from policies.errors import PlanError

POISSON, RANDOM_ALLOCATION = SAMPLINGS = ("poisson", "random_allocation")
MOST_ALLOCATED = 100
"""Most steps of an epoch over which units are allocated: what one tells is computed within seconds up to here."""


def steps_of_epoch(sample_rate: float) -> int:
    """How many steps an epoch has at a sample rate, to the next whole number."""
    return round(1 / sample_rate)


def check_sampling(sampling: str, *, sample_rate: float, steps_per_round: int) -> None:
    """Refuses random allocation where a round is not made of whole epochs: it spans one epoch, inside one round.

    Raises:
        PlanError: An unknown word, a sample rate that is not 1 over a whole number of steps, or a part of an epoch.
    """
    validate.choice("sampling", sampling, SAMPLINGS)
    if sampling != RANDOM_ALLOCATION:
        return
    epoch = steps_of_epoch(sample_rate)
    if not 2 <= epoch <= MOST_ALLOCATED or sample_rate != 1 / epoch:
        raise PlanError(
            f"sampling 'random_allocation' draws each unit into one of an epoch's steps, so sample_rate must be 1 over "
            f"a whole number of steps from 2 to {MOST_ALLOCATED}, such as 0.2 or 0.1, got {sample_rate!r}. Change it, "
            "or use sampling 'poisson'."
        )
    if steps_per_round % epoch:
        raise PlanError(
            f"sampling 'random_allocation' takes whole epochs in each round: at sample_rate {sample_rate:g} an epoch "
            f"has {epoch} steps, and steps_per_round is {steps_per_round}. Make it a multiple of {epoch}, or use "
            "sampling 'poisson'."
        )
