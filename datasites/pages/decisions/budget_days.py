"""Days of a budget: what was spent and charged at the end of each, replayed from the ledger. They stay here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """The days of each dataset. A day is computed once for each delta: what the ledger says of a past one stays."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._known: dict[str, dict[tuple[str, float], BudgetDay]] = {}  # by the day's last entry, and delta

    def of(self, fingerprint: str) -> tuple[BudgetDay, ...]:
        """At most `MOST_DAYS` of the days on which something changed, spread evenly, the last among them.

        Args:
            fingerprint: The budget's key.
        """
        entries = [one for one in self._books.ledger.entries() if one.fingerprint == fingerprint]
        before, delta = self._known.get(fingerprint, {}), self._books.limits.current.total.delta
        known: dict[tuple[str, float], BudgetDay] = {}
        for part in _days(entries):
            basis = (part[-1].hash, delta)
            known[basis] = before.get(basis) or self._replayed(part)
        self._known[fingerprint] = {**before, **known}
        return tuple(known.values())

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
    step = max(-(-len(days) // MOST_DAYS), 1)
    for day in days[(len(days) - 1) % step :: step] if days else []:
        yield entries[: ends[day]]
