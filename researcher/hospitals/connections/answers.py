"""Answers of a datasite: plain values, read as the declared types."""

from __future__ import annotations

from typing import TypeVar

from policies.answers.plain_values import from_plain
from policies.errors import FederationError
from researcher.hospitals.secure_channel import httpx

_Answer = TypeVar("_Answer")


def answer_of(answer: httpx.Response) -> object:
    """Plain values; None for an answer that is not JSON, which is no declared type's."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def read_answer(kind: type[_Answer], content: object, whose: str) -> _Answer:
    """What a datasite answered, if it is what that answer declares; what one of a later release says more is left out.

    Args:
        kind: A type of `policies.answers`.
        content: Plain values.
        whose: The datasite, for the error.

    Raises:
        FederationError: It is anything else.
    """

    def refusal(text: str) -> FederationError:
        return FederationError(f"{whose} gave an answer that this version does not understand: {text}")

    return from_plain(kind, content, refusal, more_fields=True)
