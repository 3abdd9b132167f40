"""Accounts on the datasite's PySyft server. The hospital's admin makes them; nobody signs up.

A new account's credentials are written to a file for the admin to hand over; they are never printed or logged.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from syft.service.settings.settings import ServerSettingsUpdate
from syft.service.user.user_roles import ServiceRole

from datasites.canonical import admin_context
from datasites.config import check_email
from datasites.identity import StateFolder, write_private
from policies.errors import ConfigError, SignInFailed


class Accounts:
    """The accounts of one datasite."""

    def __init__(self, server: Any, state: StateFolder, *, url: str) -> None:
        self._server, self._state, self._url = server, state, url
        self._emails: dict[str, str] = {}

    def close_sign_up(self) -> None:
        """Turns off sign-up and guests, which PySyft leaves to settings; no datasite depends on their defaults."""
        update = ServerSettingsUpdate(signup_enabled=False, allow_guest_sessions=False)
        self._server.services.settings._update(admin_context(self._server), update).unwrap()

    def credentials_file(self, email: str) -> Path:
        """Where the credentials of a researcher lie."""
        return self._state.credentials / f"{email}.json"

    def add_researcher(self, email: str) -> Path:
        """Adds a researcher's account and returns the file with its credentials.

        Raises:
            ConfigError: Not an address, or the account exists and its credentials are not here any more.
        """
        file = self.credentials_file(check_email(email))
        with self._server.lock:
            known = email in self.researchers()
            if known and not file.exists():
                raise ConfigError(f"The account {email} exists, but its credentials file does not. Restore it.")
            if not known:
                self._create(email, self._write_credentials(file, email))
        return file

    def _write_credentials(self, file: Path, email: str) -> str:
        """Writes a new account's credentials before the account is made: a crash between loses nothing."""
        password = secrets.token_urlsafe(24)
        credentials = {"datasite": self._state.name, "url": self._url, "email": email, "password": password}
        write_private(file, json.dumps(credentials, indent=2))
        return password

    def _create(self, email: str, password: str) -> None:
        self._server.services.user.create(
            admin_context(self._server),
            email=email,
            name=email.split("@")[0],
            password=password,
            password_verify=password,
            role=ServiceRole.DATA_SCIENTIST,
        )

    def researchers(self) -> list[str]:
        """E-mail addresses of all researchers' accounts."""
        return sorted(user.email for user in self._users() if user.role is ServiceRole.DATA_SCIENTIST)

    def email(self, account: str) -> str:
        """The address that belongs to an account's public key.

        Raises:
            SignInFailed: It belongs to no researcher.
        """
        if account not in self._emails:
            with self._server.lock:
                self._emails = {
                    str(user.verify_key): user.email
                    for user in self._users()
                    if user.role is ServiceRole.DATA_SCIENTIST
                }
        try:
            return self._emails[account]
        except KeyError as error:
            raise SignInFailed("This key belongs to no researcher's account here. Ask the hospital for one.") from error

    def _users(self) -> list[Any]:
        return list(self._server.services.user.stash.get_all(self._server.verify_key).unwrap())
