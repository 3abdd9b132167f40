"""One picture that cannot be taken, and why: a reason that stands in a table, never a value of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policies.errors import DataError


@dataclass(frozen=True)
class Reason:
    """Why a picture is not taken.

    Attributes:
        code: Short and stable, `not_a_picture` for instance; the word in the report's column.
        means: What is wrong, in a sentence.
        advice: What the hospital can do, in a sentence.
    """

    code: str
    means: str
    advice: str


class PictureRefused(DataError):
    """One picture cannot be taken. What `private` says stays in the hospital's report and log."""

    def __init__(self, reason: Reason, *, private: str = "") -> None:
        super().__init__(f"A picture was not taken: {reason.means} {reason.advice}", private=private)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes the reason and the private text travel."""
        return _again, (self.reason, self.private)


def _again(reason: Reason, private: str) -> PictureRefused:
    return PictureRefused(reason, private=private)
