"""The grant that a rule of the hospital's brings in the place of people's votes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from policies.budget.limits import DatasetLimits
from policies.ledger.rule_share import RuleShare


@dataclass(frozen=True)
class RuleGrant:
    """A rule's approval of one request.

    Attributes:
        by: What the decision stands under: the rule's name and version.
        version: Of the rule, hexadecimal.
        share: What it may reserve in a month.
        max_study_epsilon: Most epsilon of a study that it approves a part of.
        people: How many people stand behind the rule.
        digest: Of the card that the rule was asked about.
    """

    by: str
    version: str
    share: RuleShare
    max_study_epsilon: float
    people: int
    digest: str

    def within(self, limits: DatasetLimits) -> DatasetLimits:
        """The limits with the rule's own for a study, where that is less."""
        return replace(limits, max_study_epsilon=min(limits.max_study_epsilon, self.max_study_epsilon))
