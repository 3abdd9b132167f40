"""Answers to a researcher about a code request of theirs, and about an upload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from policies.answers.runs import Count
from policies.validate import Checks, one_of

STATES = ("pending", "approved", "denied", "returned", "ended")


@dataclass(frozen=True)
class RequestAnswer:
    """A code request.

    Attributes:
        request: Its identifier.
        state: One of `STATES`.
        reason: The hospital's.
    """

    request: str
    state: Annotated[str, one_of(*STATES)]
    reason: str


@dataclass(frozen=True)
class ReceiptAnswer:
    """The signed privacy receipt of a request, as text."""

    receipt: str


@dataclass(frozen=True)
class BlobAnswer:
    """An upload that has come whole.

    Attributes:
        digest: SHA-256 of it.
        bytes: How many there are.
    """

    digest: Annotated[str, Checks.digest]
    bytes: Count
