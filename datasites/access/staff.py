"""The hospital's own people: who may look, decide or change. Nobody here is a researcher, and no account leaves.

Each has an own token, of which only a hash is kept. The file that holds it is made once, to be handed over.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from datasites.access import passwords
from datasites.access.people import ADMIN, AUDITOR, REVIEWER, ROLES, StaffRow
from datasites.access.staff_file import StaffAccount, read_accounts, write_accounts
from datasites.access.staff_roles import Asking, RoleOutcome, with_role
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


class Known(NamedTuple):
    """A person, and the mark that a session of theirs hangs on."""

    person: Person
    mark: str


class Handed(NamedTuple):
    """The file that a person is handed, and what became of the role that they are to have."""

    file: Path
    role: RoleOutcome


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
        return [
            StaffRow(
                name=one.name,
                role=one.role,
                added_at=one.added_at,
                added_by=one.added_by,
                password=bool(one.password),
                second_factor=bool(one.second_factor),
                proposed_role=one.proposed_role,
                proposed_by=one.proposed_by,
            )
            for one in self._accounts().values()
        ]

    def known(self, name: str) -> Known | None:
        """Who has this name now; None for nobody."""
        if name == self._owner.name:
            return Known(self._owner, self._owner_digest)
        account = self._accounts().get(name)
        return None if account is None else Known(Person(account.name, account.role, named=True), account.mark)

    def decides(self, name: str) -> bool:
        """Whether somebody of this name may decide on requests now."""
        known = self.known(name)
        return known is not None and known.person.role in (ADMIN, REVIEWER)

    def account(self, name: str) -> StaffAccount | None:
        """What is kept of a person, for whoever checks a sign-in; None for nobody and for the state folder's owner."""
        return self._accounts().get(name)

    def change(self, name: str, change: Callable[[StaffAccount], StaffAccount]) -> None:
        """Changes what is kept of a person, one change after the other.

        Raises:
            ConfigError: There is no such account, or what `change` refuses.
        """
        with self._lock:
            accounts = self._accounts()
            write_accounts(self._file, {**accounts, name: change(_of_name(accounts, name))})

    def set_password(self, name: str, password: str) -> None:
        """Sets a person's password.

        Raises:
            ConfigError: There is no such account, or the password may not be set.
        """
        passwords.check_new(password, name=name)
        kept = passwords.kept(password)
        self.change(name, lambda account: replace(account, password=kept))

    def set_second_factor(self, name: str, secret: str, step: int) -> None:
        """Has a person's sign-in take a code made with this secret too, of a step after this one; with "" none."""
        self.change(name, lambda account: replace(account, second_factor=secret, second_factor_step=step))

    def change_role(self, name: str, role: str, *, by: Person, needed: int) -> RoleOutcome:
        """Gives a person another role, or notes that somebody wants it where it takes several people.

        Guarantees:
            Those of `with_role`. The last admin with an account stays one.

        Raises:
            ConfigError: There is no such account or role, it is the person's already, or nobody else is an admin.
            NotAllowed: It takes several people, and who asks cannot be one of them.
        """
        Checks(ConfigError).choice("role", role, ROLES)
        with self._lock:
            accounts = self._accounts()
            account = _of_name(accounts, name)
            if account.role == role:
                raise ConfigError(f"{name} is {role} already.")
            _check_another_admin(accounts, name)
            changed, outcome = with_role(account, role, _asking(accounts, by, needed))
            write_accounts(self._file, {**accounts, name: changed})
        return outcome

    def reset(self, name: str, *, by: Person, needed: int, url: str) -> Handed:
        """Takes a person's token, password and second factor away, and makes a new file to hand over.

        Guarantees:
            Every session of the person has ended, and so has any proposal of a role for them. Whoever holds the new
            file is an auditor until `with_role` gives them the role that the person had.

        Raises:
            ConfigError: There is no such account, or no admin with an account would be left.
        """
        token = secrets.token_urlsafe(32)
        with self._lock:
            accounts = self._accounts()
            account = _of_name(accounts, name)
            anew = replace(account, token_sha256=_digest(token), password="", second_factor="")
            anew = replace(anew, role=AUDITOR, proposed_role="", proposed_by=(), proposed_at="")
            asking, outcome = _asking(accounts, by, needed), RoleOutcome(False, True, ())
            if asking.alone(account) or asking.counts(account) or account.role == AUDITOR:
                anew, outcome = with_role(anew, account.role, asking)
            if not outcome.in_force:
                _check_another_admin(accounts, name)
            file = self._hand_over(name, token, url)
            write_accounts(self._file, {**accounts, name: anew})
        return Handed(file, outcome)

    def add(self, name: str, role: str, *, by: Person, needed: int, url: str) -> Handed:
        """Adds a person, and makes the file to hand over.

        Guarantees:
            Who is added is an auditor until `with_role` gives them another role.

        Raises:
            ConfigError: The name is taken or malformed, or there is no such role.
            NotAllowed: The role takes several people, and who asks cannot be one of them.
        """
        checks = Checks(ConfigError)
        checks.name("name", name)
        checks.choice("role", role, ROLES)
        with self._lock:
            accounts = self._accounts()
            if name in accounts or name == self._owner.name:
                raise ConfigError(f"There is an account {name!r} already. Remove it first, or choose another name.")
            token, now = secrets.token_urlsafe(32), datetime.now(UTC).isoformat(timespec="seconds")
            account = StaffAccount(name, AUDITOR, _digest(token), now, by.name)
            account, outcome = with_role(account, role, _asking(accounts, by, needed))
            file = self._hand_over(name, token, url)
            write_accounts(self._file, {**accounts, name: account})
        return Handed(file, outcome)

    def remove(self, name: str) -> None:
        """Ends a person's account at once.

        Raises:
            ConfigError: There is none, or nobody else is an admin with an account.
        """
        with self._lock:
            accounts = self._accounts()
            _of_name(accounts, name)
            _check_another_admin(accounts, name)
            del accounts[name]
            write_accounts(self._file, accounts)
            inside(self._handover, f"{name}.json").unlink(missing_ok=True)

    def _accounts(self) -> dict[str, StaffAccount]:
        return read_accounts(self._file)

    def _hand_over(self, name: str, token: str, url: str) -> Path:
        """Writes the file that a person is handed, which alone holds their token."""
        self._handover.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = inside(self._handover, f"{name}.json")
        write_private(file, json.dumps({"url": url, "name": name, "token": token}))
        return file


def _of_name(accounts: Mapping[str, StaffAccount], name: str) -> StaffAccount:
    if name not in accounts:
        raise ConfigError(f"There is no account {name!r}.")
    return accounts[name]


def _admins(accounts: Mapping[str, StaffAccount]) -> frozenset[str]:
    return frozenset(one.name for one in accounts.values() if one.role == ADMIN)


def _asking(accounts: Mapping[str, StaffAccount], by: Person, needed: int) -> Asking:
    return Asking(by.name, by.named, _admins(accounts), needed)


def _check_another_admin(accounts: Mapping[str, StaffAccount], name: str) -> None:
    """Refuses to take the last admin with an account away."""
    if _admins(accounts) == {name}:
        raise ConfigError(
            f"{name} is the only admin with an account. Make somebody else an admin first; to end a token or password "
            f"that others know, the state folder's owner runs 'python -m datasites staff reset {name}'."
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
