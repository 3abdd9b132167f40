"""The hospital's own people: who may look, decide or change. Nobody here is a researcher, and no account leaves.

Each has an own token, of which only a hash is kept. The file that holds it is made once, to be handed over.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from datasites.access.people import ADMIN, ROLES, StaffRow
from datasites.files.private_file import write_private
from policies.errors import ConfigError, NotAllowed, SignInFailed
from policies.inside_folder import inside
from policies.validate import Checks


@dataclass(frozen=True)
class Person:
    """Who asks the console for something.

    Attributes:
        name: As decisions, audit entries and receipts state it.
        role: One of `ROLES`.
        named: Whether this is a person with an own token, not merely the owner of the state folder.
    """

    name: str
    role: str
    named: bool

    def must_be(self, *roles: str) -> None:
        """Refuses whoever has none of the roles.

        Raises:
            NotAllowed: Naming the roles that may.
        """
        if self.role not in roles:
            raise NotAllowed(f"Role '{self.role}' may not do this. It takes: {', '.join(roles)}.")


@dataclass(frozen=True)
class _Account:
    name: str
    role: str
    token_sha256: str
    added_at: str
    added_by: str


class Staff:
    """Accounts of the hospital's people, beside the owner of the state folder, who is an admin by its token.

    Args:
        file: Where the accounts are kept, without any token.
        handover: Folder for token files.
        owner: Name of the state folder's owner.
        owner_token: What the owner's command line reads from the state folder.
    """

    def __init__(self, file: Path, handover: Path, *, owner: str, owner_token: str) -> None:
        self._file, self._handover = file, handover
        self._owner, self._owner_digest = Person(owner, ADMIN, named=False), _digest(owner_token)
        self._lock = threading.Lock()

    def of_token(self, token: str) -> Person:
        """Whose token it is.

        Guarantees:
            Compares digests of equal length in constant time, with every account.

        Raises:
            SignInFailed: Nobody's.
        """
        given = _digest(token)
        found = self._owner if hmac.compare_digest(given, self._owner_digest) else None
        for account in self._accounts().values():
            if hmac.compare_digest(given, account.token_sha256):
                found = Person(account.name, account.role, named=True)
        if found is None:
            raise SignInFailed("The admin API needs a token: the state folder's owner's, or a person's own.")
        return found

    def list(self) -> list[StaffRow]:
        """Names, roles, when and by whom added."""
        return [StaffRow(one.name, one.role, one.added_at, one.added_by) for one in self._accounts().values()]

    def add(self, name: str, role: str, *, by: str, url: str) -> Path:
        """Adds a person and returns the file to hand over.

        Raises:
            ConfigError: The name is taken or malformed, or there is no such role.
        """
        checks = Checks(ConfigError)
        checks.name("name", name)
        checks.choice("role", role, ROLES)
        with self._lock:
            accounts = self._accounts()
            if name in accounts or name == self._owner.name:
                raise ConfigError(f"There is an account {name!r} already. Remove it first, or choose another name.")
            token = secrets.token_urlsafe(32)
            self._handover.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = inside(self._handover, f"{name}.json")
            write_private(file, json.dumps({"url": url, "name": name, "token": token}))
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._write({**accounts, name: _Account(name, role, _digest(token), now, by)})
        return file

    def remove(self, name: str) -> None:
        """Ends a person's account at once.

        Raises:
            ConfigError: There is none.
        """
        with self._lock:
            accounts = self._accounts()
            if accounts.pop(name, None) is None:
                raise ConfigError(f"There is no account {name!r}.")
            self._write(accounts)
            inside(self._handover, f"{name}.json").unlink(missing_ok=True)

    def _accounts(self) -> dict[str, _Account]:
        if not self._file.exists():
            return {}
        try:
            return {one["name"]: _Account(**one) for one in json.loads(self._file.read_text())}
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError("The file of the hospital's accounts cannot be read. Restore it from a copy.") from error

    def _write(self, accounts: dict[str, _Account]) -> None:
        write_private(self._file, json.dumps([asdict(one) for one in accounts.values()], indent=2))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
