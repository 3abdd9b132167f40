"""A state folder that is served: checked at the start, and its books' ends remembered. Nothing of it leaves."""

from __future__ import annotations

import contextlib

from datasites.audit_log.ledger_witness import head_of
from datasites.audit_log.log import AuditLog
from datasites.files.state_folder import StateFolder
from datasites.pysyft_database.settings import DatabaseSettings
from datasites.pysyft_database.settling import check_reachable, settle
from datasites.state import agreement, last_known
from datasites.state import identity as identities
from policies.errors import AuditUnavailable, BooksDisagree, LedgerBroken
from policies.ledger.ledger import Ledger


class ServedState:
    """The state folder of a datasite that serves.

    Attributes:
        folder: Where all of it lies.
        identity: Who the datasite is.
    """

    def __init__(self, folder: StateFolder, database: DatabaseSettings) -> None:
        """Reads the identity, or makes it with the first start, brings PySyft's rows to where the settings want them,
        and checks the books.

        Args:
            folder: The state folder.
            database: Where PySyft's database is to be.

        Raises:
            ConfigError: The identity cannot be read, or the rows are elsewhere than the settings say.
            DatabaseUnavailable, DatabaseRefused: PostgreSQL does not answer, which is found before anything is
                made, or its database is not this datasite's.
            BooksDisagree, LedgerBroken, AuditBroken: The books do not tell one story; see `agreement.check`.
        """
        self.folder = folder
        check_reachable(folder, database)
        self.identity = identities.load_or_create(folder)
        settle(folder, database, self.identity.server_uid)
        agreement.check(folder)

    def started(self, ledger: Ledger, audit: AuditLog, *, name: str, port: int) -> None:
        """Writes down that the datasite serves, and how far its books had come."""
        audit.write("datasite started", name=name, port=port, **head_of(ledger))
        self._remember(ledger, audit)

    def stopped(self, ledger: Ledger, audit: AuditLog, *, name: str) -> None:
        """Writes down that the datasite has stopped. A full disk does not keep it from stopping."""
        with contextlib.suppress(AuditUnavailable, LedgerBroken, BooksDisagree, OSError):
            audit.write("datasite stopped", name=name, **head_of(ledger))
            self._remember(ledger, audit)

    def _remember(self, ledger: Ledger, audit: AuditLog) -> None:
        last_known.write(self.folder, self.identity.seal, ledger, audit)
