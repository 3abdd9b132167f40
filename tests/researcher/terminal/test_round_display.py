"""What the terminal says after each round of a study: why a hospital is left out stands there once."""

from __future__ import annotations

import io
from collections.abc import Mapping

from policies.terminal.rich_terminal import PlainConsole
from researcher.studies.history import RoundRecord
from researcher.terminal.progress import RoundDisplay

SECONDS = {"queue": 0.0, "transfer": 1.0, "train": 2.0, "aggregate": 0.5, "total": 4.0}
DENIED, LATE = "denied: no approval by the board", "late: its update of round 3 was not there when round 3 ended"


def said_after(*skipped: Mapping[str, str]) -> list[str]:
    """What is said of hospitals over rounds that left these out."""
    stream = io.StringIO()
    with RoundDisplay(PlainConsole(file=stream, width=200), ["a", "b", "c"], rounds=len(skipped)) as display:
        for number, reasons in enumerate(skipped, 1):
            came = tuple(name for name in ("a", "b", "c") if name not in reasons)
            display.on_round(RoundRecord(number, came, 0.75, 0.5, ((3, 1), (1, 3)), SECONDS, 10, 20, {}, reasons))
    lines = [line.strip() for line in stream.getvalue().splitlines()]
    return [line for line in lines if line.startswith(("without", "with "))]


def test_a_reason_that_stays_is_said_in_the_first_round_alone() -> None:
    assert said_after({"c": DENIED}, {"c": DENIED}, {"c": DENIED}) == [f"without c: {DENIED}"]


def test_another_reason_and_another_hospital_are_said_when_they_come() -> None:
    assert said_after({"c": "waiting"}, {"c": DENIED}, {"c": DENIED, "b": LATE}) == [
        "without c: waiting",
        f"without c: {DENIED}",
        f"without b: {LATE}",
    ]


def test_a_hospital_that_is_back_is_said_to_be_and_its_reason_is_said_anew_when_it_is_gone_again() -> None:
    assert said_after({"b": LATE}, {}, {}, {"b": LATE}) == [f"without b: {LATE}", "with b again", f"without b: {LATE}"]
