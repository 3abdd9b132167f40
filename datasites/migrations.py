"""Brings an older state folder to the present layout, version by version, after a backup. It stays in the hospital.

`MIGRATIONS[n]` takes a state of version n to version n + 1. Each is small, may be repeated after a crash, and is never
changed again once it was released.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from datasites import ledger_witness
from datasites.audit import AuditLog
from datasites.backup import back_up
from datasites.identity import StateFolder
from datasites.running import refuse_running
from datasites.state_version import STATE_VERSION, read_version, refuse_newer, write_version
from policies.chain_migration import renew_table
from policies.ledger import Ledger

Migration = Callable[[StateFolder], None]


def name_the_ledgers_head(state: StateFolder) -> None:
    """0 to 1: the audit log becomes the ledger's witness, from the head that the ledger has now."""
    if state.ledger.exists():
        ledger = Ledger(state.ledger)
        ledger.verify()
        AuditLog(state.audit).write("ledger's head first named", **ledger_witness.head_of(ledger))


def let_the_ledger_hold_starts(state: StateFolder) -> None:
    """1 to 2: rounds are charged when they start; the ledger's table takes such entries, and keeps what it has."""
    if state.ledger.exists():
        ledger = Ledger(state.ledger)
        ledger.verify()
        renew_table(state.ledger)
        ledger.verify()


MIGRATIONS: tuple[Migration, ...] = (name_the_ledgers_head, let_the_ledger_hold_starts)


def migrate(state: StateFolder, backups: Path) -> tuple[int, Path | None]:
    """Backs the state up and brings it to `STATE_VERSION`.

    Returns:
        The version it had, and the backup; None where there was nothing to migrate.

    Raises:
        StateVersionMismatch: The state is of a newer version.
        ConfigError: The datasite is running.
        BackupRefused: The backup could not be made; nothing was changed.
    """
    first = read_version(state.path)
    refuse_newer(first, f"The state folder {state.path}")
    if first == STATE_VERSION:
        return first, None
    refuse_running(state)
    made = back_up(state, backups)
    for version in range(first, STATE_VERSION):
        MIGRATIONS[version](state)
        write_version(state.path, version + 1)
        AuditLog(state.audit).write("state migrated", version=version + 1)
    return first, made.folder
