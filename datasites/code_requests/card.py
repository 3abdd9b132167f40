"""The card of a code request: all that a hospital's reviewer decides on. It stays in the hospital."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datasites.approvals.threads import Message
from datasites.approvals.votes import Vote
from datasites.rehearsal.rehearsals import Rehearsal
from policies.plans.plan_json import ADDED_LATER
from policies.plans.words.statement import Statement


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
        state: One of `policies.answers.requests.STATES`.
        researcher: E-mail address of the account that asks.
        submitted: When, UTC.
        reason: The decision's reason.
        decided_by: Who decided.
        delta: At which epsilons are stated.
        plan: The plan, as plain values, without its statement; empty when it cannot be read.
        epsilon: What the study would cost; None without differential privacy.
        epsilon_left: What is left of the dataset's budget.
        numbers: How many numbers leave in one round.
        digest: Over all that a decision covers.
        days_waiting: Whole days since it was submitted; 0 once it is decided.
        votes_given: How many have voted on what the card shows now, while it is pending.
        own_vote: How who looks has voted, likewise; empty if not at all.
        votes: All votes, once they are no secret any more: after the decision.
        approvals_needed: How many different people must vote.
        finding: Why the request cannot be approved; empty when it can.
        unusual: What is out of the ordinary in the plan: it can be approved all the same.
        dataset_version: Which version of the dataset its rounds read: the approved one, before that the newest.
        statement: What the researcher says of the request, unverified; None where nothing was said.
        thread: Questions and answers about it, oldest first.
        unanswered: How many of the questions wait for an answer.
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
    days_waiting: int = 0
    votes_given: int = 0
    own_vote: str = ""
    votes: tuple[Vote, ...] = ()
    approvals_needed: int = 1
    finding: str = ""
    unusual: tuple[Unusual, ...] = ()
    dataset_version: int = 1
    statement: Statement | None = field(default=None, metadata=ADDED_LATER)
    thread: tuple[Message, ...] = field(default=(), metadata=ADDED_LATER)
    unanswered: int = field(default=0, metadata=ADDED_LATER)
    rehearsal: Rehearsal | None = field(default=None, metadata=ADDED_LATER)
