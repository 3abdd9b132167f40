"""Checks of what a datasite keeps: settings, state version, rights, store, ledger, audit log, backups."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datasites.assets.dataset_version import DatasetVersion, versions_of
from datasites.assets.features import kept_features, open_features
from datasites.assets.store import open_store
from datasites.audit_log import ledger_witness
from datasites.audit_log.chain import verify
from datasites.doctor.finding import OK, PROBLEM, WARNING, ExaminedDatasite, Finding
from datasites.state import agreement
from datasites.state.kept_books import open_ledger, read_audit, seal_of
from datasites.state.restore import Since
from datasites.state.version import STATE_VERSION, check_version

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


def dataset(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether each version's store is what was ingested and what is published is the newest one's."""
    versions = versions_of(examined.state.store, examined.config.dataset.name)
    if not versions:
        yield Finding("dataset", WARNING, "no pictures ingested yet", "python -m datasites ingest")
        return
    for version in versions:
        yield from _store(version)
    yield from _versions_of_studies(examined, versions)
    yield from _published(examined, versions)


def _store(version: DatasetVersion) -> Iterator[Finding]:
    told = f"'{version.manifest.name}'" + (f", version {version.number}," if version.number > 1 else "")
    if not version.whole:
        yield Finding("dataset", OK, f"{told} was pruned: what tells whose pictures it had is there")
        return
    store = open_store(version.folder)
    store.verify()
    yield Finding("dataset", OK, f"{told} is what was ingested, every picture of it")
    if store.manifest.num_units > store.manifest.public_size:
        text = "holds more privacy units than it declares: how long a private step takes can tell how many it drew"
        yield Finding("public size", WARNING, text, "Ingest the pictures anew, with public_size = 0 or large enough.")
    for spec in kept_features(version.folder):
        open_features(version.folder, spec, store.manifest)
        yield Finding("features", OK, f"{spec.key} are what was computed, every number of them")


def _versions_of_studies(examined: ExaminedDatasite, versions: tuple[DatasetVersion, ...]) -> Iterator[Finding]:
    """Whether the version of every study that may go on is there, as after a restore from an older backup."""
    kept = {version.number for version in versions if version.whole}
    for held in open_ledger(examined.state).reservations().values():
        if held.released is None and held.dataset == versions[0].manifest.name and held.dataset_version not in kept:
            text = f"request {held.request_id[:8]} was approved on version {held.dataset_version}, which is not there"
            yield Finding("dataset", PROBLEM, text, "Restore store/ from a later backup, or end the request.")


def _published(examined: ExaminedDatasite, versions: tuple[DatasetVersion, ...]) -> Iterator[Finding]:
    manifest = versions[-1].manifest
    if examined.config.dataset.name != manifest.name:
        text = f"the settings call it '{examined.config.dataset.name}', its manifest '{manifest.name}'"
        yield Finding("published", PROBLEM, text, "Put the old name back into config.toml.")
        return
    schema = _published_schema(examined, manifest.name)
    if schema is None:
        yield Finding("published", WARNING, "not published with its mock yet", "It is at the first 'serve'.")
    elif schema == manifest.schema():
        yield Finding("published", OK, f"'{manifest.name}', with its mock, as the store's manifest says")
    elif schema in [version.manifest.schema() for version in versions]:
        text = "researchers are shown the schema of an earlier version"
        yield Finding("published", WARNING, text, "The newest one is published when the datasite starts again.")
    else:
        text = "researchers are shown another schema than the store's"
        yield Finding("published", PROBLEM, text, "Restore store/ and syft/ from one backup.")


def ledger(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether the ledger's chain holds, and it is the one that the audit log names."""
    books = open_ledger(examined.state)
    books.verify()
    entries = books.entries()
    unknown = ledger_witness.check(entries, read_audit(examined.state, ledger_witness.is_witness).entries)
    told = f"{len(entries)} entries, the chain holds"
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


def _published_schema(examined: ExaminedDatasite, name: str) -> Any:
    """The schema that PySyft's database shows for a dataset with an asset and a mock; read without PySyft."""
    for file in examined.state.syft.rglob("*_json.db"):
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=20)) as table:
            for (text,) in table.execute('SELECT fields FROM "Dataset" WHERE _deleted_at IS NULL'):
                described = json.loads(text)
                assets = described["asset_list"]
                if described["name"] == name and assets and not any(asset["mock_is_real"] for asset in assets):
                    return json.loads(described["description"]["text"])
    return None
