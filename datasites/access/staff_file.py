"""The file of the hospital's own people: of tokens and passwords it holds digests alone. It stays in the hospital."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from datasites.files.private_file import write_private
from policies.errors import ConfigError


@dataclass(frozen=True)
class StaffAccount:
    """One of the hospital's people, as the file keeps it.

    Attributes:
        name: As decisions and audit entries state it.
        role: `admin`, `reviewer` or `auditor`.
        token_sha256: Digest of the person's token.
        added_at: When, ISO 8601.
        added_by: By whom.
        password: What is kept of the password; empty until the person sets one.
        second_factor: Secret of the second factor, base 32; empty where there is none.
        second_factor_step: Time step of the last code that was taken: it and earlier ones are not taken again.
        proposed_role: The role that somebody wants the person to have; empty where nobody does.
        proposed_by: Who does.
        proposed_at: Since when, ISO 8601.
    """

    name: str
    role: str
    token_sha256: str
    added_at: str
    added_by: str
    password: str = ""
    second_factor: str = ""
    second_factor_step: int = 0
    proposed_role: str = ""
    proposed_by: tuple[str, ...] = ()
    proposed_at: str = ""

    @property
    def mark(self) -> str:
        """A digest of all that a session hangs on: it changes with role, token, password and second factor."""
        hangs_on = (self.name, self.role, self.token_sha256, self.added_at, self.password, self.second_factor)
        return hashlib.sha256(json.dumps(hangs_on).encode()).hexdigest()


def read_accounts(file: Path) -> dict[str, StaffAccount]:
    """All accounts, by name.

    Raises:
        ConfigError: The file cannot be read.
    """
    if not file.exists():
        return {}
    try:
        accounts = [StaffAccount(**one) for one in json.loads(file.read_text())]
        return {one.name: replace(one, proposed_by=tuple(one.proposed_by)) for one in accounts}
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError("The file of the hospital's accounts cannot be read. Restore it from a copy.") from error


def write_accounts(file: Path, accounts: dict[str, StaffAccount]) -> None:
    """Writes all accounts, whole or not at all."""
    write_private(file, json.dumps([asdict(one) for one in accounts.values()], indent=2))
