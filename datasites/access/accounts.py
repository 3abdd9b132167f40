"""Accounts on the datasite's PySyft server. The hospital's admin makes them; nobody signs up.

A new account's credentials are written to a file for the admin to hand over; they are never printed or logged.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from syft.service.settings.settings import ServerSettingsUpdate
from syft.service.user.user import UserUpdate
from syft.service.user.user_roles import ServiceRole

from datasites.access.enrolment import Enrolment
from datasites.access.people import ResearcherRow
from datasites.audit_log.log import AuditLog
from datasites.config import DatasiteConfig, check_email
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from datasites.pysyft.context import admin_context
from policies.errors import AccountUnknown, SignInFailed
from policies.inside_folder import inside


class Accounts:
    """The accounts of one datasite."""

    def __init__(self, server: Any, state: StateFolder, *, url: str, enrolment: Enrolment, audit: AuditLog) -> None:
        self._server, self._state, self._url = server, state, url
        self._enrolment, self._audit = enrolment, audit
        self.check_own, self.enrolled_since = enrolment.check_own, enrolment.since
        self._emails: dict[str, str] | None = None  # of researchers, by key, until an account is added

    def close_sign_up(self) -> None:
        """Turns off sign-up and guests, which PySyft leaves to settings; no datasite depends on their defaults."""
        update = ServerSettingsUpdate(signup_enabled=False, allow_guest_sessions=False)
        self._server.services.settings._update(admin_context(self._server), update).unwrap()

    def credentials_file(self, email: str) -> Path:
        """Where the credentials of a researcher lie."""
        return inside(self._state.credentials, f"{email}.json")

    def enrol_first(self, emails: tuple[str, ...]) -> None:
        """Enrols researchers who were never enrolled. One who was revoked stays so, also if the settings name them."""
        for email in emails:
            if not self._enrolment.known(email) or email not in self.researchers():
                self.enrol(email)

    def enrol(self, email: str) -> Path:
        """Makes a researcher's account if there is none, and a new certificate in any case.

        Returns:
            The file to hand over: address, password, the hospital's certificate, the researcher's, and its key.

        Raises:
            ConfigError: Not an address.
        """
        file = self.credentials_file(check_email(email))
        with self._server.lock:
            password = self._write_credentials(file, email)
            if email in self.researchers():
                self._set_password(email, password)
            else:
                self._create(email, password)
        self._audit.write("researcher enrolled", researcher=email)
        return file

    def revoke(self, email: str) -> int:
        """Ends a researcher's access at once: certificates, open connections, password and credentials file.

        Guarantees:
            After the return nothing that this researcher holds opens the datasite; only `enrol` does again.

        Returns:
            How many valid certificates there were.

        Raises:
            AccountUnknown: No such researcher.
        """
        if not self._enrolment.known(email) and email not in self.researchers():
            raise AccountUnknown(f"There is no researcher {email} here.")
        ended = self._enrolment.revoke(email)
        self._audit.write("researcher revoked", researcher=email)
        with self._server.lock:
            self.credentials_file(check_email(email)).unlink(missing_ok=True)
            if email in self.researchers():
                self._set_password(email, secrets.token_urlsafe(24))
        return ended

    def people(self) -> list[ResearcherRow]:
        """Each researcher's address, whether its certificate is valid, expired or revoked, and until when."""
        return self._enrolment.people()

    def _write_credentials(self, file: Path, email: str) -> str:
        """Writes the credentials before the account is made or changed: a crash between loses nothing."""
        password = _password_in(file) or secrets.token_urlsafe(24)
        made = self._enrolment.issue(email)
        credentials = {
            "datasite": self._state.name,
            "url": self._url,
            "email": email,
            "password": password,
            "authority": self._enrolment.authority_pem,
            "certificate": made.certificate_pem,
            "key": made.key_pem,
        }
        write_private(file, json.dumps(credentials, indent=2))
        return password

    def _set_password(self, email: str, password: str) -> None:
        user = next(user for user in self._users() if user.email == email)
        update = UserUpdate(password=password)
        self._server.services.user.update(admin_context(self._server), uid=user.id, user_update=update)

    def _create(self, email: str, password: str) -> None:
        self._server.services.user.create(
            admin_context(self._server),
            email=email,
            name=email.split("@")[0],
            password=password,
            password_verify=password,
            role=ServiceRole.DATA_SCIENTIST,
        )
        self._emails = None

    def researchers(self) -> list[str]:
        """E-mail addresses of all researchers' accounts."""
        return sorted(user.email for user in self._users() if user.role is ServiceRole.DATA_SCIENTIST)

    def own_email(self, account: str) -> str:
        """As `email`, if the request being served came with that address's own certificate.

        Raises:
            SignInFailed: The key belongs to no researcher.
            CertificateRefused: It belongs to another one than the certificate does.
        """
        email = self.email(account)
        self.check_own(email)
        return email

    def email(self, account: str) -> str:
        """The address that belongs to an account's public key.

        Raises:
            SignInFailed: It belongs to no researcher.
        """
        known = self._emails
        if known is None:
            with self._server.lock:
                researchers = [user for user in self._users() if user.role is ServiceRole.DATA_SCIENTIST]
                known = self._emails = {str(user.verify_key): user.email for user in researchers}
        try:
            return known[account]
        except KeyError as error:
            raise SignInFailed("This key belongs to no researcher's account here. Ask the hospital for one.") from error

    def known(self, account: str) -> str:
        """As `email`, or empty: a log names nobody but the datasite's own."""
        try:
            return self.email(account)
        except SignInFailed:
            return ""

    def _users(self) -> list[Any]:
        return list(self._server.services.user.stash.get_all(self._server.verify_key).unwrap())


def open_accounts(
    server: Any, state: StateFolder, config: DatasiteConfig, enrolment: Enrolment, audit: AuditLog
) -> Accounts:
    """The accounts of a datasite that serves: nobody signs up, and whom the settings name is enrolled."""
    accounts = Accounts(server, state, url=config.url, enrolment=enrolment, audit=audit)
    accounts.close_sign_up()
    accounts.enrol_first(config.researchers)
    return accounts


def _password_in(file: Path) -> str | None:
    """The password in a credentials file that lies here, so that the account's earlier file goes on working."""
    try:
        return str(json.loads(file.read_text())["password"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
