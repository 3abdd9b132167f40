"""The card of a code request: all that a hospital's reviewer decides on. It stays in the hospital."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datasites.rehearsal.rehearsals import Rehearsal
from policies.plans.plan_json import ADDED_LATER


@dataclass(frozen=True)
class Unusual:
    """What is out of the ordinary in a plan: the field, and why."""

    field: str
    text: str


@dataclass(frozen=True)
class RequestCard:
    """One request. Plain values, ready for the terminal, JSON or a page.

    Attributes:
        id: The request's identifier.
        state: `pending`, `approved`, `denied` or `ended`.
        researcher: E-mail address of the account that asks.
        submitted: When, UTC.
        reason: The decision's reason.
        decided_by: Who decided.
        delta: At which epsilons are stated.
        plan: The plan, as plain values; empty when it cannot be read.
        epsilon: What the study would cost; None without differential privacy.
        epsilon_left: What is left of the dataset's budget.
        numbers: How many numbers leave in one round.
        digest: Over all that a decision covers.
        approvals: Who has approved so far, while more approvals are needed.
        approvals_needed: How many different people must approve.
        finding: Why the request cannot be approved; empty when it can.
        unusual: What is out of the ordinary in the plan: it can be approved all the same.
        dataset_version: Which version of the dataset its rounds read: the approved one, before that the newest.
        rehearsal: What its rehearsal on the mock came to; None where none was asked for.
    """

    id: str
    state: str
    researcher: str
    submitted: str
    reason: str
    decided_by: str
    delta: float
    plan: Mapping[str, Any] = field(default_factory=dict)
    epsilon: float | None = None
    epsilon_left: float = 0.0
    numbers: int = 0
    digest: str = ""
    approvals: tuple[str, ...] = ()
    approvals_needed: int = 1
    finding: str = ""
    unusual: tuple[Unusual, ...] = ()
    dataset_version: int = 1
    rehearsal: Rehearsal | None = field(default=None, metadata=ADDED_LATER)
