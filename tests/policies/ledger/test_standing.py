"""What a ledger's entries come to is read on from what was known: the same as if all were read again, whoever wrote."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from support.ledgers import commit, ledger_at, reserve

from policies.errors import LedgerBroken
from policies.ledger import reservations as reading
from policies.ledger import standing as standings
from policies.ledger.chain import Entry
from policies.ledger.ledger import Ledger
from policies.ledger.reservations import Reservation, reservations
from policies.ledger.standing import Standing


@pytest.fixture
def read(tmp_path: Path) -> Ledger:
    """A ledger of three requests, one of which has ended, and another of which goes on."""
    ledger = ledger_at(tmp_path / "ledger.sqlite")
    for request in ("one", "two", "three"):
        reserve(ledger, request, 20)
        for index in range(2):
            commit(ledger, request, index, 5)
    ledger.release("two", "over")
    assert len(ledger.reservations()) == 3
    return ledger


def test_standing_after_any_entries_is_what_all_entries_give(read: Ledger) -> None:
    entries, chance = read.entries(), random.Random(3)
    for _ in range(50):
        known, ends = Standing(), sorted(chance.choices(range(len(entries) + 1), k=3))
        for end in ends:
            known = known.after(entries[:end])
            assert dict(known.held) == reservations(entries[:end])
            assert list(known.held) == list(reservations(entries[:end]))


def test_what_was_known_before_stays_as_it_was(read: Ledger) -> None:
    entries = read.entries()
    before = Standing().after(entries[:2])
    kept = reservations(entries[:2])
    before.after(entries)
    assert dict(before.held) == kept and kept != {"one": reservations(entries)["one"]}


def test_shorter_or_other_entries_are_read_from_the_beginning(read: Ledger, tmp_path: Path) -> None:
    entries, known = read.entries(), Standing().after(read.entries())
    assert dict(known.after(entries[:3]).held) == reservations(entries[:3])
    other = ledger_at(tmp_path / "other.sqlite")
    for index in range(len(entries) + 1):
        reserve(other, f"request-{index}", 1)
    assert list(known.after(other.entries()).held) == [f"request-{index}" for index in range(len(entries) + 1)]


def test_a_round_reads_only_entries_that_are_new(read: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(entries: tuple[Entry, ...], *before: dict[str, Reservation]) -> dict[str, Reservation]:
        seen.append(len(entries))
        return reading.reservations(entries, *before)

    monkeypatch.setattr(standings, "reservations", counted)
    commit(read, "one", 2, 5)
    assert read.spent("one") and read.started("one", 2)
    assert sum(seen) == 2, "the round's start and its end"


def test_a_round_that_another_process_charged_is_known(read: Ledger, tmp_path: Path) -> None:
    commit(ledger_at(tmp_path / "ledger.sqlite"), "three", 2, 5)
    assert sorted(read.reservations()["three"].rounds_charged) == [0, 1, 2]


def test_an_entry_that_says_nothing_known_is_still_broken_where_the_rest_is_known(read: Ledger) -> None:
    entries = read.entries()
    known = Standing().after(entries[:-1])
    odd = Entry(**{**vars(entries[-1]), "kind": "start", "round_index": 0})
    with pytest.raises(LedgerBroken):
        known.after((*entries[:-1], odd))
