"""Summaries of exceptions in a run, for the hospital's log alone, without their text, which may hold any picture."""

from __future__ import annotations

import traceback
from pathlib import Path

from policies.errors import ProcessGroupBroken, WanwuError

_ANOTHERS = "; another of its processes: "


def exception_summary(error: BaseException) -> str:
    """The code of an error, its kind and where it was raised, without its text.

    Where a run ends because another of its processes did, that one's summary follows: it was made here too.
    """
    frames = list(traceback.walk_tb(error.__traceback__))[-3:]
    places = ", ".join(f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in reversed(frames))
    code = f"{error.code} " if isinstance(error, WanwuError) else ""
    told = f"{code}{type(error).__name__} at {places}"
    return f"{told}{_ANOTHERS}{error.private}" if isinstance(error, ProcessGroupBroken) else told


def first_cause(words: str) -> str:
    """The code that a summary begins with, or those of the other process that ended first; else its kind."""
    return words.rpartition(_ANOTHERS)[2].partition(" ")[0]
