"""A datasite's identity: made once, with its empty books, readable by the hospital's own account only.

Nothing here leaves the hospital but the credentials that an admin hands to a researcher.
"""

from __future__ import annotations

import json
import re
import secrets
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from datasites.approvals.approvals import Approvals
from datasites.audit_log.log import AuditLog
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from datasites.runs.queue import RunQueue
from datasites.state import last_known
from datasites.state.version import write_version
from policies.errors import BooksDisagree, ConfigError, StorageUnavailable
from policies.ledger.chain import Chain
from policies.ledger.chain_errors import is_not_read
from policies.ledger.ledger import Ledger
from policies.ledger.seal import Seal


@dataclass(frozen=True)
class Identity:
    """What makes a datasite the same one after a restart.

    Attributes:
        server_uid: PySyft's identifier of the server, 32 hexadecimal digits.
        signing_seed: ed25519 seed of the server, hexadecimal.
        admin_email: The admin's PySyft account.
        admin_password: Generated, never printed.
        books: The seal's mark that this datasite keeps books; empty where they are from before state version 2. It
            stands beside the key, so that it cannot be taken out by somebody who cannot read the key.
    """

    server_uid: str
    signing_seed: str
    admin_email: str
    admin_password: str
    books: str = ""

    @property
    def seal(self) -> Seal:
        """The seal of its books."""
        return Seal(bytes.fromhex(self.signing_seed))

    def with_books(self) -> Identity:
        """The same identity, which says that its books exist: from then on missing ones are refused."""
        return replace(self, books=self._books_mark())

    def _books_mark(self) -> str:
        return self.seal.mark("books exist", {"server_uid": self.server_uid})

    def check(self) -> None:
        """Refuses an identity whose word on its books is not its own.

        Raises:
            ValueError: It was changed.
        """
        if self.books not in ("", self._books_mark()):
            raise ValueError("what it says of its books is not under its own key")


def load(state: StateFolder) -> Identity:
    """Returns the datasite's identity.

    Raises:
        ConfigError: It is missing, may not be read, or was changed.
        StorageUnavailable: The disk does not let it be read now.
    """
    file = _file(state)
    try:
        identity = Identity(**json.loads(file.read_text()))
        identity.check()
    except (ValueError, TypeError, OSError) as error:
        if isinstance(error, OSError) and is_not_read(error):
            raise StorageUnavailable(
                f"The identity of datasite '{state.name}' cannot be read now. Look at the disk that it is on, and do "
                "it again.",
                private=str(error),
            ) from error
        raise ConfigError(
            f"The identity of datasite '{state.name}' cannot be read. Restore {file.name} from a backup; without "
            "it the datasite's accounts and approvals are lost.",
            private=str(error),
        ) from error
    return identity


def save(state: StateFolder, identity: Identity) -> None:
    """Writes the identity in the old one's place."""
    write_private(_file(state), json.dumps(asdict(identity), indent=2))


def load_or_create(state: StateFolder) -> Identity:
    """Returns the datasite's identity, made with its empty books at the first time.

    Guarantees:
        Books are begun once, before the identity that says so is on disk, and never beside older ones.

    Raises:
        ConfigError: The identity file exists and cannot be read.
        BooksDisagree: There are books without an identity.
    """
    state.create()
    if _file(state).exists():
        return load(state)
    if found := [book.name for book in state.books if book.exists()]:
        raise BooksDisagree(
            f"Datasite '{state.name}' has books and no identity. Restore the whole folder from a backup. If it was "
            "never served, remove the folder and make it anew.",
            private=f"identity/{_file(state).name} is missing beside {', '.join(found)}",
        )
    identity = Identity(
        server_uid=_new_uid(),
        signing_seed=secrets.token_hex(32),
        admin_email=f"admin@{_domain_label(state.name)}.org",
        admin_password=secrets.token_urlsafe(24),
    ).with_books()
    write_version(state.path)
    _begin_books(state, identity.seal)
    save(state, identity)
    return identity


def environment(state: StateFolder, identity: Identity) -> dict[str, str]:
    """The variables that PySyft reads once, when it is imported."""
    return {
        "SERVER_UID": identity.server_uid,
        "SERVER_PRIVATE_KEY": identity.signing_seed,
        "SYFT_TEMP_ROOT": str(state.syft.resolve()),
        "DEFAULT_ROOT_EMAIL": identity.admin_email,
        "DEFAULT_ROOT_PASSWORD": identity.admin_password,
    }


def _begin_books(state: StateFolder, seal: Seal) -> None:
    Chain.begin(state.ledger, seal)
    audit = AuditLog.begin(state.audit, seal)
    Approvals(state.approvals).close()
    RunQueue(state.runs).close()
    last_known.write(state, seal, Ledger(state.ledger, seal=seal), audit)


def _file(state: StateFolder) -> Path:
    return state.identity / "datasite.json"


def _domain_label(name: str) -> str:
    """A datasite's name as PySyft takes it behind an @."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") or "datasite"


def _new_uid() -> str:
    """A UUID4 that begins with a letter: SQLite turns one of digits alone into a number, and PySyft then fails."""
    while True:
        uid = uuid.uuid4().hex
        if uid[0] in "abcdef" and not uid.isdigit():
            return uid
