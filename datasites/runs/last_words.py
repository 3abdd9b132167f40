"""What may be told of an exception in a run, and only to the hospital's log: its text may hold any of the pictures."""

from __future__ import annotations

import traceback
from pathlib import Path

from policies.errors import TeamBroken


def last_words(error: BaseException) -> str:
    """The kind of an error and where it was raised, without its text.

    Where a run ends because another of its processes did, that one's last words follow: they were made here too.
    """
    frames = list(traceback.walk_tb(error.__traceback__))[-3:]
    places = ", ".join(f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in reversed(frames))
    told = f"{type(error).__name__} at {places}"
    return f"{told}; another of its processes: {error.private}" if isinstance(error, TeamBroken) else told
