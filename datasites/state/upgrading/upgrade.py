"""Bringing a state folder to this program's version without ever leaving it between two. It stays in the hospital.

The books are copied, the copy is migrated and verified, and only then takes the place of the books. Until then nothing
of the state folder has changed, so there is nothing to roll back.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from datasites.audit_log import chain, ledger_witness
from datasites.files.private_file import write_private
from datasites.files.private_folder import sync_folder
from datasites.files.state_folder import StateFolder
from datasites.state import agreement
from datasites.state.backup import back_up
from datasites.state.kept_books import open_ledger, read_audit, seal_of
from datasites.state.lock import LOCK, hold
from datasites.state.upgrading.migrations import migrate_books, undo_half_a_seal
from datasites.state.version import FILE, STATE_VERSION, UPGRADING, read_version, refuse_newer
from policies.errors import StateVersionMismatch

_PLACES, _ASIDE = "places.json", "aside"
# What no migration touches, and what is large: the copy has links to them.
_STAYS = ("store", "blobs", "scratch", "logs", "local-parts", "kernels", "study-reports")
_OWN = (UPGRADING, LOCK)


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade did.

    Attributes:
        before: The version that the state folder had.
        now: The version that it has.
        backup: The backup that was made: before, or of the folder as it is where nothing was left to migrate.
        entries: How many entries the ledger has, all of which hold.
        resumed: Whether an earlier upgrade had been interrupted while it put the books in place, and was finished now.
    """

    before: int
    now: int
    backup: Path
    entries: int
    resumed: bool = False


def upgrade(state: StateFolder, backups: Path) -> Upgrade:
    """Backs the state up, migrates a copy of its books, verifies it, and puts it in place.

    One that is of this program's version, also because an interrupted upgrade was finished, is verified and backed up.

    Guarantees:
        Whatever fails or is killed, the state folder is wholly of its version before or goes on to the new one when it
        is upgraded again; in between, no datasite is served from it.

    Args:
        state: The state folder of a stopped datasite.
        backups: Folder of its backups.

    Raises:
        StateVersionMismatch: The state is of a newer version, or what an upgrade left cannot be read.
        ConfigError: The datasite is running.
        BackupRefused: The backup could not be made; nothing was migrated for lack of it.
        BooksDisagree, LedgerBroken, AuditBroken: The books do not hold, before or after; they are as they were.
    """
    with _held(state):
        first = read_version(state.path)
        refuse_newer(first, f"The state folder {state.path}")
        half_done = state.path / UPGRADING
        if half_done.is_symlink() or (half_done.exists() and not half_done.is_dir()):
            raise StateVersionMismatch(
                f"{half_done} is no folder of an upgrade. Nothing was changed: move it away first."
            )
        resumed = (half_done / _PLACES).exists()
        if resumed:
            _put_in_place(state)
        elif half_done.exists():
            shutil.rmtree(half_done)
        found = read_version(state.path)
        if found == STATE_VERSION:
            entries = _verified(state)
            return Upgrade(first, found, back_up(state, backups).folder, entries, resumed=resumed)
        undo_half_a_seal(state)
        made = back_up(state, backups)
        try:
            copied = _copy(state)
            migrate_books(copied, found)
            entries = _verified(copied)
            _name_the_places(state, copied)
        except BaseException:
            (half_done / _PLACES).unlink(missing_ok=True)  # first: half a copy is put in no place
            shutil.rmtree(half_done, ignore_errors=True)
            raise
        _put_in_place(state)
        return Upgrade(first, STATE_VERSION, made.folder, entries)


def _verified(state: StateFolder) -> int:
    """How many entries the ledger has, once every book holds and all of them agree."""
    ledger = open_ledger(state)
    ledger.verify()
    entries = ledger.entries()
    chain.verify(state.audit, seal_of(state))
    ledger_witness.check(entries, read_audit(state, ledger_witness.is_witness).entries)
    agreement.check(state)
    return len(entries)


@contextmanager
def _held(state: StateFolder) -> Iterator[None]:
    """Keeps every datasite from being served from the folder."""
    descriptor = hold(state)
    try:
        _give(state.path / LOCK, state)
        yield
    finally:
        os.close(descriptor)


def _copy(state: StateFolder) -> StateFolder:
    """A copy of the books within the folder, with links to what stays."""
    copied = state.path / UPGRADING / state.path.name
    copied.mkdir(mode=0o700, parents=True)
    for entry in sorted(state.path.iterdir()):
        if entry.name in _OWN:
            continue
        if entry.name in _STAYS:
            (copied / entry.name).symlink_to(entry, target_is_directory=True)
        elif entry.is_dir():
            shutil.copytree(entry, copied / entry.name, symlinks=True)
        else:
            shutil.copy2(entry, copied / entry.name, follow_symlinks=False)
    return StateFolder(copied)


def _name_the_places(state: StateFolder, copied: StateFolder) -> None:
    """Writes which entries come and which go; from then on the upgrade only goes forward."""
    for name in (*_STAYS, LOCK):
        place = copied.path / name
        if place.is_symlink() or name == LOCK:
            place.unlink(missing_ok=True)
    come = sorted(entry.name for entry in copied.path.iterdir())
    come.sort(key=lambda name: name != FILE)  # the version first: what half of the books is left to is served by nobody
    there = {entry.name for entry in state.path.iterdir()}
    go = sorted(there - set(come) - {*_STAYS, *_OWN})
    for entry in copied.path.rglob("*"):
        _give(entry, state)
        if entry.is_file() and not entry.is_symlink():
            with entry.open("rb") as stream:
                os.fsync(stream.fileno())
    write_private(state.path / UPGRADING / _PLACES, json.dumps({"come": come, "go": go}))
    sync_folder(state.path / UPGRADING)


def _put_in_place(state: StateFolder) -> None:
    """Moves each entry of the copy into the state folder; whatever was done before is not done again.

    A file takes the other's place in one step, so that none is missing between; a folder goes aside first.
    """
    folder = state.path / UPGRADING
    try:
        places = json.loads((folder / _PLACES).read_text())
        come, go = [str(name) for name in places["come"]], [str(name) for name in places["go"]]
        if any(name != Path(name).name or name in ("", "..", *_OWN) for name in (*come, *go)):
            raise ValueError("a name is of no entry of the state folder")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise StateVersionMismatch(
            f"{folder} cannot be read, and the state folder is between two versions. Restore the backup that was made "
            "before the upgrade.",
            private=repr(error),
        ) from error
    copied, aside = folder / state.path.name, folder / _ASIDE
    aside.mkdir(exist_ok=True)
    for name in (*come, *go):
        replaced = (copied / name).is_dir() if (copied / name).exists() else name in go
        if replaced and (state.path / name).exists():
            _move(state.path / name, aside / name)
        if (copied / name).exists():
            (copied / name).rename(state.path / name)
    sync_folder(state.path)
    (folder / _PLACES).unlink()
    sync_folder(folder)
    shutil.rmtree(folder)


def _give(entry: Path, state: StateFolder) -> None:
    """Has an entry belong to whom the state folder belongs to: root upgrades for the account that serves it."""
    whose, about = state.path.stat(), entry.lstat()
    if (whose.st_uid, whose.st_gid) != (about.st_uid, about.st_gid) and os.geteuid() == 0:
        os.lchown(entry, whose.st_uid, whose.st_gid)


def _move(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    source.rename(target)
