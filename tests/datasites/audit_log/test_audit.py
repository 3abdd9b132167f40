"""The audit log: what it keeps, what it notices, and what it does when the disk or the machine fails."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from support.hospitals import ENVIRONMENT
from support.ledgers import SEAL
from support.waiting import CEILING_SECONDS, wait_for

from datasites.audit_log.chain import entry_hash, read, verify
from datasites.audit_log.counted_events import CountedEvents
from datasites.audit_log.export import export
from datasites.audit_log.log import AuditLog
from policies.errors import AuditBroken, AuditUnavailable
from policies.ledger.head_file import RECORD_BYTES


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def log_at(file: Path) -> AuditLog:
    """The log at `file`, sealed, begun if there is none yet."""
    return AuditLog(file, SEAL) if file.exists() else AuditLog.begin(file, SEAL)


def refused(use: Callable[[], object], why: str) -> bool:
    """Whether it is refused with that reason, told to the hospital only."""
    with pytest.raises(AuditBroken) as broken:
        use()
    assert not re.search(r"\d|line", broken.value.public)
    return why in broken.value.private


def events(file: Path) -> list[str]:
    return [entry["event"] for entry in read(file).entries]


def test_a_log_is_for_its_own_account_only(file: Path) -> None:
    log_at(file).write("began")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_two_writers_append_to_one_chain(file: Path) -> None:
    one, other = log_at(file), log_at(file)
    for log in (one, other, one, one, other):
        log.write("something", by=str(id(log)))
    assert verify(file, SEAL).entries == 5


def test_writers_in_several_processes_append_to_one_chain(file: Path) -> None:
    log_at(file)
    program = "import sys; from pathlib import Path; from datasites.audit_log.log import AuditLog\n"
    program += "from policies.ledger.seal import Seal\nlog = AuditLog(Path(sys.argv[1]), Seal(b's' * 32))\n"
    program += "for n in range(20): log.write('n', n=n)"
    running = [subprocess.Popen([sys.executable, "-c", program, str(file)], env=ENVIRONMENT) for _ in range(3)]
    assert [process.wait(timeout=CEILING_SECONDS) for process in running] == [0, 0, 0]
    assert verify(file, SEAL).entries == 60


@pytest.mark.parametrize("line", [0, 3, 5])
def test_the_first_line_that_was_changed_is_named(file: Path, line: int) -> None:
    log = log_at(file)
    for number in range(6):
        log.write("round", number=number)
    lines = file.read_text().splitlines()
    lines[line] = lines[line].replace(f'"number": {line}', '"number": 9')
    file.write_text("\n".join(lines) + "\n")
    assert refused(lambda: verify(file, SEAL), f"line {line + 1} was changed")


def test_a_line_that_was_taken_out_is_noticed(file: Path) -> None:
    log = log_at(file)
    for number in range(4):
        log.write("round", number=number)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:1], *lines[2:]]) + "\n")
    assert refused(lambda: verify(file, SEAL), "line 2 does not follow")
    with pytest.raises(AuditBroken):
        log_at(file)


@pytest.mark.parametrize("kept", [0, 1])
def test_a_log_that_is_cut_while_it_is_in_use_refuses_the_next_event(file: Path, kept: int) -> None:
    log = log_at(file)
    log.write("one")
    log.write("two")
    file.write_text("".join(line + "\n" for line in file.read_text().splitlines()[:kept]))
    assert refused(lambda: log.write("three"), "cut or replaced")


def test_a_line_that_follows_and_that_the_datasite_has_not_sealed_is_never_taken_for_its_own(file: Path) -> None:
    log = log_at(file)
    log.write("one")
    entry = {"time": "2026-11-23T11:25:30.677+00:00", "event": "two", "previous": read(file).entries[-1]["hash"]}
    with file.open("ab") as stream:
        stream.write(json.dumps({**entry, "hash": entry_hash(entry)}).encode() + b"\n")
    before = {path: path.read_bytes() for path in (file, file.with_suffix(".head"))}
    assert events(file) == ["one", "two"], "whoever has no seal to look at sees a whole chain"
    for use in (lambda: log.write("three"), lambda: log_at(file), lambda: verify(file, SEAL)):
        assert refused(use, "appended to")
    assert {path: path.read_bytes() for path in before} == before


def test_a_torn_last_line_is_put_aside_and_the_log_says_so(file: Path) -> None:
    log_at(file).write("one")
    torn = b'{"time": "2026-11-23T11:25:30.677+00:00", "event": "tw'
    with file.open("ab") as stream:
        stream.write(torn)
    assert refused(lambda: verify(file, SEAL), "line 2 is torn")
    log_at(file)
    last = read(file).entries[-1]
    assert events(file) == ["one", "audit log repaired"]
    assert (last["torn_bytes"], last["torn_sha256"]) == (len(torn), hashlib.sha256(torn).hexdigest())
    assert file.with_suffix(".torn").read_bytes() == torn + b"\n"


def test_a_whole_line_that_does_not_hold_is_never_repaired(file: Path) -> None:
    log_at(file).write("one")
    with file.open("ab") as stream:
        stream.write(b'{"event": "forged"}\n')
    before = file.read_bytes()
    assert refused(lambda: log_at(file), "line 2")
    assert file.read_bytes() == before


def test_a_disk_that_fills_up_within_a_line_leaves_the_log_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_at(file)
    log.write("one")
    before, write = file.read_bytes(), os.pwrite

    def full(descriptor: int, content: bytes, offset: int) -> int:
        if len(content) == RECORD_BYTES:  # the head's place is taken already
            return write(descriptor, content, offset)
        if len(content) < 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[:30], offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(AuditUnavailable):
        log.write("two")
    assert file.read_bytes() == before
    monkeypatch.undo()
    log.write("three")
    assert events(file) == ["one", "three"]


def test_an_event_longer_than_a_page_is_cut_not_refused(file: Path) -> None:
    log_at(file).write("one", detail="x" * 100_000)
    assert file.stat().st_size < 10_000
    assert verify(file, SEAL).entries == 1


# --- counting --------------------------------------------------------------------------------------------------


def test_a_flood_is_two_lines_and_no_call_is_lost(file: Path) -> None:
    counted = CountedEvents(log_at(file), window_seconds=3600)
    for _ in range(1000):
        counted.add("call refused", code="WW407")
    counted.flush()
    entries = read(file).entries
    assert [entry["event"] for entry in entries] == ["call refused", "call refused, more times"]
    assert sum(entry["count"] for entry in entries) == 1000
    assert {entry["code"] for entry in entries} == {"WW407"}


def test_many_kinds_are_counted_together_beyond_a_bound(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasites.audit_log.counted_events.MAX_KINDS", 5)
    counted = CountedEvents(log_at(file), window_seconds=3600)
    for number in range(50):
        counted.add("call refused", account=f"{number}@example.org")
    counted.flush()
    entries = read(file).entries
    assert len(entries) == 7
    assert sum(entry["count"] for entry in entries) == 50


def test_the_end_of_a_window_writes_its_counts(file: Path) -> None:
    counted = CountedEvents(log_at(file), window_seconds=0.01)
    for _ in range(3):
        counted.add("signed in", account="ada@example.org")
    wait_for(lambda: sum(entry["count"] for entry in read(file).entries) == 3)


# --- handing on ------------------------------------------------------------------------------------------------


def test_an_export_holds_the_days_that_were_asked_for_and_their_digest(file: Path, tmp_path: Path) -> None:
    log = log_at(file)
    log.write("one", by="ada")
    log.write("two")
    today = date.fromisoformat(str(read(file).entries[0]["time"])[:10])
    assert export(file, tmp_path / "all.jsonl", since=today, until=today) == 2
    *lines, closing = (tmp_path / "all.jsonl").read_text().splitlines(keepends=True)
    told = json.loads(closing)
    assert told["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert (told["events"], told["log_head"]) == (2, verify(file, SEAL).hash)
    assert lines == file.read_text().splitlines(keepends=True)
    assert export(file, tmp_path / "none.jsonl", until=date(2000, 1, 1)) == 0


def test_an_export_as_csv_has_one_row_an_event(file: Path, tmp_path: Path) -> None:
    log_at(file).write("one", reason='says "no", twice')
    export(file, tmp_path / "log.csv")
    lines = (tmp_path / "log.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [row["event"] for row in rows] == ["one"]
    assert json.loads(rows[0]["details"]) == {"reason": 'says "no", twice'}


def test_a_log_that_does_not_hold_is_not_exported(file: Path, tmp_path: Path) -> None:
    log_at(file).write("one")
    file.write_text(file.read_text().replace("one", "two"))
    with pytest.raises(AuditBroken):
        export(file, tmp_path / "log.jsonl", seal=SEAL)
    assert not (tmp_path / "log.jsonl").exists()
