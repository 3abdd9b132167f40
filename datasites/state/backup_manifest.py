"""The manifest of a backup: each file with its digest, and the heads of the two chains. It stays in the hospital."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Self

from policies.errors import BackupRefused

MANIFEST = "manifest.json"
FORMAT = 1
_CHUNK = 1 << 20
_STAMP = "%Y-%m-%dT%H%M%S.%fZ"


@dataclass(frozen=True)
class BackedUpFile:
    """One file: SHA-256 of its bytes, their number, and whether it is a SQLite file in write-ahead mode."""

    sha256: str
    bytes: int
    write_ahead: bool = False


@dataclass(frozen=True)
class BackupManifest:
    """A whole backup.

    Attributes:
        datasite: Its name.
        made_at: UTC, ISO 8601: when the ledger was copied, which is the last thing that is.
        state_version: Of the state folder.
        program: Version of the program that made it.
        files: By path within the backup.
        ledger_entries: How many entries the ledger has; with `ledger_head`, the last one's hash.
        ledger_head: 64 hexadecimal digits.
        audit_entries: How many events the audit log has; with `audit_head`, the last one's hash.
        audit_head: 64 hexadecimal digits.
        missing_blobs: Weights and updates that unfinished studies name and that were not there any more.
        format: Of the manifest itself.
    """

    datasite: str
    made_at: str
    state_version: int
    program: str
    files: dict[str, BackedUpFile]
    ledger_entries: int
    ledger_head: str
    audit_entries: int
    audit_head: str
    missing_blobs: int = 0
    format: int = FORMAT

    def to_json(self) -> str:
        """What `read` reads."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the manifest of the backup in `folder`.

        Raises:
            BackupRefused: There is none, as in a backup that was not finished, or it is not one of this format.
        """
        try:
            values = json.loads((folder / MANIFEST).read_text())
            if values["format"] != FORMAT:
                raise ValueError(f"format {values['format']!r}")
            files = {_inner(name): BackedUpFile(**entry) for name, entry in values.pop("files").items()}
            return cls(**values, files=files)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise BackupRefused(
                f"{folder} is not a whole backup: its manifest is missing or cannot be read. Take another one.",
                private=repr(error),
            ) from error

    def verify(self, folder: Path) -> None:
        """Reads every file of the backup.

        Raises:
            BackupRefused: Names the first file that is missing, changed, or not in the manifest.
        """
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()} - {MANIFEST}
        if odd := sorted(found ^ set(self.files)):
            there = "is not in its manifest" if odd[0] in found else "is missing"
            raise BackupRefused(f"The backup {folder} was changed: {odd[0]} {there}. Take another one.")
        for name, entry in self.files.items():
            if digest_of(folder / name) != entry.sha256:
                raise BackupRefused(f"The backup {folder} was changed: {name} has other bytes. Take another one.")


def digest_of(file: Path) -> str:
    """SHA-256 of a file, read in pieces.

    Raises:
        BackupRefused: It cannot be read, or is not a plain file.
    """
    running = hashlib.sha256()
    try:
        if file.is_symlink():
            raise BackupRefused(f"{file} is a link; a backup holds plain files only. Put the file itself there.")
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                running.update(chunk)
    except OSError as error:
        raise BackupRefused(f"{file} cannot be read: {error.strerror}.") from error
    return running.hexdigest()


def _inner(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"the path {name!r} leads out of the backup")
    return name


def name_after(before: Path | None) -> str:
    """The name of a backup that is made now: after the last one's, also where the clock was put back since then.

    Args:
        before: The last backup.
    """
    now = datetime.now(UTC)
    if before is not None:
        with contextlib.suppress(ValueError):  # a folder that a person has named
            now = max(now, datetime.strptime(before.name, _STAMP).replace(tzinfo=UTC) + timedelta(microseconds=1))
    return now.strftime(_STAMP)
