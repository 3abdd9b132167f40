"""Days of a budget: what was spent and charged at the end of each, replayed from the ledger. They stay here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from datasites.code_requests.books import Books
from policies.budget.steps import merged
from policies.ledger.budget_check import charged
from policies.ledger.chain import Entry
from policies.ledger.reservations import reservations

log = logging.getLogger(__name__)

MOST_DAYS = 30
MOST_SECONDS = 1.0
_Basis = tuple[str, float]  # a day's last entry, and the delta


@dataclass(frozen=True)
class BudgetDay:
    """A dataset's budget at the end of a day on which its ledger changed.

    Attributes:
        day: UTC, ISO 8601.
        spent: Epsilon of all rounds that had started.
        charged: Epsilon of these and of what was reserved, composed.
    """

    day: str
    spent: float
    charged: float


class BudgetDays:
    """The days of each dataset. A day is computed once for each delta: what the ledger says of a past one stays.

    They are computed in a thread, and who asks waits for it a second at most.
    """

    def __init__(self, books: Books, *, most_seconds: float = MOST_SECONDS) -> None:
        self._books, self._most_seconds = books, most_seconds
        self._known: dict[_Basis, BudgetDay] = {}
        self._lock = threading.Lock()
        self._under_way: dict[str, threading.Thread] = {}

    def of(self, fingerprint: str) -> tuple[BudgetDay, ...] | None:
        """At most `MOST_DAYS` of the days on which something changed, spread evenly, the first and the last among them.

        Args:
            fingerprint: The budget's key.

        Returns:
            All of them, or None while they are being computed.
        """
        entries = [one for one in self._books.ledger.entries() if one.fingerprint == fingerprint]
        delta = self._books.limits.current.total.delta
        wanted = {(part[-1].hash, delta): part for part in _days(entries)}
        with self._lock:
            lacking = {basis: part for basis, part in wanted.items() if basis not in self._known}
            thread = self._under_way.get(fingerprint)
            if lacking and (thread is None or not thread.is_alive()):
                thread = threading.Thread(target=self._compute, args=(lacking,), name="budget days", daemon=True)
                self._under_way[fingerprint] = thread
                thread.start()
        if lacking and thread is not None:
            thread.join(self._most_seconds)
        found = tuple(day for basis in wanted if (day := self._known.get(basis)) is not None)
        return found if len(found) == len(wanted) else None

    def _compute(self, lacking: Mapping[_Basis, Sequence[Entry]]) -> None:
        try:
            for basis, part in lacking.items():
                self._known[basis] = self._replayed(part)
        except Exception:  # whoever looks again begins again
            log.exception("the days of a budget could not be computed")

    def _replayed(self, entries: Sequence[Entry]) -> BudgetDay:
        """The day of the last of these entries, all that there were by its end."""
        held = tuple(reservations(entries).values())
        spent = merged(part for one in held for part in one.spent)
        charge = self._books.epsilon_charged(charged(held))
        return BudgetDay(entries[-1].at[:10], self._books.epsilon_charged(spent), charge)


def _days(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """For each of the days that are shown, all entries up to its end."""
    ends = {one.at[:10]: index + 1 for index, one in enumerate(entries)}
    days = list(ends)
    step = 1
    while len(days) > step * (MOST_DAYS - 1):
        step *= 2  # of the days that were shown before, every second one, so that no other is computed for a new day
    for day in dict.fromkeys([*days[::step], *days[-1:]]):
        yield entries[: ends[day]]
