"""Progress of something long: a bar with the time left in a terminal, a few plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from policies.terminal.printing import say
from policies.terminal.rich_terminal import PlainConsole
from policies.untrusted_text import shown

_LINES = 10  # at most so many, where there is no terminal: a pipe that nobody reads holds them
_FIRST_SECONDS = 5.0


class Watched:
    """Tells on standard error how far something is, while it is entered.

    Args:
        what: What is done, such as "Reading pictures".
    """

    def __init__(self, what: str) -> None:
        self._what, self._told, self._begun = shown(what), 0, time.monotonic()
        console = PlainConsole(file=sys.stderr)
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task(self._what, total=None)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Takes note of how much is done, and of how much there is."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
            return
        seconds = time.monotonic() - self._begun
        tenth = _LINES * done // max(total, 1)
        if tenth > self._told and seconds >= _FIRST_SECONDS and done < total:
            self._told = tenth
            left = seconds * (total - done) / done
            say(f"{self._what}: {done:,} of {total:,}, {_time(left)} left", to_errors=True)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
