"""Changes that people make of their own accounts: password, second factor. Each takes the password again."""

from __future__ import annotations

from datasites.access.signing_in import second_factor
from datasites.access.signing_in.sign_in import SignIn
from datasites.access.staff import Person, Staff
from datasites.audit_log.log import AuditLog
from policies.errors import ConfigError, NotAllowed


class OwnAccount:
    """Changes of an account by the person whose it is.

    Guarantees:
        Nothing changes without the password, and the code where there is one. Every session of the account ends with
        a change: the person's browser gets a new one.
    """

    def __init__(self, staff: Staff, sign_in: SignIn, audit: AuditLog) -> None:
        self._staff, self._sign_in, self._audit = staff, sign_in, audit

    def has_second_factor(self, person: Person) -> bool:
        """Whether the person's sign-in takes a code too."""
        account = self._staff.account(person.name)
        return account is not None and bool(account.second_factor)

    def change_password(self, person: Person, password: str, code: str, new: str, *, peer: str) -> None:
        """Sets another password.

        Raises:
            SignInFailed, ConfigError: The password or code is not right; the new one may not be set.
        """
        self._check(person, password, code, peer)
        self._staff.set_password(person.name, new)
        self._audit.write("password set", name=person.name, by=person.name)

    def add_second_factor(self, person: Person, password: str, secret: str, code: str, *, peer: str) -> None:
        """Has sign-ins take a code from now on, once the device has shown that it makes the right ones.

        Raises:
            SignInFailed, ConfigError: The password or the code is not right.
        """
        self._check(person, password, "", peer)
        step = second_factor.step_of(secret, code, after=0) if secret else None
        if step is None:
            raise ConfigError("The code is not right. Scan the picture again, and look at the clock of your device.")
        self._staff.set_second_factor(person.name, secret, step)
        self._audit.write("second factor set up", name=person.name, by=person.name)

    def remove_second_factor(self, person: Person, password: str, code: str, *, peer: str) -> None:
        """Has sign-ins take no code any more.

        Raises:
            SignInFailed: The password or code is not right.
        """
        self._check(person, password, code, peer)
        self._staff.set_second_factor(person.name, "", 0)
        self._audit.write("second factor removed", name=person.name, by=person.name)

    def _check(self, person: Person, password: str, code: str, peer: str) -> None:
        if not person.named:
            raise NotAllowed(
                "The state folder's owner has no password: 'python -m datasites console' opens the console."
            )
        self._sign_in.check(person.name, password, code, peer=peer)
