"""Costs of a request: before it, this study, after it, against each limit, and what that means for one privacy unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasites.code_requests.books import Books
from datasites.review.earlier import Standing
from datasites.review.review import Cost, Scope
from datasites.review.study_row import StudyRow
from policies.answers.odds import odds
from policies.budget.accountant import plan_spend
from policies.budget.remaining import MOST_STUDIES
from policies.budget.steps import GaussianSteps, merged
from policies.ledger.budget_check import charged
from policies.ledger.reservations import Reservation

if TYPE_CHECKING:
    from datasites.code_requests.canonical import CanonicalRequest


def cost_of(checked: CanonicalRequest, books: Books, standing: Standing) -> Cost:
    """What a request costs beside all that stood when it was decided, or stands now.

    Guarantees:
        Every epsilon is composed from the ledger's steps and the plan's, never added up. The number of studies that
        remain is counted after this one, by composition; 0 where not even this one fits.
    """
    plan, limits = checked.plan, books.limits.current
    spend, unit = plan_spend(plan), plan.privacy.unit if plan.privacy else checked.dataset.manifest.unit
    on_dataset = [one for one in standing.held.values() if one.fingerprint == checked.dataset.manifest.budget_key]
    own = [one for one in on_dataset if one.researcher == checked.researcher]
    of_study = [one for one in own if one.study == plan.study]
    scopes = tuple(
        _scope(of, charged(held), spend, limit, books)
        for of, held, limit in (
            ("dataset", on_dataset, limits.total.epsilon),
            ("researcher", own, limits.max_researcher_epsilon),
            ("study", of_study, limits.max_study_epsilon),
        )
    )
    if not spend:
        return Cost(None, limits.total.delta, scopes, None, False, odds(None, unit), None, None)
    after = merged((*charged(on_dataset), *spend))
    alone = books.calculator.membership(merged(spend))
    left = books.calculator.studies_left(after, merged(spend), limits.total, adaptive=limits.adaptive_filter)
    open_before = any(one.non_private for one in on_dataset)
    return Cost(
        epsilon=books.epsilon(merged(spend)),
        delta=limits.total.delta,
        scopes=scopes,
        studies_left=left,
        studies_left_is_least=left >= MOST_STUDIES,
        odds=odds(alone, unit),
        membership=alone,
        membership_in_all=None if open_before else books.calculator.membership(after),
    )


def studies_of(books: Books, held: list[Reservation]) -> tuple[StudyRow, ...]:
    """One row for each researcher and study among reservations on one dataset."""
    by_study: dict[tuple[str, str], list[Reservation]] = {}
    for one in held:
        by_study.setdefault((one.researcher, one.study), []).append(one)
    return tuple(
        StudyRow(
            researcher=researcher,
            study=study,
            epsilon_charged=books.epsilon_charged(charged(own)),
            rounds_reserved=sum(one.rounds for one in own),
            rounds_run=sum(len(one.rounds_charged) for one in own),
            ended=all(one.released is not None for one in own),
            non_private=any(one.non_private for one in own),
        )
        for (researcher, study), own in by_study.items()
    )


def _scope(
    of: str, before: tuple[GaussianSteps, ...], spend: tuple[GaussianSteps, ...], limit: float, books: Books
) -> Scope:
    return Scope(of, books.epsilon(before), books.epsilon(merged((*before, *spend))), limit)
