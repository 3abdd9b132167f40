"""Checks that a request's whole envelope fits into what is left to its dataset, its researcher and its study."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from policies.answers import rounded
from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.budget.steps import GaussianSteps, merged
from policies.errors import BudgetExceeded, LimitExceeded
from policies.ledger.chain import Entry
from policies.ledger.reservations import Reservation
from policies.ledger.rule_share import RuleShare, reserved_lately

Accountant = Callable[[Sequence[GaussianSteps], float], float]
Filter = Callable[[Sequence[GaussianSteps], PrivacyBudget], float]


@dataclass(frozen=True)
class BudgetCheck:
    """Decides by an accountant and by the filter for studies that were chosen by earlier results."""

    epsilon: Accountant
    filtered: Filter

    def check(self, wanted: Reservation, standing: Iterable[Reservation], limits: DatasetLimits) -> None:
        """Refuses what does not fit beside `standing`.

        Guarantees:
            What is charged already and the whole envelope, composed at `limits.total.delta`, stay within each budget.

        Raises:
            BudgetExceeded: With what it needs and what is left.
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
            self._check_fits(charged(held), wanted.spend, most, limits.total.delta, owner, self.epsilon)
        if limits.adaptive_filter:
            total, owner = limits.total, f"{dataset} by the adaptive filter"

            def by_filter(history: Sequence[GaussianSteps], _: float) -> float:
                return self.filtered(history, total)

            self._check_fits(charged(on_dataset), wanted.spend, total.epsilon, total.delta, owner, by_filter)

    def check_share(self, wanted: Reservation, entries: Iterable[Entry], share: RuleShare, delta: float) -> None:
        """Refuses what a rule may not approve without a person beside what it approved by the ledger's entries.

        Guarantees:
            Nothing without differential privacy is a rule's to approve; all else, composed at `delta` with what the
            rule reserved lately, stays within its month.

        Raises:
            BudgetExceeded: With what it needs and what is left of the month.
            LimitExceeded: It has no differential privacy.
        """
        if wanted.non_private:
            raise LimitExceeded("What has no differential privacy is for people to approve.")
        lately = reserved_lately(entries, share.rule, until=datetime.now(UTC))
        owner = f"rule '{share.rule}' within 30 days"
        self._check_fits(lately, wanted.spend, share.max_month_epsilon, delta, owner, self.epsilon)

    def _check_fits(
        self,
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
        needed = rounded.cost(after - spent) if math.isfinite(after) else "without bound"
        left = rounded.left(max(most - spent, 0.0))
        raise BudgetExceeded(
            f"Budget exceeded: this request needs epsilon {needed}, {left} is left for {owner} "
            f"(delta {rounded.number(delta)}). The researcher can submit a plan of fewer rounds or a smaller epsilon; "
            "the hospital can end a study that needs no more rounds, which frees what it did not use, or allow more."
        )


def charged(held: Iterable[Reservation]) -> tuple[GaussianSteps, ...]:
    """What some reservations count together."""
    return merged(part for reservation in held for part in reservation.charged)
