"""Brings an older state folder's books to the present layout, version by version. They stay in the hospital.

`MIGRATIONS[n]` takes a state of version n to version n + 1. Each is small, may be repeated after a crash, and is never
changed again once it was released.
"""

from __future__ import annotations

from collections.abc import Callable

from datasites.approvals.approvals import Approvals, end_released, know_returned
from datasites.audit_log import ledger_witness
from datasites.audit_log.chain import head_file, read
from datasites.audit_log.log import AuditLog
from datasites.files.state_folder import StateFolder
from datasites.runs.queue import RunQueue
from datasites.state import agreement, last_known
from datasites.state import identity as identities
from datasites.state.kept_books import open_audit, open_ledger
from datasites.state.version import STATE_VERSION, write_version
from policies.ledger.chain import BOOK, Chain
from policies.ledger.chain_migration import renew_table
from policies.ledger.head_file import HeadBroken, HeadFile
from policies.ledger.ledger import Ledger
from policies.ledger.reservations import reservations

Migration = Callable[[StateFolder], None]


def name_the_ledgers_head(state: StateFolder) -> None:
    """0 to 1: the audit log becomes the ledger's witness, from the head that the ledger has now."""
    if state.ledger.exists():
        ledger = open_ledger(state)
        ledger.verify()
        open_audit(state).write("ledger's head first named", **ledger_witness.head_of(ledger))


def seal_the_books(state: StateFolder) -> None:
    """1 to 2: the ledger takes rounds that start; the books' ends are sealed, and the identity says that they exist.

    Nothing is sealed unless the books agree with each other.

    Raises:
        BooksDisagree, LedgerBroken, AuditBroken: They do not; nothing is sealed.
    """
    identity = identities.load(state)
    if identity.books:
        return
    if not any(state.syft.rglob("*.db")):
        _begin_what_never_was(state)
    if state.ledger.exists():
        renew_table(state.ledger)
    end_released(state.approvals, reservations(agreement.read_contents(state).entries))
    if found := list(agreement.mismatches(agreement.read_contents(state))):
        raise last_known.disagree(*found)
    Chain(state.ledger, None).seal(identity.seal)
    AuditLog(state.audit).seal(identity.seal)
    ledger, audit = Ledger(state.ledger, seal=identity.seal), AuditLog(state.audit, identity.seal)
    last_known.write(state, identity.seal, ledger, audit)
    identities.save(state, identity.with_books())


def know_returned_requests(state: StateFolder) -> None:
    """2 to 3: a request may be returned for a change or withdrawn by who asked, and its reviewers vote."""
    know_returned(state.approvals)


def _begin_what_never_was(state: StateFolder) -> None:
    """Gives a datasite that has never served the books that a new one has from the beginning."""
    Approvals(state.approvals).close()
    RunQueue(state.runs).close()
    if not state.ledger.exists() and not state.ledger.with_suffix(".head").exists():
        Chain.begin(state.ledger, None)


def undo_half_a_seal(state: StateFolder) -> None:
    """Takes the seals off again that `seal_the_books` had put on when it was interrupted, once they have been checked.

    Raises:
        AuditBroken: The audit log is not the one that was sealed.
    """
    identity = identities.load(state)
    if identity.books:
        return
    ledger_head = state.ledger.with_suffix(".head")
    try:
        sealed = HeadFile(ledger_head, BOOK, identity.seal).read()
    except HeadBroken:
        return  # it is the first that is sealed
    if state.audit.with_suffix(".head").exists():
        read(state.audit, lambda entry: False, identity.seal)
        head_file(state.audit, None).path.unlink()
    HeadFile(ledger_head, BOOK, None).write(sealed)


MIGRATIONS: tuple[Migration, ...] = (name_the_ledgers_head, seal_the_books, know_returned_requests)


def migrate_books(state: StateFolder, first: int) -> None:
    """Brings books to `STATE_VERSION`, each version in turn.

    Args:
        state: A copy of a state folder, which `datasites.state.upgrading.upgrade` puts in its place.
        first: The version that it has.

    Raises:
        BooksDisagree, LedgerBroken, AuditBroken: The books do not hold or do not agree.
    """
    for version in range(first, STATE_VERSION):
        MIGRATIONS[version](state)
        write_version(state.path, version + 1)
        open_audit(state).write("state migrated", version=version + 1)
