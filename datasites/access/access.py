"""The room of access, opened: certificates for the researchers' port, and tokens for the hospital's own people."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from datasites.access.enrolment import Enrolment
from datasites.access.staff import Staff
from datasites.config import DatasiteConfig
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder


class Access:
    """The certificates and the hospital's people of one datasite. Researchers' accounts need PySyft: see `accounts`.

    Attributes:
        enrolment: The authority and its list of certificates.
        staff: The hospital's people.
    """

    def __init__(self, state: StateFolder, config: DatasiteConfig, *, owner: str) -> None:
        """Reads the lists, and makes the server's certificate where that is due.

        Args:
            state: The datasite's folder.
            config: The datasite's settings.
            owner: E-mail address of whoever owns the state folder.
        """
        self._state = state
        self.enrolment = Enrolment(state, days=config.certificate_days)
        self.enrolment.prepare_server(config.dialled)
        self._token = secrets.token_urlsafe(32)
        self.staff = Staff(
            state.identity / "staff.json", state.credentials / "staff", owner=owner, owner_token=self._token
        )

    @property
    def console_url(self) -> str:
        """Where the console listens."""
        return str(json.loads(self._state.console.read_text())["url"])

    def open_console(self, where: Mapping[str, str]) -> None:
        """Tells the state folder's owner, in a private file, where the console listens, and the token of this start."""
        write_private(self._state.console, json.dumps({**where, "token": self._token}))

    def close_console(self) -> None:
        """Removes that file."""
        self._state.console.unlink(missing_ok=True)
