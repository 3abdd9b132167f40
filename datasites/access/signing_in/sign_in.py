"""Signing in at the console: a name, a password and, where one was set up, a code. Guessing is slow and noted."""

from __future__ import annotations

from dataclasses import replace

from datasites.access import passwords
from datasites.access.signing_in import second_factor
from datasites.access.staff import Person, Staff
from datasites.access.staff_file import StaffAccount
from datasites.access.throttle import SignInThrottle
from datasites.audit_log.counted_events import CountedEvents
from datasites.audit_log.log import AuditLog
from policies.errors import SignInFailed

REFUSED = "Name, password or code is not right."
MOST_NAME = 120


class SignIn:
    """The ways into the console for a person who has no session.

    Guarantees:
        Whatever is wrong, the answer is the same, after the same work. Tries count for the account and the address they
        come from, and for that address alone; each failure beyond a few has a growing pause. Failures are counted in
        the audit log, under the account's name only where there is such an account.
    """

    def __init__(self, staff: Staff, audit: AuditLog, counted: CountedEvents, throttle: SignInThrottle) -> None:
        self._staff, self._audit, self._counted, self._throttle = staff, audit, counted, throttle

    def by_password(self, name: str, password: str, code: str, *, peer: str) -> Person:
        """Signs a person in.

        Raises:
            SignInFailed: Name, password or code is not right, or too many failures came before.
        """
        person = self.check(name, password, code, peer=peer)
        self._audit.write("signed in", by=person.name, way="password")
        return person

    def check(self, name: str, password: str, code: str, *, peer: str) -> Person:
        """Who that is: for a sign-in, and again before what a session alone is not enough for.

        Raises:
            SignInFailed: See `by_password`.
        """
        self._begin(name, peer)
        account = self._staff.account(name)
        fits = passwords.fits(password, account.password if account else "")
        known = self._staff.known(name)
        if not fits or account is None or known is None:
            raise self._refused(name)
        if account.second_factor:
            self._take_code(name, code)
        self._throttle.succeeded(name, peer)
        return known.person

    def first_password(self, name: str, token: str, password: str, *, peer: str) -> Person:
        """Sets the first password of an account, with the token of the file that was handed over.

        Raises:
            SignInFailed: It is not that account's token, or the account has a password already.
            ConfigError: The password may not be set.
        """
        self._begin(name, peer)
        account = self._staff.account(name)
        try:
            person = self._staff.of_token(token)
        except SignInFailed:
            raise self._refused(name) from None
        if account is None or account.password or person.name != name:
            raise self._refused(name)
        self._staff.set_password(name, password)
        self._throttle.succeeded(name, peer)
        self._audit.write("password set", name=name, by=name)
        self._audit.write("signed in", by=name, way="token")
        return person

    def by_link(self, person: Person) -> None:
        """Notes that a person who held a token opened the console."""
        self._audit.write("signed in", by=person.name, way="link")

    def by_provider(self, name: str) -> Person:
        """Who that is whom the hospital's own provider names. It vouches for passwords and codes, and makes no account.

        Raises:
            SignInFailed: Nobody here.
        """
        known = self._staff.known(name)
        if known is None or not known.person.named:
            raise self._refused(name)
        self._audit.write("signed in", by=name, way="provider")
        return known.person

    def _begin(self, name: str, peer: str) -> None:
        if wait := self._throttle.attempt(name[:MOST_NAME], peer):
            self._counted.add("sign-in at the console held back", account=self._known(name))
            raise SignInFailed(f"Too many failed sign-ins. Wait {wait} seconds, then try again.")

    def _refused(self, name: str) -> SignInFailed:
        self._counted.add("sign-in at the console refused", account=self._known(name))
        return SignInFailed(REFUSED)

    def _take_code(self, name: str, code: str) -> None:
        """Takes a code; it and all before it are none any more."""

        def taken(account: StaffAccount) -> StaffAccount:
            step = second_factor.step_of(account.second_factor, code, after=account.second_factor_step)
            if step is None:
                raise self._refused(name)
            return replace(account, second_factor_step=step)

        self._staff.change(name, taken)

    def _known(self, name: str) -> str:
        return name if self._staff.known(name) else ""
