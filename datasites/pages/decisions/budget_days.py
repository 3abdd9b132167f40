"""Days of a budget: what was spent and charged at the end of each, replayed from the ledger. They stay here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasites.code_requests.books import Books
from policies.budget.steps import merged
from policies.ledger.budget_check import charged
from policies.ledger.chain import Entry
from policies.ledger.reservations import reservations

MOST_DAYS = 30


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
    """The days of each dataset, computed again only when the ledger has grown or delta is another."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._known: dict[str, tuple[tuple[object, ...], tuple[BudgetDay, ...]]] = {}

    def of(self, fingerprint: str) -> tuple[BudgetDay, ...]:
        """At most `MOST_DAYS` of the days on which something changed, spread evenly, the last among them.

        Args:
            fingerprint: The budget's key.
        """
        entries = self._books.ledger.entries()
        basis = (len(entries), entries[-1].hash if entries else "", self._books.limits.current.total.delta)
        known = self._known.get(fingerprint)
        if known is None or known[0] != basis:
            known = (basis, self._replayed([one for one in entries if one.fingerprint == fingerprint]))
            self._known[fingerprint] = known
        return known[1]

    def _replayed(self, entries: Sequence[Entry]) -> tuple[BudgetDay, ...]:
        ends = {one.at[:10]: index + 1 for index, one in enumerate(entries)}
        days = list(ends)
        step = max(-(-len(days) // MOST_DAYS), 1)
        chosen = days[(len(days) - 1) % step :: step] if days else []
        return tuple(self._on(day, entries[: ends[day]]) for day in chosen)

    def _on(self, day: str, entries: Sequence[Entry]) -> BudgetDay:
        held = tuple(reservations(entries).values())
        spent = merged(part for one in held for part in one.spent)
        return BudgetDay(day, self._books.epsilon_charged(spent), self._books.epsilon_charged(charged(held)))
