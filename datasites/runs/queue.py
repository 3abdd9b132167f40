"""The run queue: a SQLite table that survives the datasite, idempotent on (request, round)."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from datasites.files.sqlite_file import open_private
from policies.answers.runs import RunAnswer
from policies.errors import RequestUnknown, RoundRefused

_SCHEMA = (Path(__file__).parent / "queue.sql").read_text()
ACTIVE = ("queued", "running")


@dataclass(frozen=True)
class Run:
    """One round of one request, as the queue knows it. The columns of queue.sql."""

    id: str
    request_id: str
    round: int
    account: str
    weights: str
    state: str
    attempt: int
    progress: float
    reason: str
    code: str
    update_digest: str
    created: float
    started: float
    ended: float
    version: int

    def public(self, *, queue_position: int = 0) -> RunAnswer:
        """What a researcher may see: the declared public fields of a run, nothing else.

        Guarantees:
            Between a run's visible start and its visible end none of them changes: they tell nothing of how far it is.
        """
        return RunAnswer(
            run=self.id,
            round=self.round,
            state=self.state,
            code=self.code,
            reason=self.reason,
            update=self.update_digest,
            queue_position=queue_position,
            version=self.version,
        )


class RunQueue:
    """The queue of one datasite. One process owns it; its threads share it."""

    def __init__(self, path: Path) -> None:
        self._connection = open_private(path, _SCHEMA)
        self._lock = threading.Condition()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    def recover(self) -> int:
        """Queues again what was running when the datasite stopped; nothing of it had been seen. Returns how many."""
        with self._transaction():
            cursor = self._connection.execute(
                "UPDATE runs SET state='queued', progress=0, attempt=attempt+1, version=version+1 WHERE state='running'"
            )
        return cursor.rowcount

    def enqueue(self, *, request_id: str, round_index: int, account: str, weights: str) -> Run:
        """Queues a round, or returns the run that already stands for it.

        A run that failed or was cancelled is queued again as its next attempt; whether its round may run at all is for
        the ledger to say. A finished one is returned as it is, with its stored update.

        Raises:
            RoundRefused: The round is queued, running or finished with other weights.
        """
        with self._transaction():
            found = self._find(request_id, round_index)
            if found is None:
                values = (secrets.token_hex(8), request_id, round_index, account, weights)
                self._connection.execute(
                    "INSERT INTO runs VALUES (?,?,?,?,?,'queued',1,0,'','','',?,0,0,1)",
                    (*values, time.time()),
                )
            elif found.state in ("failed", "cancelled"):
                self._connection.execute(
                    "UPDATE runs SET state='queued', weights=?, attempt=attempt+1, progress=0, reason='', code='', "
                    "created=?, started=0, ended=0, version=version+1 WHERE id=?",
                    (weights, time.time(), found.id),
                )
            elif found.weights != weights:
                raise RoundRefused(
                    f"Round {round_index + 1} is {found.state} with other weights. A round runs once; take its update, "
                    "or go on with the next round."
                )
            run = self._find(request_id, round_index)
        if run is None:
            raise RoundRefused("The run could not be queued.")
        return run

    def waiting(self) -> tuple[Run, ...]:
        """The queued runs, oldest first."""
        with self._lock:
            rows = self._connection.execute("SELECT * FROM runs WHERE state='queued' ORDER BY created").fetchall()
        return tuple(Run(*row) for row in rows)

    def take(self, run_id: str) -> Run | None:
        """Marks a queued run as running and returns it; None when it is not queued any more."""
        with self._transaction():
            cursor = self._connection.execute(
                "UPDATE runs SET state='running', started=?, version=version+1 WHERE id=? AND state='queued'",
                (time.time(), run_id),
            )
            return self._by_id(run_id) if cursor.rowcount else None

    def has_work(self) -> bool:
        """Whether a run waits. Call it inside `wait` only."""
        return self._connection.execute("SELECT 1 FROM runs WHERE state='queued'").fetchone() is not None

    def is_idle(self) -> bool:
        """Whether no run is queued or running, as a researcher can see it too: an end shows at times of a grid."""
        with self._lock:
            row = self._connection.execute("SELECT 1 FROM runs WHERE state IN ('queued', 'running')").fetchone()
        return row is None

    def progress(self, run_id: str, share: float) -> None:
        """Records how much of a running run is done, in tenths, for the hospital's people: no version is counted."""
        tenths = min(max(int(share * 10), 0), 10) / 10
        with self._transaction():
            self._connection.execute(
                "UPDATE runs SET progress=? WHERE id=? AND state='running' AND progress<>?", (tenths, run_id, tenths)
            )

    def finish(self, run_id: str, update_digest: str) -> None:
        """Marks a running run as done."""
        self._end(run_id, "done", code="", reason="", update=update_digest)

    def fail(self, run_id: str, *, code: str, reason: str, state: str = "failed") -> None:
        """Marks a queued or running run as failed or cancelled, with a public reason."""
        self._end(run_id, state, code=code, reason=reason, update="")

    def find(self, request_id: str, round_index: int) -> Run | None:
        """The run of a round, if any."""
        with self._lock:
            return self._find(request_id, round_index)

    def by_id(self, run_id: str) -> Run | None:
        """The run with that identifier, if any."""
        with self._lock:
            return self._by_id(run_id)

    def list(self, request_id: str | None = None) -> list[Run]:
        """All runs, or those of a request, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT * FROM runs WHERE ?1 IS NULL OR request_id=?1 ORDER BY created, round", (request_id,)
            ).fetchall()
        return [Run(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many runs there are in each state; a state of none is left out."""
        with self._lock:
            return dict(self._connection.execute("SELECT state, COUNT(*) FROM runs GROUP BY state").fetchall())

    def page(self, *, state: str | None = None, after: str | None = None, count: int = 50) -> tuple[Run, ...]:
        """At most `count` runs, the one whose round was asked for last first.

        Args:
            state: Only those in this state.
            after: The last run of the page before.
            count: How many at most.

        Raises:
            RequestUnknown: `after` is no run.
        """
        given: dict[str, object] = {} if state is None else {"state=?": state}
        with self._lock:
            if after is not None:
                row = self._connection.execute("SELECT rowid FROM runs WHERE id=?", (after,)).fetchone()
                if row is None:
                    raise RequestUnknown("There is no such page of runs. Begin with the first.")
                given["rowid<?"] = row[0]
            chosen = f"WHERE {' AND '.join(given)}" if given else ""
            rows = self._connection.execute(
                f"SELECT * FROM runs {chosen} ORDER BY rowid DESC LIMIT ?",  # noqa: S608
                (*given.values(), count),
            ).fetchall()
        return tuple(Run(*row) for row in rows)

    def moving(self, since: float, count: int) -> tuple[Run, ...]:
        """At most `count` runs under way, ended after `since`, or waiting, in this order."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT * FROM runs WHERE state='running' UNION ALL SELECT * FROM runs WHERE ended>?1 UNION ALL "
                "SELECT * FROM (SELECT * FROM runs WHERE state='queued' ORDER BY created) LIMIT ?2",
                (since, count),
            ).fetchall()
        return tuple(Run(*row) for row in rows)

    def named(self, beginning: str) -> Run:
        """The one run whose identifier begins so.

        Raises:
            RequestUnknown: None does, or more than one.
        """
        with self._lock:
            rows = self._connection.execute(
                "SELECT * FROM runs WHERE id>=?1 AND id<?1||char(1114111) LIMIT 2", (beginning,)
            ).fetchall()
        if len(rows) != 1 or not beginning:
            raise RequestUnknown(f"{'More than one' if rows else 'No'} run begins with {beginning!r}.")
        return Run(*rows[0])

    def position(self, run: Run) -> int:
        """How many runs stand before a queued one."""
        if run.state != "queued":
            return 0
        with self._lock:
            row = self._connection.execute(
                "SELECT count(*) FROM runs WHERE state='running' OR (state='queued' AND created<?)",
                (run.created,),
            ).fetchone()
        return int(row[0])

    def positions(self) -> dict[str, int]:
        """As `position`, of all queued runs at once: identifier → how many runs stand before it."""
        with self._lock:
            return dict(
                self._connection.execute(
                    "SELECT id, (SELECT count(*) FROM runs WHERE state='running') + rank() OVER (ORDER BY created) - 1 "
                    "FROM runs WHERE state='queued'"
                ).fetchall()
            )

    def wait(self, changed: Callable[[], bool], timeout_seconds: float) -> None:
        """Blocks until `changed()` holds or the time is up; looks again after each change of the queue."""
        with self._lock:
            self._lock.wait_for(changed, timeout=timeout_seconds)

    def wake(self) -> None:
        """Makes whoever waits look again."""
        with self._lock:
            self._lock.notify_all()

    def _end(self, run_id: str, state: str, *, code: str, reason: str, update: str) -> None:
        with self._transaction():
            self._connection.execute(
                "UPDATE runs SET state=?, code=?, reason=?, update_digest=?, ended=?, version=version+1, "
                "progress=CASE WHEN ?='done' THEN 1 ELSE progress END WHERE id=? AND state IN ('queued','running')",
                (state, code, reason, update, time.time(), state, run_id),
            )

    def _find(self, request_id: str, round_index: int) -> Run | None:
        row = self._connection.execute(
            "SELECT * FROM runs WHERE request_id=? AND round=?", (request_id, round_index)
        ).fetchone()
        return Run(*row) if row else None

    def _by_id(self, run_id: str) -> Run | None:
        row = self._connection.execute("SELECT * FROM runs WHERE id=?", (run_id,)).fetchone()
        return Run(*row) if row else None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
            self._lock.notify_all()
