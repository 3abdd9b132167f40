"""What was verified is not read again as long as nobody has written to the files; whoever does is noticed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.ledgers import ledger_at, reserve
from support.waiting import wait_for

from policies.errors import LedgerBroken
from policies.ledger.chain import Chain
from policies.ledger.ledger import Ledger
from policies.ledger.unchanged import stamp


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that a chain was read and verified."""
    found: list[str] = []
    verified = Chain._verified

    def counted(self: Chain, *arguments: object) -> object:
        found.append(self.path.name)
        return verified(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Chain, "_verified", counted)
    return found


def settled(ledger: Ledger, reads: list[str]) -> None:
    """Reads until a read is remembered: the last write lies far enough back."""

    def remembered() -> bool:
        ledger.entries()
        before = len(reads)
        ledger.entries()
        return len(reads) == before

    wait_for(remembered)
    reads.clear()


def test_what_nobody_has_written_to_is_read_once(ledger: Ledger, reads: list[str]) -> None:
    reserve(ledger, "one", 40)
    settled(ledger, reads)
    held = ledger.reservations()
    assert ledger.held("one") == held["one"] and ledger.history(held["one"].fingerprint) == held["one"].spend
    assert ledger.head()[0] == 1 and ledger.held("two") is None
    assert reads == []


def test_an_entry_of_another_process_is_seen_at_once(ledger: Ledger, reads: list[str], tmp_path: Path) -> None:
    reserve(ledger, "one", 40)
    settled(ledger, reads)
    reserve(ledger_at(tmp_path / "ledger.sqlite"), "two", 10)
    assert set(ledger.reservations()) == {"one", "two"} and len(ledger.history(ledger.entries()[0].fingerprint)) == 1


def edited_row(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as table, table:
        table.execute("DROP TRIGGER entries_are_never_updated")
        table.execute("UPDATE entries SET request_id='another'")


def edited_bytes(folder: Path) -> None:
    file = folder / "ledger.sqlite"
    times = os.stat(file)
    content = file.read_bytes()
    file.write_bytes(content.replace(b"one", b"eno"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # the time of change stays what it is


def edited_head(folder: Path) -> None:
    file = folder / "ledger.head"
    file.write_bytes(file.read_bytes().replace(b"1", b"2"))


def lost(folder: Path) -> None:
    (folder / "ledger.sqlite").unlink()


@pytest.mark.parametrize("damage", [edited_row, edited_bytes, edited_head, lost])
def test_whoever_writes_to_the_files_is_noticed_by_the_next_read(
    ledger: Ledger, reads: list[str], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    reserve(ledger, "one", 40)
    settled(ledger, reads)
    damage(tmp_path)
    with pytest.raises(LedgerBroken):
        ledger.reservations()


def test_what_was_written_a_moment_ago_or_waits_in_a_log_has_no_stamp(tmp_path: Path) -> None:
    file, log = tmp_path / "file", tmp_path / "log"
    file.write_text("a")
    assert stamp([file]) is None and stamp([tmp_path / "missing"]) is None
    wait_for(lambda: stamp([file], waiting=[log]) is not None)
    assert stamp([file], waiting=[log]) == stamp([file], waiting=[log])
    log.touch()
    assert stamp([file], waiting=[log]) is not None
    log.write_text("more")
    assert stamp([file], waiting=[log]) is None
