"""The books in a state folder, opened with the datasite's seal: by the serving process and by every command beside it.

`datasites.state.identity` begins them, once. Nothing of them crosses the boundary.
"""

from __future__ import annotations

from datasites.audit_log.chain import AuditLines, Keep, read
from datasites.audit_log.log import AuditLog
from datasites.files.state_folder import StateFolder
from datasites.state import identity as identities
from policies.budget.accountant import epsilon_spent, filter_epsilon
from policies.ledger.budget_check import Accountant, Filter
from policies.ledger.ledger import Ledger
from policies.ledger.seal import Seal


def seal_of(state: StateFolder) -> Seal | None:
    """The seal of a datasite's books; None where its identity is from before state version 2.

    Raises:
        ConfigError: The identity is missing, cannot be read, or was changed.
    """
    identity = identities.load(state)
    return identity.seal if identity.books else None


def open_ledger(state: StateFolder, epsilon: Accountant = epsilon_spent, filtered: Filter = filter_epsilon) -> Ledger:
    """The datasite's ledger. It shows at its first use whether it holds."""
    return Ledger(state.ledger, epsilon, filtered, seal=seal_of(state))


def open_audit(state: StateFolder) -> AuditLog:
    """The datasite's audit log, to write.

    Raises:
        AuditBroken, AuditUnavailable: It does not hold, is missing, or cannot be read.
    """
    return AuditLog(state.audit, seal_of(state))


def read_audit(state: StateFolder, keep: Keep = lambda entry: True) -> AuditLines:
    """The datasite's audit log, checked, with the entries that `keep` chooses.

    Raises:
        AuditBroken: It does not hold, or is missing.
    """
    return read(state.audit, keep, seal_of(state))
