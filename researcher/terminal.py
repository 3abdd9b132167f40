"""What a study looks like in the terminal: what each hospital is doing and for how long, a line for each round."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

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
    """A line for each hospital of one study, with the time that it has been in a round by this machine's clock.

    How far a hospital is nobody is told. Use it as a context manager.
    """

    def __init__(self, console: Console, datasites: list[str], *, rounds: int, title: str = "") -> None:
        self._console, self._rounds = console, rounds
        self._progress = Progress(
            TextColumn("  {task.fields[name]:<14}"),
            TextColumn("round {task.fields[round]:>3}/{task.fields[rounds]}"),
            SpinnerColumn(),
            TextColumn("{task.fields[state]:<22}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._lines: dict[str, TaskID] = {
            name: self._progress.add_task("", total=None, name=name, round=1, rounds=rounds, state="waiting")
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
        """Changes a hospital's line; its clock starts anew with each round."""
        line = self._lines[event.datasite]
        if event.state == "sending":
            self._progress.reset(line)
        self._progress.update(line, round=event.round + 1, state=_words(event))
        if event.state == "failed" and event.reason:
            self._console.print(f"  [red]{event.datasite}[/red]: {event.reason}", highlight=False)

    def on_round(self, record: RoundRecord) -> None:
        """Prints a finished round."""
        given_up = "" if record.datasites else "  [red]given up: the model is as it was[/red]"
        spent = list(record.epsilon.values())
        cost = f"  epsilon {wording.epsilon(max(spent)):>5}" if spent else ""
        self._console.print(
            f"  round {record.round:>3}/{self._rounds}  accuracy [bold]{record.test_accuracy:.3f}[/bold]  macro F1 "
            f"{record.macro_f1:.3f}{cost}  {record.seconds['total']:5.1f} s{given_up}",
            highlight=False,
        )
        for name, reason in record.skipped.items():
            self._console.print(f"    [yellow]without {name}[/yellow]: {reason}", highlight=False)


def _words(event: RoundEvent) -> str:
    """What a hospital is doing; a queued run says how many stand before it."""
    waits = f", {event.queue_position} before" if event.queue_position else ""
    return _WORDS.get(event.state, event.state) + waits
