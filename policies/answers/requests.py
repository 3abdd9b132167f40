"""Answers to a researcher about a code request of theirs, and about an upload."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from policies.answers.runs import Count
from policies.plans.plan_json import ADDED_LATER
from policies.validate import Checks, one_of

# A request's states, each a word that both sides are told. All but the first are decisions.
STATES = ("pending", "approved", "denied", "returned", "withdrawn", "ended")
# Who wrote a message: of the hospital's people, researchers are told no more than the side.
HOSPITAL, RESEARCHER = "hospital", "researcher"
MOST_IN_A_MESSAGE = 2000


def with_reason(state: str, reason: str) -> str:
    """A state as it is told: with the reason behind a colon, where one was given."""
    return f"{state}: {reason}" if reason else state


@dataclass(frozen=True)
class RequestAnswer:
    """A code request.

    Attributes:
        request: Its identifier.
        state: One of `STATES`.
        reason: The hospital's.
        questions: How many of the hospital's questions wait for the researcher's answer.
    """

    request: str
    state: Annotated[str, one_of(*STATES)]
    reason: str
    questions: Count = field(default=0, metadata=ADDED_LATER)


@dataclass(frozen=True)
class MessageAnswer:
    """One message about a request.

    Attributes:
        side: Who wrote it: `hospital` or `researcher`.
        text: What was written.
        at: When, UTC.
    """

    side: Annotated[str, one_of(HOSPITAL, RESEARCHER)]
    text: str
    at: str


@dataclass(frozen=True)
class ThreadAnswer:
    """What hospital and researcher wrote to each other about a request.

    Attributes:
        request: Its identifier.
        messages: Oldest first.
        questions: How many of the hospital's wait for an answer.
    """

    request: str
    messages: tuple[MessageAnswer, ...]
    questions: Count


@dataclass(frozen=True)
class ReceiptAnswer:
    """The signed privacy receipt of a request, as text."""

    receipt: str


@dataclass(frozen=True)
class BlobAnswer:
    """An upload that has come whole, or how much of one has.

    Attributes:
        digest: SHA-256 of the whole.
        bytes: How many there are.
    """

    digest: Annotated[str, Checks.digest]
    bytes: Count
