"""The table of rehearsals: what each request's run on the mock twin came to. It survives the datasite."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from datasites.files.sqlite_file import open_private
from policies.answers.rehearsals import RehearsalAnswer
from policies.errors import NotRehearsed

_SCHEMA = (Path(__file__).parent / "rehearsals.sql").read_text()
_COLUMNS = (
    "request_id, state, reason, seconds_a_step, peak_memory_mb, estimated_seconds_a_round, estimated_hours, "
    "assumptions, traceback, at"
)
_WRITE = """INSERT OR REPLACE INTO rehearsals VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10, COALESCE(
    (SELECT turn FROM rehearsals WHERE request_id=?1 AND NOT ?11), (SELECT max(turn)+1 FROM rehearsals), 1))"""


@dataclass(frozen=True)
class Rehearsal:
    """A request's rehearsal. The columns of rehearsals.sql.

    Attributes:
        request_id: Of the request.
        state: `waiting`, `running`, `passed`, `failed`, or `impossible` where there was nothing to rehearse it on.
        reason: Why it failed or is impossible; public.
        seconds_a_step: What one step took on this machine; of counts, the whole pass over the mock.
        peak_memory_mb: Most memory that its process held, with the libraries.
        estimated_seconds_a_round: What a round would take at the public size.
        estimated_hours: What all rounds would take.
        assumptions: What both estimates rest on.
        traceback: In lines; of the mock and of the platform's own code, so it is public.
        at: When it was asked for, began or ended, UTC.
    """

    request_id: str
    state: str = "waiting"
    reason: str = ""
    seconds_a_step: float = 0.0
    peak_memory_mb: int = 0
    estimated_seconds_a_round: float = 0.0
    estimated_hours: float = 0.0
    assumptions: str = ""
    traceback: str = ""
    at: str = ""

    def public(self) -> RehearsalAnswer:
        """What both sides see: all of it, since it was made of the mock, the plan and this machine."""
        return RehearsalAnswer(**{"request" if name == "request_id" else name: one for name, one in vars(self).items()})


class Rehearsals:
    """The rehearsals of one datasite. One process owns the file; its threads share it.

    Args:
        path: The SQLite file.
        on_arrival: Whether every request is rehearsed when it arrives.
        required: Whether a request must have passed before it can be approved.
    """

    def __init__(self, path: Path, *, on_arrival: bool = True, required: bool = False) -> None:
        self._connection = open_private(path, _SCHEMA)
        self._changed = threading.Condition()
        self._on_arrival, self._required = on_arrival, required

    def close(self) -> None:
        """Closes the file."""
        with self._changed:
            self._connection.close()

    def arrived(self, request_id: str) -> None:
        """Has a request rehearsed that has just come in, where the settings want that."""
        if self._on_arrival:
            self.ask(request_id)

    def ask(self, request_id: str) -> Rehearsal:
        """Has a request rehearsed, again if it was before; one that waits or runs is left as it is."""
        with self._changed:
            found = self.of(request_id)
            if found is None or found.state not in ("waiting", "running"):
                found = self._write(Rehearsal(request_id), last=True)
        return found

    def of(self, request_id: str) -> Rehearsal | None:
        """A request's rehearsal, if one was asked for."""
        return self._one("request_id=?", request_id)

    def next(self) -> Rehearsal | None:
        """The one that has waited longest, if any waits."""
        return self._one("state='waiting' ORDER BY turn LIMIT 1")

    def begin(self, rehearsal: Rehearsal) -> None:
        """Says that it runs."""
        self._write(replace(rehearsal, state="running"))

    def put_back(self, rehearsal: Rehearsal) -> None:
        """Says that it waits again, in the turn that it had: something more important ended it."""
        self._write(Rehearsal(rehearsal.request_id))

    def end(self, rehearsal: Rehearsal) -> None:
        """Writes down what it came to."""
        self._write(rehearsal)

    def recover(self) -> None:
        """Has those wait again that were running when the datasite stopped."""
        with self._changed:
            self._connection.execute("UPDATE rehearsals SET state='waiting' WHERE state='running'")

    def check(self, request_id: str, *, always: bool = False) -> None:
        """Returns if the request may be approved, as far as its rehearsal goes.

        Raises:
            NotRehearsed: It has not passed, and the settings or `always` ask for that.
        """
        if not (self._required or always):
            return
        found = self.of(request_id)
        state = "not asked for" if found is None else found.state
        if state != "passed":
            raise NotRehearsed(
                f"This hospital approves what has passed its rehearsal; this one is {state}. Wait for it, or have it "
                "rehearsed again with 'python -m datasites rehearse'."
            )

    def wait(self, changed: Callable[[], bool], timeout_seconds: float) -> None:
        """Blocks until `changed()` holds or the time is up; looks again after each change of the table."""
        with self._changed:
            self._changed.wait_for(changed, timeout=timeout_seconds)

    def wake(self) -> None:
        """Makes whoever waits look again."""
        with self._changed:
            self._changed.notify_all()

    def _one(self, where: str, *values: str) -> Rehearsal | None:
        with self._changed:
            row = self._connection.execute(f"SELECT {_COLUMNS} FROM rehearsals WHERE {where}", values).fetchone()  # noqa: S608
        return Rehearsal(*row) if row else None

    def _write(self, rehearsal: Rehearsal, *, last: bool = False) -> Rehearsal:
        """Writes a row as of now; with `last` its turn comes after all others', else it keeps the one that it had."""
        written = replace(rehearsal, at=datetime.now(UTC).isoformat(timespec="seconds"))
        with self._changed:
            self._connection.execute(_WRITE, (*astuple(written), last))
            self._changed.notify_all()
        return written
