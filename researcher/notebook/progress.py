"""Progress of a study's rounds where it is watched: bars of tqdm in a notebook, lines of rich in a terminal."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from policies.terminal.rich_terminal import PlainConsole
from policies.untrusted_text import shown
from researcher.reports import wording
from researcher.studies.history import RoundRecord
from researcher.studies.remote_round import RoundEvent
from researcher.terminal.progress import LEFT_OUT, RoundDisplay, doing


class Display(Protocol):
    """What shows how a study goes on; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def on_event(self, event: RoundEvent) -> None:
        """Shows what a hospital is doing."""

    def on_round(self, record: RoundRecord) -> None:
        """Shows a finished round."""


class RoundBars:
    """A bar for each hospital and one for the rounds, each with the time left, as tqdm reckons it from what was seen.

    Args:
        datasites: The study's.
        rounds: Of the plan.
        done: How many were done before.
    """

    def __init__(self, datasites: Sequence[str], *, rounds: int, done: int) -> None:
        from tqdm.auto import tqdm

        form: dict[str, object] = {"total": rounds, "initial": done, "unit": "round", "smoothing": 0}
        self._bars: Mapping[str, Any] = {name: tqdm(desc=f"{shown(name)}: waiting", **form) for name in datasites}
        self._rounds: Any = tqdm(desc="rounds", **form)
        self._cell, self._one_at_a_time = contextvars.copy_context(), threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in (*self._bars.values(), self._rounds):
            bar.close()

    def on_event(self, event: RoundEvent) -> None:
        """Writes what a hospital is doing before its bar, as the cell's own output whichever thread is told of it."""
        with self._one_at_a_time:
            self._cell.run(self._show, event)

    def _show(self, event: RoundEvent) -> None:
        bar = self._bars[event.datasite]
        bar.set_description_str(f"{shown(event.datasite)}: {doing(event)}", refresh=False)
        if event.state == "done":
            bar.update(event.round + 1 - bar.n)
        bar.refresh()

    def on_round(self, record: RoundRecord) -> None:
        """Moves the bar of rounds on; says how well the global model does, and at their bars who was left out."""
        for name in record.skipped:
            if name in self._bars and name not in record.under_way:
                self._bars[name].set_description_str(f"{shown(name)}: {LEFT_OUT}")
        name, value = wording.headline(record)
        self._rounds.set_postfix_str(f"{name} {value}", refresh=False)
        self._rounds.update(record.round - self._rounds.n)


def round_display(datasites: Sequence[str], *, rounds: int, done: int) -> Display:
    """What suits the place that this program runs in.

    Args:
        datasites: The study's.
        rounds: Of the plan.
        done: How many were done before.
    """
    if in_notebook():
        return RoundBars(datasites, rounds=rounds, done=done)
    return RoundDisplay(PlainConsole(), list(datasites), rounds=rounds)


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this program."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
