"""Checks of what a datasite keeps beside its pictures: settings, state version, rights, ledger, audit log, backups."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from datasites.audit_log import ledger_witness
from datasites.audit_log.chain import verify
from datasites.doctor.finding import OK, PROBLEM, WARNING, ExaminedDatasite, Finding
from datasites.pysyft_database.place import kept_place
from datasites.pysyft_database.rows import server_of
from datasites.state import agreement
from datasites.state.kept_books import open_ledger, read_audit, seal_of
from datasites.state.restore import Since
from datasites.state.version import STATE_VERSION, check_version
from policies.ledger import chain_errors

BACKUP_DAYS = 7


def settings(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether config.toml reads, and the state folder has this program's version."""
    yield Finding("settings", OK, f"datasite '{examined.config.name}', port {examined.config.port}")
    check_version(examined.state.path)
    yield Finding("state version", OK, str(STATE_VERSION))


def rights(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether anybody else on the machine may read or write anything of the state folder."""
    folder = examined.state.path
    open_ones = [path for path in (folder, *folder.rglob("*")) if _open_to_others(path)]
    if open_ones:
        text = f"{len(open_ones)} open to other accounts of this machine, such as {open_ones[0]}"
        yield Finding("rights", PROBLEM, text, f"chmod -R go= {folder}")
    else:
        yield Finding("rights", OK, "files 0600, folders 0700")


def database(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Where PySyft's rows are, and whether a database outside the state folder answers, is this one's, and is safe."""
    name, place, wished = "PySyft's database", kept_place(examined.state), examined.config.database_address
    advice = "docs/how-to-use-postgresql.md"
    if place is None:
        text = f"in the state folder; it moves to {wished} at the next start" if wished else "in the state folder"
        yield Finding(name, WARNING if wished and examined.running else OK, text, advice if wished else "")
        return
    version, synced = server_of(examined.state, place)
    if wished is None or wished != place.where:
        text = f"the rows are at {place.where}, config.toml says {wished or 'none'}"
        yield Finding(name, PROBLEM if wished is None else WARNING, text, f"The next start looks there; see {advice}.")
    elif not synced:
        text = f"PostgreSQL {version} at {place.where} does not put rows on disk (fsync is off)"
        yield Finding(name, WARNING, text, "Switch it on: what a crash loses there, no other book brings back.")
    else:
        yield Finding(name, OK, f"PostgreSQL {version} at {place.where}")


def ledger(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether the ledger's chain holds, and it is the one that the audit log names."""
    books = open_ledger(examined.state)
    books.verify()
    entries = books.entries()
    unknown = ledger_witness.check(entries, read_audit(examined.state, ledger_witness.is_witness).entries)
    told = f"{len(entries)} entries, the chain holds"
    if (missing := chain_errors.halted(books.path)) is not None:
        which = ", ".join(f"{name} {value}" for name, value in missing.items())
        text = f"{told}, but it lacks what a receipt of this datasite states ({which}): nothing runs or is charged"
        advice = "An older copy of the folder was put in place: restore it. See docs/how-to-back-up-and-restore.md."
        yield Finding("ledger", PROBLEM, text, advice)
        return
    if unknown > examined.config.concurrent_runs + 1:
        text = f"{told}, but the audit log does not know the last {unknown}: its end may be missing"
        yield Finding("ledger", WARNING, text, "Compare the audit log with its last export or backup.")
    else:
        yield Finding("ledger", OK, told)


def audit(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether the audit log's chain holds."""
    head = verify(examined.state.audit, seal_of(examined.state))
    yield Finding("audit log", OK, f"{head.entries} entries, the chain holds, head {head.hash[:16]}")
    if examined.state.audit.with_suffix(".torn").exists():
        text = "a torn line was put aside in audit.torn"
        yield Finding("audit log", WARNING, text, "Its end was lost in a crash; look at it, then move it elsewhere.")


def agreeing(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether all books tell one story: what a datasite checks before it serves."""
    found = _mismatches(examined)
    if found and examined.running:  # its books were read one after the other while it wrote them
        found = [one for one in _mismatches(examined) if one in found]
    for one in found:
        yield Finding("books", PROBLEM, one, "Nothing is served like this. See docs/how-to-back-up-and-restore.md.")
    if not found:
        told = "decisions, runs, ledger and audit log agree"
        yield Finding("books", OK, f"{told}; receipts show more: python -m datasites ledger verify --receipts FOLDER")


def _mismatches(examined: ExaminedDatasite) -> list[str]:
    return list(agreement.mismatches(agreement.read_contents(examined.state)))


def backups(examined: ExaminedDatasite) -> Iterator[Finding]:
    """When the last backup was made, and what a restore has left unknown."""
    events = read_audit(examined.state).entries
    made = [event for event in events if event["event"] == "backup made"]
    advice = "python -m datasites backup FOLDER"
    if not made:
        yield Finding("backup", WARNING, "none was ever made", advice)
    else:
        age = datetime.now(UTC) - datetime.fromisoformat(str(made[-1]["time"]))
        level = OK if age.days < BACKUP_DAYS else WARNING
        yield Finding("backup", level, f"the last one is {age.days} days old", "" if level == OK else advice)
    for event in events:
        if event["event"] == ledger_witness.RESTORED and event["since"] == Since.UNKNOWN.value:
            day = str(event["time"])[:10]
            text = f"restored on {day}; what was approved after {event['backup_made_at']} is not counted"
            yield Finding("restore", WARNING, text, "docs/how-to-back-up-and-restore.md says how to count it.")


def _open_to_others(path: Path) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:  # a running datasite's files come and go
        return False
    return not stat.S_ISLNK(status.st_mode) and bool(stat.S_IMODE(status.st_mode) & 0o077)
