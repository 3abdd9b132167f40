"""A datasite's answer about a request's rehearsal on the mock twin: what it tells is of the mock and of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from policies.answers.runs import Count
from policies.untrusted_text import is_plain
from policies.validate import Checks, one_of

STATES = ("waiting", "running", "passed", "failed", "impossible")
MAX_LINES, MAX_LINE, MAX_TEXT = 80, 300, 1000
_MAX_SECONDS = 1e12


def _text(checks: Checks, field: str, value: str) -> str:
    if len(value) > MAX_TEXT or not is_plain(value):
        raise checks.refusal(f"{field} must be at most {MAX_TEXT} characters in one line, none of them invisible.")
    return value


def _lines(checks: Checks, field: str, value: str) -> str:
    lines = value.split("\n")
    if len(lines) > MAX_LINES or any(len(line) > MAX_LINE or not is_plain(line) for line in lines):
        raise checks.refusal(
            f"{field} must be at most {MAX_LINES} lines of {MAX_LINE} characters, none of them invisible."
        )
    return value


def _amount(checks: Checks, field: str, value: float) -> float:
    return checks.number(field, value, low=0, high=_MAX_SECONDS)


@dataclass(frozen=True)
class RehearsalAnswer:
    """A request's rehearsal: a few steps on the mock twin, at the hospital, in the enclosure of its runs.

    Attributes:
        request: The request's identifier.
        state: One of `STATES`.
        reason: Why it failed or is impossible.
        seconds_a_step: What one step took there; of counts, the whole pass over the mock.
        peak_memory_mb: Most memory that its process held, with the libraries.
        estimated_seconds_a_round: What a round would take at the public size.
        estimated_hours: What all rounds would take.
        assumptions: What both estimates rest on.
        traceback: In lines, where it failed.
        at: When it was asked for, began or ended, UTC.
    """

    request: str
    state: Annotated[str, one_of(*STATES)]
    reason: Annotated[str, _text]
    seconds_a_step: Annotated[float, _amount]
    peak_memory_mb: Count
    estimated_seconds_a_round: Annotated[float, _amount]
    estimated_hours: Annotated[float, _amount]
    assumptions: Annotated[str, _text]
    traceback: Annotated[str, _lines]
    at: Annotated[str, _text]

    @property
    def times_rest_on(self) -> str:
        """What its times rest on; empty where it told none."""
        return self.assumptions if self.state == "passed" else ""

    def told(self, *, with_assumptions: bool = True) -> str:
        """It in one line, for people.

        Args:
            with_assumptions: Whether what its times rest on is said with them; several are told it once.
        """
        if self.state == "passed" and with_assumptions:
            return (
                f"passed, about {self.estimated_seconds_a_round:g} s a round and {duration(self.estimated_hours)} "
                f"in all ({self.seconds_a_step:g} s a step, {self.peak_memory_mb} MB; {self.assumptions})"
            )
        if self.state == "passed":
            return (
                f"passed, about {self.estimated_seconds_a_round:g} s a round and {duration(self.estimated_hours)} "
                f"in all ({self.seconds_a_step:g} s a step, {self.peak_memory_mb} MB)"
            )
        return f"{self.state}: {self.reason}" if self.reason else self.state


def duration(hours: float) -> str:
    """So many hours, in the unit in which they are easily read."""
    if hours >= 1:
        return f"{hours:g} h"
    return f"{60 * hours:.0f} min" if 60 * hours >= 2 else f"{3600 * hours:.0f} s"
