"""Progress in the terminal: what each hospital is doing and for how long, and a line for each round."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from policies.answers import rounded
from policies.terminal.rich_terminal import PlainConsole, line
from policies.untrusted_text import shown
from researcher.reports import StudyResult, wording
from researcher.studies.history import RoundRecord
from researcher.studies.remote_round import RoundEvent

_WORDS = {
    "canary queued": "canary: queued",
    "canary running": "canary: two steps on the mock",
    "sending": "sending weights",
    "queued": "queued",
    "running": "training",
    "receiving": "receiving update",
    "done": "update received",
    "failed": "failed",
    "cancelled": "cancelled",
    "unreachable": "out of reach, waiting",
}
LEFT_OUT = "left out"


class RoundDisplay:
    """A line for each hospital of one study, with the time that it has been in a round by this machine's clock.

    Below them stands how long the rounds that are left will take if they take as long as those that were seen. How far
    a hospital is within a round nobody is told. Why a hospital is left out is printed when that begins or its reason
    changes; that it is back is printed too. Use it as a context manager.
    """

    def __init__(self, console: PlainConsole, datasites: list[str], *, rounds: int, title: str = "") -> None:
        self._console, self._rounds = console, rounds
        self._progress = Progress(
            TextColumn("  {task.fields[name]:<14}", markup=False),
            TextColumn("round {task.fields[round]:>3}/{task.fields[rounds]}"),
            SpinnerColumn(),
            TextColumn("{task.fields[state]:<29}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._lines: dict[str, TaskID] = {
            name: self._progress.add_task("", total=None, name=shown(name), round=1, rounds=rounds, state="waiting")
            for name in datasites
        }
        self._left = self._progress.add_task("", total=None, name="time left", round=1, rounds=rounds, state="")
        self._took: list[float] = []
        self._left_out: dict[str, str] = {}
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
        row = self._lines[event.datasite]
        if event.state == "sending":
            self._progress.reset(row)
        self._progress.update(row, round=event.round + 1, state=doing(event))
        if event.state == "failed" and event.reason:
            self._console.print(line("  ", (event.datasite, "red"), f": {event.reason}"))

    def on_round(self, record: RoundRecord) -> None:
        """Prints a finished round. Who is left out of it is shown as that until something is heard of it."""
        self._took.append(record.seconds["total"])
        left = (self._rounds - record.round) * sum(self._took) / len(self._took)
        self._progress.update(self._left, round=record.round, state=f"about {wording.seconds(left)}")
        name, value = wording.headline(record)
        given_up = "" if record.datasites else "  given up: the model is as it was"
        spent = list(record.epsilon.values())
        cost = f"  epsilon {rounded.cost(max(spent)):>5}" if spent else ""
        self._console.print(
            line(
                f"  round {record.round:>3}/{self._rounds}  {name} ",
                (value, "bold"),
                f"  macro F1 {record.macro_f1:.3f}{cost}  {record.seconds['total']:5.1f} s",
                (given_up, "red"),
            )
        )
        for name, reason in record.skipped.items():
            if name in self._lines and name not in record.under_way:
                self._progress.update(self._lines[name], round=record.round, state=LEFT_OUT)
            if self._left_out.get(name) != reason:
                self._console.print(line("    ", (f"without {name}", "yellow"), f": {reason}"))
        for name in self._left_out:
            if name not in record.skipped:
                self._console.print(line("    ", (f"with {name}", "green"), " again"))
        self._left_out = dict(record.skipped)


def doing(event: RoundEvent) -> str:
    """What a hospital is doing; a queued run says how many stand before it."""
    waits = f", {shown(str(event.queue_position), most=12)} before" if event.queue_position else ""
    return _WORDS.get(event.state, shown(event.state, most=40)) + waits


def told_with_gram(result: StudyResult) -> str:
    """What the most charged hospital paid for rounds and Gram matrix, as rounds tell their steps alone; or nothing."""
    total = None if result.gram_noise is None else wording.highest(result.privacy_total)
    if total is None:
        return ""
    return (
        f"Rounds and Gram matrix: epsilon {rounded.cost(total.epsilon)} at delta {wording.number(total.delta)} together"
    )
