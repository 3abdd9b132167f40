"""The review of one code request, as plain values for the terminal, JSON or a page. It stays in the hospital.

Every figure comes from the ledger, the plan or the dataset. What the researcher wrote stands in `words`, and in
the names of an own model's layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from datasites.code_requests.card import RequestCard
from datasites.elsewhere.told_decisions import DecidedElsewhere
from datasites.review.study_row import StudyRow
from policies.answers.sentence import Sentence
from policies.budget.membership import MembershipBounds
from policies.graphs.losses.loss_summary import LossSummary
from policies.graphs.summary import Summary

MOST_LAYERS = 400
"""Of an own model, shown one by one on a card; whoever wants all takes the review as JSON."""


@dataclass(frozen=True)
class ReviewFinding:
    """What speaks against a request.

    Attributes:
        topic: `refused`, `budget`, `delta`, `text`, `contradiction`, `repeat`, `graph`, `version`, `unit` or `weights`.
        reason: Why it is told.
    """

    topic: str
    reason: Sentence


@dataclass(frozen=True)
class Scope:
    """One of the budgets that a request must fit into: before it, after it, and the most.

    Attributes:
        of: `dataset`, `researcher` or `study`.
        before: Epsilon charged without this request.
        after: With it, composed.
        limit: The most that may be.
    """

    of: str
    before: float
    after: float
    limit: float


@dataclass(frozen=True)
class Cost:
    """What a request costs.

    Attributes:
        epsilon: Of this request alone; None without differential privacy.
        delta: At which epsilons are stated.
        scopes: The dataset's budget, the researcher's and the study's.
        studies_left: How many studies like this fit after it, by composition; None without differential privacy.
        studies_left_is_least: Whether there may be more than that.
        odds: What it means for one privacy unit.
        membership: What any test of membership can find in this request's releases; None without differential privacy.
        membership_in_all: Likewise in everything that was released and reserved of the dataset, this included.
    """

    epsilon: float | None
    delta: float
    scopes: tuple[Scope, ...]
    studies_left: int | None
    studies_left_is_least: bool
    odds: Sentence
    membership: MembershipBounds | None
    membership_in_all: MembershipBounds | None


class Found(NamedTuple):
    """What a test finds at a false alarm rate: in this request's releases, and in all of the dataset's so far."""

    rate: float
    here: float
    in_all: float | None


def found_by_tests(cost: Cost) -> list[Found]:
    """What the best test finds at each false alarm rate; empty without differential privacy."""
    here, in_all = cost.membership, cost.membership_in_all
    if here is None:
        return []
    return [
        Found(rate, power, in_all.powers[index] if in_all else None)
        for index, (rate, power) in enumerate(zip(here.false_alarm_rates, here.powers, strict=True))
    ]


@dataclass(frozen=True)
class Changed:
    """A setting of a plan that differs: `what` in plain words, and both values."""

    field: str
    what: str
    before: str
    now: str


@dataclass(frozen=True)
class Differences:
    """What differs from an earlier request that was approved.

    Attributes:
        of: `researcher` for the last one of this researcher, `study` for the last one of the study.
        request_id: Of the earlier request.
        study: Its study.
        changed: Field by field; empty where only names and digests can differ.
    """

    of: str
    request_id: str
    study: str
    changed: tuple[Changed, ...]


@dataclass(frozen=True)
class Channel:
    """One way in which something could leave.

    Attributes:
        channel: Its name.
        risk: What it could tell, by its name.
        check: What checks it.
        evidence: What that found, or the figures that it rests on.
        bound: What bounds the rest.
    """

    channel: str
    risk: Sentence
    check: Sentence
    evidence: Sentence
    bound: Sentence


@dataclass(frozen=True)
class Question:
    """One of the five questions of a data-protection officer: `purpose`, `data`, `people`, `setting` or `outputs`."""

    question: str
    answers: tuple[Sentence, ...]


@dataclass(frozen=True)
class Review(RequestCard):
    """A request's card, and all else that a decision on it rests on.

    Attributes:
        words: What the researcher wrote, name → text. Nobody has checked it.
        enrolled_since: When this researcher was first given a certificate, ISO 8601; empty where that is not known.
        decided_before: How the hospital decided on this researcher's other requests: decision → how many.
        studies: What this researcher's studies are charged on this dataset.
        computed: What is computed, in plain words.
        leaves: What leaves, how often, and what does not.
        model_from: Where the model comes from.
        model_digest: Over the model and the shapes of what comes in, hexadecimal; empty where there is none.
        cost: What it costs; None where the request cannot be read.
        differences: From the last approved request of this researcher, and of this study.
        channels: What could leak.
        questions: The five questions, answered.
        findings: What speaks against it; empty on an ordinary request.
        gpu_hours: How long it will take, where a rehearsal has told.
        plan_digest: Of the plan, hexadecimal; empty where it cannot be read.
        own_model: What the graph of an own model is made of; None where the model is built in, or there is none.
        own_loss: What the graph of an own loss is made of; None where the loss is built in, or there is none.
        elsewhere: What other hospitals told of their decisions on exactly this plan; never in a record.
    """

    words: Mapping[str, str] = field(default_factory=dict)
    enrolled_since: str = ""
    decided_before: Mapping[str, int] = field(default_factory=dict)
    studies: tuple[StudyRow, ...] = ()
    computed: Sentence | None = None
    leaves: tuple[Sentence, ...] = ()
    model_from: Sentence | None = None
    model_digest: str = ""
    cost: Cost | None = None
    differences: tuple[Differences, ...] = ()
    channels: tuple[Channel, ...] = ()
    questions: tuple[Question, ...] = ()
    findings: tuple[ReviewFinding, ...] = ()
    gpu_hours: float | None = None
    plan_digest: str = field(default="", metadata={"added_later": True})
    own_model: Summary | None = field(default=None, metadata={"added_later": True})
    own_loss: LossSummary | None = field(default=None, metadata={"added_later": True})
    elsewhere: tuple[DecidedElsewhere, ...] = field(default=(), metadata={"added_later": True})
