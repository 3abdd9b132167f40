"""Rows that verified before are not hashed again; whatever is no such row any more is found as by a first reading."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.ledgers import commit, ledger_at, reserve

from policies.errors import LedgerBroken
from policies.ledger import chain
from policies.ledger.ledger import Ledger

ENTRIES = 7
COLUMNS = ("at", "kind", "fingerprint", "request_id", "body", "previous", "hash")


@pytest.fixture
def read(tmp_path: Path) -> Ledger:
    """A ledger of 7 entries that was read."""
    ledger = ledger_at(tmp_path / "ledger.sqlite")
    reserve(ledger, "one", 40)
    for index in range(3):
        commit(ledger, "one", index, 10)
    assert len(ledger.entries()) == ENTRIES
    return ledger


def change(ledger: Ledger, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(ledger._chain.path)) as table, table:
        table.execute("PRAGMA ignore_check_constraints = ON")
        for name in [row[0] for row in table.execute("SELECT name FROM sqlite_master WHERE type='trigger'")]:
            table.execute(f"DROP TRIGGER {name}")
        table.execute(statement, values)


@pytest.mark.parametrize("sequence", [1, 4, ENTRIES])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_row_that_was_changed_since_is_found(read: Ledger, column: str, sequence: int) -> None:
    change(read, f"UPDATE entries SET {column}={column}||'0' WHERE sequence=?", sequence)
    with pytest.raises(LedgerBroken) as error:
        read.verify()
    assert f"entry {sequence}" in (error.value.private or "")


@pytest.mark.parametrize("sequence", [1, 4, ENTRIES])
def test_a_row_that_was_removed_since_is_found(read: Ledger, sequence: int) -> None:
    change(read, "DELETE FROM entries WHERE sequence=?", sequence)
    with pytest.raises(LedgerBroken):
        read.verify()


def test_after_an_append_only_the_new_row_is_hashed(read: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    read.release("one", "over")
    hashed: list[int] = []
    real = chain._hash
    monkeypatch.setattr(chain, "_hash", lambda row: hashed.append(row[0]) or real(row))
    assert [one.sequence for one in read.entries()] == list(range(1, ENTRIES + 2))
    assert hashed == [ENTRIES + 1]
    assert read.entries() == ledger_at(read._chain.path).entries()
