"""Whether a new reservation still fits into the budgets of its dataset, study and researcher."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from policies.budget import DatasetLimits
from policies.errors import BudgetExceeded
from policies.reservations import Reservation
from policies.steps import GaussianSteps, merged

Accountant = Callable[[Sequence[GaussianSteps], float], float]


def charged(held: Iterable[Reservation]) -> tuple[GaussianSteps, ...]:
    """What these reservations count together."""
    return merged(part for reservation in held for part in reservation.charged)


def check_room(
    wanted: Reservation, standing: Iterable[Reservation], limits: DatasetLimits, epsilon: Accountant
) -> None:
    """Refuses a reservation that does not fit beside those that stand.

    Guarantees:
        What passes, composed with all that is charged at `limits.total.delta`, stays within each of the three budgets.

    Raises:
        BudgetExceeded: It does not fit.
    """
    on_dataset = [held for held in standing if held.fingerprint == wanted.fingerprint]
    by_researcher = [held for held in on_dataset if held.researcher == wanted.researcher]
    of_study = [held for held in by_researcher if held.study == wanted.study]
    dataset = f"dataset '{wanted.dataset}'"
    for held, most, owner in (
        (on_dataset, limits.total.epsilon, dataset),
        (by_researcher, limits.max_researcher_epsilon, f"this researcher on {dataset}"),
        (of_study, limits.max_study_epsilon, f"study '{wanted.study}' on {dataset}"),
    ):
        _check_fits(charged(held), wanted.spend, most, limits.total.delta, owner, epsilon)


def _check_fits(
    before: tuple[GaussianSteps, ...],
    spend: tuple[GaussianSteps, ...],
    most: float,
    delta: float,
    owner: str,
    epsilon: Accountant,
) -> None:
    if not spend:
        return
    after = epsilon(merged((*before, *spend)), delta)
    if after <= most:
        return
    spent = epsilon(before, delta)
    # Rounded apart, so that the two figures never look as if it fitted; a billionth is arithmetic, not need.
    needed = f"{math.ceil((after - spent) * 100 - 1e-7) / 100:.2f}" if math.isfinite(after) else "without bound"
    left = math.floor(max(most - spent, 0.0) * 100 + 1e-7) / 100
    raise BudgetExceeded(
        f"Budget exceeded: this request needs epsilon {needed}, {left:.2f} is left for {owner} "
        f"(delta {delta:g}). Lower the rounds or ask the hospital.".replace("e-0", "e-")
    )
