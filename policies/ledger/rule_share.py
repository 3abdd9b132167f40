"""The share that a hospital's rule may reserve without a person, by the ledger's entries. It stays in the hospital."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from policies.budget.steps import GaussianSteps, merged
from policies.ledger.chain import Entry
from policies.ledger.reservations import steps_of

MONTH = timedelta(days=30)


@dataclass(frozen=True)
class RuleShare:
    """What one rule may reserve.

    Attributes:
        rule: The rule's name, which all its versions share.
        max_month_epsilon: Most epsilon that it may reserve within any 30 days, composed at the dataset's delta.
    """

    rule: str
    max_month_epsilon: float


def reserved_lately(entries: Iterable[Entry], rule: str, *, until: datetime) -> tuple[GaussianSteps, ...]:
    """The whole envelopes that a rule reserved within the 30 days before a moment, whatever became of them since.

    Guarantees:
        An entry from after that moment counts too: a clock that was put back gives a rule nothing anew.
    """
    since = (until - MONTH).isoformat(timespec="microseconds")
    return merged(
        steps
        for one in entries
        if one.kind == "reserve" and one.body.get("rule") == rule and one.at > since
        for steps in steps_of(one)
    )
