"""A run as one line of the console: the page shows it, and a stream of events renews it."""

from __future__ import annotations

from dataclasses import dataclass

from datasites.pages.frame.state_words import state_word
from datasites.pages.languages.languages import Language
from datasites.runs.queue import ACTIVE, Run

_LONGEST_GUESS_SECONDS = 30 * 86_400.0


@dataclass(frozen=True)
class RunLine:
    """What changes on a run's line while it goes on, in one language.

    Attributes:
        id: Of the run.
        state: As the queue has it.
        word: The state as it is shown.
        tone: Of its badge.
        progress: Share of its steps that were taken.
        share: The same as a text.
        seconds: How long it has gone on, or took; empty before its start.
        left: How long it will still go on, where that can be told; else empty.
        active: Whether it waits or goes on.
    """

    id: str
    state: str
    word: str
    tone: str
    progress: float
    share: str
    seconds: str
    left: str
    active: bool


def line_of(run: Run, now: float, language: Language) -> RunLine:
    """The line of a run at a time."""
    word = state_word(run.state)
    seconds = max((run.ended or now) - run.started, 0.0) if run.started else None
    return RunLine(
        id=run.id,
        state=run.state,
        word=language.gettext(word.text),
        tone=word.tone,
        progress=run.progress,
        share=language.percent(run.progress),
        seconds="" if seconds is None else language.number(round(seconds)),
        left=_left(run, now, language),
        active=run.state in ACTIVE,
    )


def _left(run: Run, now: float, language: Language) -> str:
    """What is left of a run at the pace of what is done; nothing is told before a tenth of it is done."""
    if run.state != "running" or run.progress <= 0:
        return ""
    left = (now - run.started) * (1 / run.progress - 1)
    if not 1 <= left < _LONGEST_GUESS_SECONDS:
        return language.gettext("soon")
    return language.gettext("about %(time)s", time=language.duration(left))
