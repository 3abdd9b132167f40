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

# Where there is no terminal: a line at each tenth, and each time that it lasts twice as long as at the line before. A
# year has 23 of the latter, so a pipe that nobody reads holds them all.
_TENTHS = 10
_FIRST_SECONDS = 5.0
_SPEED_SECONDS = 600.0  # a step of a large network may take a minute


class Watched:
    """Tells on standard error how far something is, while it is entered.

    Args:
        what: What is done, such as "Reading pictures".
    """

    def __init__(self, what: str) -> None:
        self._what, self._told, self._begun = shown(what), 0, time.monotonic()
        self._next_seconds = _FIRST_SECONDS
        self._first: tuple[float, int] | None = None  # when something was done for the first time, and how much
        console = PlainConsole(file=sys.stderr)
        self._bar: Progress | None = None
        if console.is_terminal:
            described = TextColumn("{task.description}", markup=False)
            columns = described, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._bar = Progress(
                *columns,
                console=console,
                transient=True,
                speed_estimate_period=_SPEED_SECONDS,
                redirect_stdout=sys.stdout.isatty(),  # lines for a file are none of standard error's
            )
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

    def __call__(self, done: int, total: int, at: str = "") -> None:
        """Takes note of how much is done, of how much there is, and of what is being done."""
        told = f" ({shown(at)})" if at else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, description=self._what + told)
            return
        now = time.monotonic()
        seconds = now - self._begun
        if self._first is None and done:
            self._first = now, done
        tenth = _TENTHS * done // max(total, 1)
        if seconds < _FIRST_SECONDS or not 0 < done < total:
            return
        if tenth > self._told or seconds >= self._next_seconds:
            self._told, self._next_seconds = tenth, 2 * seconds
            say(f"{self._what}: {done:,} of {total:,}{told}{self._left(now, done, total)}", to_errors=True)

    def _left(self, now: float, done: int, total: int) -> str:
        """How long the rest takes at the pace since something was done first; before that it was still beginning.

        Nothing while that is so short ago that several that work at once may have told of theirs together.
        """
        first, so_many = self._first or (now, done)
        if done <= so_many or now - first < _FIRST_SECONDS:
            return ""
        return f", {_time((now - first) * (total - done) / (done - so_many))} left"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
