"""The index of code requests: pages of them, found by state, researcher and words, without PySyft and without sums.

It decides nothing and stays in the hospital: who may run what is in the decisions and in PySyft, as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datasites.files.word_search import matching, searchable
from policies.errors import RequestError, RequestUnknown
from policies.plans.plan_json import ADDED_LATER

if TYPE_CHECKING:  # a command reads pages of it, and no decision
    from datasites.approvals.approvals import Approvals

STATES = ("pending", "approved", "denied", "returned", "ended")
MOST_ON_A_PAGE = 500
_COLUMNS = "id, arrived_at, researcher, study, kind, dataset, model, rounds, epsilon, requests.state, "
_COLUMNS += "coalesce((SELECT decided_by FROM decisions WHERE request_id=requests.id), '')"


@dataclass(frozen=True)
class RequestRow:
    """One request in a list.

    Attributes:
        id: Its identifier.
        arrived_at: When, UTC.
        researcher: E-mail address of the account that asks.
        study: As the plan names it; `?` where the plan cannot be read, as are the next three.
        kind: Of plan.
        dataset: Which one.
        model: Which model; empty for statistics.
        rounds: How many.
        epsilon: What the study would cost; None without differential privacy.
        state: `pending`, `approved`, `denied`, `returned` or `ended`.
        decided_by: Who decided, or which rule; empty while it is pending.
        unpriced: Whether what it would cost could not be computed: then it cannot be approved.
    """

    id: str
    arrived_at: str
    researcher: str
    study: str = "?"
    kind: str = "?"
    dataset: str = "?"
    model: str = "?"
    rounds: int = 0
    epsilon: float | None = None
    state: str = "pending"
    decided_by: str = ""
    unpriced: bool = field(default=False, metadata=ADDED_LATER)


@dataclass(frozen=True)
class RequestPage:
    """Some requests, the newest first.

    Attributes:
        rows: The requests.
        next: What to ask for the next page with; None where this is the last.
        counts: How many there are in each state, in all.
        epsilon_left: What is left of each dataset's budget, as an orientation.
    """

    rows: tuple[RequestRow, ...]
    next: str | None
    counts: Mapping[str, int]
    epsilon_left: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrival:
    """A request as it is taken in: its row, the public key of who asks, and PySyft's identifier of its code."""

    row: RequestRow
    account: str
    code_id: str


