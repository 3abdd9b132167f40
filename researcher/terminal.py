"""What a study looks like in the terminal: a progress bar for each hospital, a line for each round."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from policies.rich_terminal import PlainConsole, line
from policies.untrusted_text import shown
from researcher.history import RoundRecord
from researcher.remote_round import RoundEvent
from researcher.reports import wording

_WORDS = {
    "sending": "sending weights",
    "queued": "queued",
    "running": "training",
    "receiving": "receiving update",
    "done": "update received",
    "failed": "failed",
    "cancelled": "cancelled",
    "unreachable": "out of reach, waiting",
}


class RoundDisplay:
    """Progress bars for the hospitals of one study; use it as a context manager."""

    def __init__(self, console: PlainConsole, datasites: list[str], *, rounds: int, title: str = "") -> None:
        self._console, self._rounds = console, rounds
        self._progress = Progress(
            TextColumn("  {task.fields[name]:<14}", markup=False),
            TextColumn("round {task.fields[round]:>3}/{task.fields[rounds]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]:<22}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._bars: dict[str, TaskID] = {
            name: self._progress.add_task("", total=1.0, name=shown(name), round=1, rounds=rounds, state="waiting")
            for name in datasites
        }
        if title:
            console.print(title)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_event(self, event: RoundEvent) -> None:
        """Moves a hospital's bar."""
        self._progress.update(
            self._bars[event.datasite],
            completed=event.progress,
            round=event.round + 1,
            state=_words(event),
        )
        if event.state == "failed" and event.reason:
            self._console.print(line("  ", (event.datasite, "red"), f": {event.reason}"))

    def on_round(self, record: RoundRecord) -> None:
        """Prints a finished round."""
        spent = list(record.epsilon.values())
        cost = f"  epsilon {wording.epsilon(max(spent)):>5}" if spent else ""
        self._console.print(
            line(
                f"  round {record.round:>3}/{self._rounds}  accuracy ",
                (f"{record.test_accuracy:.3f}", "bold"),
                f"  macro F1 {record.macro_f1:.3f}{cost}  {record.seconds['total']:5.1f} s",
            )
        )
        for name, reason in record.skipped.items():
            self._console.print(line("    ", (f"without {name}", "yellow"), f": {reason}"))


def _words(event: RoundEvent) -> str:
    """What a hospital is doing; a queued run says how many stand before it."""
    waits = f", {event.queue_position} before" if event.queue_position else ""
    return _WORDS.get(event.state, shown(event.state, most=40)) + waits
