"""The days of a budget: what was spent and charged at the end of each, replayed from the ledger's entries."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from support.console_budgets import hundredth
from support.ledgers import FINGERPRINT, LIMITS, OTHER_FINGERPRINT, commit, ledger_at, reserve
from support.waiting import CEILING_SECONDS, wait_for

from datasites.pages.decisions.budget_days import MOST_DAYS, BudgetDay, BudgetDays
from policies.ledger.chain import Entry


class Replayed:
    """Books whose ledger is a list; they count their sums."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.sums = 0
        self.ledger = SimpleNamespace(entries=lambda: entries)
        self.limits = SimpleNamespace(current=LIMITS)

    def epsilon_charged(self, history: Any) -> float:
        self.sums += 1
        return hundredth(history)


def days_of(books: Replayed) -> BudgetDays:
    made: Any = books
    return BudgetDays(made, most_seconds=CEILING_SECONDS)


def written(folder: Path) -> tuple[Entry, ...]:
    """Reserved 1.0; a round of 0.25; another dataset's; the end, which frees the rest."""
    ledger = ledger_at(folder / "ledger.sqlite")
    reserve(ledger, "one", 100)
    commit(ledger, "one", 0, 25)
    reserve(ledger, "other", 300, fingerprint=OTHER_FINGERPRINT)
    ledger.release("one", "done")
    return ledger.entries()


def test_each_day_tells_what_was_spent_and_charged_at_its_end(tmp_path: Path) -> None:
    days = ("2026-01-01", "2026-01-03", "2026-01-03", "2026-01-03", "2026-01-07")
    entries = tuple(replace(one, at=f"{day}T10:00:00+00:00") for one, day in zip(written(tmp_path), days, strict=True))
    found = days_of(Replayed(entries)).of(FINGERPRINT)
    assert found == (
        BudgetDay("2026-01-01", 0.0, 1.0),
        BudgetDay("2026-01-03", 0.25, 1.0),
        BudgetDay("2026-01-07", 0.25, 0.25),
    )


def test_days_are_computed_once_for_a_ledger_and_the_last_is_always_among_them(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.sqlite")
    reserve(ledger, "one", 100, rounds=100)
    for index in range(50):
        commit(ledger, "one", index, 1)
    entries = tuple(
        replace(one, at=f"2026-{1 + index // 28:02d}-{1 + index % 28:02d}T10:00:00+00:00")
        for index, one in enumerate(ledger.entries())
    )
    books = Replayed(entries)
    days = days_of(books)
    found = days.of(FINGERPRINT) or ()
    assert 10 < len(found) <= MOST_DAYS
    assert found[-1] == BudgetDay(entries[-1].at[:10], 0.5, 1.0)
    sums = books.sums
    assert days.of(FINGERPRINT) == found
    assert books.sums == sums


def test_a_new_day_is_computed_alone_and_the_days_before_are_not(tmp_path: Path) -> None:
    dates = ("2026-01-01", "2026-01-03", "2026-01-03", "2026-01-03", "2026-01-07")
    entries = tuple(replace(one, at=f"{day}T10:00:00+00:00") for one, day in zip(written(tmp_path), dates, strict=True))
    books = Replayed(entries[:-1])
    days = days_of(books)
    before = days.of(FINGERPRINT) or ()
    sums = books.sums
    books.ledger = SimpleNamespace(entries=lambda: entries)
    assert days.of(FINGERPRINT) == (*before, BudgetDay("2026-01-07", 0.25, 0.25))
    assert books.sums == sums + 2
    books.limits = SimpleNamespace(current=replace(LIMITS, total=replace(LIMITS.total, delta=1e-6)))
    assert len(days.of(FINGERPRINT) or ()) == 3 and books.sums == sums + 8, "another delta, other sums"


def test_a_dataset_that_nobody_asked_for_has_no_day() -> None:
    assert days_of(Replayed(())).of(FINGERPRINT) == ()


def test_of_many_days_those_that_were_computed_stay_as_more_come(tmp_path: Path) -> None:
    """The page of a year: a new day costs its own two sums, however many there are."""
    ledger = ledger_at(tmp_path / "ledger.sqlite")
    reserve(ledger, "one", 100, rounds=100)
    for index in range(70):
        commit(ledger, "one", index, 1)
    entries = tuple(
        replace(one, at=f"2026-{1 + index // 28:02d}-{1 + index % 28:02d}T10:00:00+00:00")
        for index, one in enumerate(ledger.entries())
    )
    books = Replayed(entries[:1])
    days = days_of(books)
    for count in range(1, len(entries) + 1):
        books.ledger = SimpleNamespace(entries=lambda count=count: entries[:count])
        sums = books.sums
        found = days.of(FINGERPRINT) or ()
        assert books.sums <= sums + 2 and 0 < len(found) <= MOST_DAYS
        assert (found[0].day, found[-1].day) == (entries[0].at[:10], entries[count - 1].at[:10])


def test_days_that_take_long_are_none_until_all_of_them_are_there(tmp_path: Path) -> None:
    books, may_go_on = Replayed(written(tmp_path)), threading.Event()
    asked = books.epsilon_charged

    def slowly(history: Any) -> float:
        may_go_on.wait()
        return asked(history)

    books.epsilon_charged = slowly  # type: ignore[method-assign]
    made: Any = books
    days = BudgetDays(made, most_seconds=0.01)
    assert days.of(FINGERPRINT) is None and days.of(FINGERPRINT) is None, "not a part of them, which would draw wrongly"
    may_go_on.set()
    wait_for(lambda: days.of(FINGERPRINT) is not None)
    assert books.sums == 2, "two who asked, and one who computed"