class RequestIndex:
    """The index, in the file of decisions."""

    def __init__(self, approvals: Approvals) -> None:
        self._connection, self._lock = approvals.connection, approvals.lock

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def add(self, row: RequestRow, *, account: str, code_id: str) -> None:
        """Takes a request in, with the state that its decision gives it. One that is there stays as it is."""
        self.add_all([Arrival(row, account, code_id)])

    def add_all(self, arrivals: Iterable[Arrival]) -> None:
        """Takes requests in, as `add` does, all or none."""
        with self._lock, self._transaction():
            for arrival in arrivals:
                self._add(arrival)

    def _add(self, arrival: Arrival) -> None:
        row, account, code_id = arrival.row, arrival.account, arrival.code_id
        state = "coalesce((SELECT decision FROM decisions WHERE request_id=?1), 'pending')"
        values = (row.id, account, code_id, row.arrived_at, row.researcher, row.study, row.kind, row.dataset, row.model)
        words = searchable(" ".join((row.id, row.researcher, row.study, row.kind, row.dataset, row.model)))
        added = self._connection.execute(
            f"INSERT OR IGNORE INTO requests VALUES (NULL,?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,NULL,0,{state})",  # noqa: S608
            (*values, row.rounds),
        )
        if added.rowcount:
            self._connection.execute(
                "INSERT INTO request_words (rowid, words, state) SELECT arrival, ?, state FROM requests WHERE id=?",
                (words, row.id),
            )

    def price(self, request_id: str, epsilon: float | None, delta: float) -> None:
        """Keeps what a request would cost at this delta."""
        with self._lock:
            self._connection.execute("UPDATE requests SET epsilon=?, delta=? WHERE id=?", (epsilon, delta, request_id))

    def without_price(self, rows: Iterable[RequestRow], delta: float) -> tuple[str, ...]:
        """Which of these have no cost that was computed at this delta."""
        ids = [row.id for row in rows]
        with self._lock:
            found = self._connection.execute(
                f"SELECT id FROM requests WHERE delta<>? AND id IN ({','.join('?' * len(ids))})",  # noqa: S608
                (delta, *ids),
            ).fetchall()
        return tuple(one for (one,) in found)

    def page(
        self,
        state: str | None = None,
        researcher: str | None = None,
        query: str = "",
        after: str | None = None,
        count: int = 50,
    ) -> RequestPage:
        """Some requests, the newest first.

        Args:
            state: Only those in this state.
            researcher: Only this address's.
            query: Only those in which every word of it begins a word: of researcher, study, dataset, model, kind, or
                identifier.
            after: `next` of the page before.
            count: How many at most.

        Raises:
            RequestUnknown: `after` is none of the requests.
            RequestError: There is no such state.
        """
        if state not in (None, *STATES):
            raise RequestError(f"Requests are {', '.join(STATES)}, not {state!r:.80}.")
        words = matching(query, **({} if state is None else {"state": state})) if query.strip() else ""
        found_in = "request_words CROSS JOIN requests ON arrival=request_words.rowid" if words else "requests"
        newest = "request_words.rowid" if words else "arrival"
        wanted: dict[str, str | int | None] = {
            "request_words MATCH ?": words or None,
            "requests.state=?": state,
            "researcher=?": researcher,
        }
        count = max(1, min(count, MOST_ON_A_PAGE))
        with self._lock:
            wanted[f"{newest}<?"] = None if after is None else self._arrival(after)
            given = {condition: value for condition, value in wanted.items() if value is not None}
            chosen = f"WHERE {' AND '.join(given)}" if given else ""
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM {found_in} {chosen} ORDER BY {newest} DESC LIMIT ?",  # noqa: S608
                (*given.values(), count + 1),
            ).fetchall()
            counts = dict(self._connection.execute("SELECT state, requests FROM request_counts").fetchall())
        found = tuple(RequestRow(*row) for row in rows[:count])
        more = found[-1].id if len(rows) > count else None
        return RequestPage(found, more, {one: counts.get(one, 0) for one in STATES})

    def _arrival(self, request_id: str) -> int:
        row = self._connection.execute("SELECT arrival FROM requests WHERE id=?", (request_id,)).fetchone()
        if row is None:
            raise RequestUnknown("There is no such page of requests. Begin with the first.")
        return int(row[0])

    def named(self, beginning: str) -> str:
        """The identifier of the one request that begins so.

        Raises:
            RequestUnknown: None does, or more than one.
        """
        with self._lock:
            found = self._connection.execute(
                "SELECT id FROM requests WHERE id>=?1 AND id<?1||char(1114111) LIMIT 2", (beginning,)
            ).fetchall()
        if len(found) != 1 or not beginning:
            raise RequestUnknown(f"{'More than one' if found else 'No'} request begins with {beginning!r}.")
        return str(found[0][0])

    def is_of(self, account: str, *, request_id: str | None = None, code_id: str | None = None) -> bool:
        """Whether an account submitted the request with this identifier, or the one whose code has that."""
        column, value = ("id", request_id) if code_id is None else ("code_id", code_id)
        with self._lock:
            row = self._connection.execute(f"SELECT account FROM requests WHERE {column}=?", (value,)).fetchone()  # noqa: S608
        return row is not None and bool(row[0] == account)

    def of_codes(self, account: str, code_ids: Iterable[str]) -> str | None:
        """The identifier of an account's request for one of these codes; None where it has none."""
        asked = tuple(code_ids)
        with self._lock:
            row = self._connection.execute(
                f"SELECT id FROM requests WHERE account=? AND code_id IN ({','.join('?' * len(asked))})",  # noqa: S608
                (account, *asked),
            ).fetchone()
        return None if row is None else str(row[0])

    def pending_of(self, account: str) -> int:
        """How many of an account's requests wait for a decision."""
        with self._lock:
            row = self._connection.execute(
                "SELECT count(*) FROM requests WHERE account=? AND state='pending'", (account,)
            ).fetchone()
        return int(row[0])

    def ids(self) -> frozenset[str]:
        """All identifiers."""
        with self._lock:
            return frozenset(one for (one,) in self._connection.execute("SELECT id FROM requests").fetchall())

    def forget(self, request_ids: Iterable[str]) -> None:
        """Removes requests that PySyft does not keep any more."""
        with self._lock:
            self._connection.executemany("DELETE FROM requests WHERE id=?", [(one,) for one in request_ids])
