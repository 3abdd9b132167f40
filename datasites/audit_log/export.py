"""A stretch of the audit log as a file for an auditor: JSON lines or CSV, closed by a digest.

The chain is verified before anything is written. JSON lines keep every entry as it stands in the log, hashes included,
so that the stretch can be checked against the log later.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

from datasites.audit_log.chain import AuditLines, Event, read
from datasites.files.private_file import write_private
from policies.errors import ConfigError
from policies.ledger.seal import Seal
from policies.untrusted_text import csv_cell

_COLUMNS = ("time", "event", "details", "previous", "hash")


def export(
    log: Path, file: Path, *, seal: Seal | None = None, since: date | None = None, until: date | None = None
) -> int:
    """Writes the events of some days, both included, in UTC, and a digest line; returns how many events.

    The last line names the number of events, the log's head, and the SHA-256 of all bytes above it.

    Args:
        log: The audit log.
        file: To write, mode 0600: CSV where its name ends in .csv, else JSON lines.
        seal: The datasite's, with which a missing log and one that was cut are refused.
        since: First day; None for the log's first.
        until: Last day; None for today.

    Raises:
        AuditBroken: The log does not hold.
        ConfigError: The file exists already, or cannot be written; then there is nothing of it.
    """
    if file.exists():
        raise ConfigError(f"{file} exists already. Choose another name.")
    if not file.parent.is_dir():
        raise ConfigError(f"There is no folder {file.parent}. Make it, or name another.")
    try:
        count, text = exported(read(log, seal=seal), as_csv=file.suffix.lower() == ".csv", since=since, until=until)
        write_private(file, text)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}. Nothing of it was kept.") from error
    return count


def exported(
    lines: AuditLines, *, as_csv: bool, since: date | None = None, until: date | None = None
) -> tuple[int, str]:
    """How many events of these days a log has, and the text of their file; see `export`."""
    chosen = [entry for entry in lines.entries if _within(entry, since, until)]
    body = _csv(chosen) if as_csv else "".join(f"{json.dumps(entry)}\n" for entry in chosen)
    closing = {
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "events": len(chosen),
        "log_entries": lines.head.entries,
        "log_head": lines.head.hash,
        "sha256": hashlib.sha256(body.encode()).hexdigest(),
    }
    return len(chosen), body + ("# " if as_csv else "") + json.dumps(closing) + "\n"


def _within(entry: Event, since: date | None, until: date | None) -> bool:
    day = datetime.fromisoformat(str(entry["time"])).astimezone(UTC).date()
    return (since is None or day >= since) and (until is None or day <= until)


def _csv(entries: list[Event]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for entry in entries:
        details = {key: value for key, value in entry.items() if key not in _COLUMNS}
        cells = (entry["time"], entry["event"], json.dumps(details), entry["previous"], entry["hash"])
        writer.writerow(map(csv_cell, cells))
    return text.getvalue()
