"""The console of a running datasite, opened from its rooms. It never leaves the hospital."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from datasites.access.sessions import Sessions
from datasites.access.signing_in.openid import OpenId, read_provider
from datasites.access.throttle import SignInThrottle
from datasites.console.console import Console
from datasites.pages.app import make_pages_and_api
from datasites.rules.desk import People
from datasites.rules.rules import Rules, open_rules
from datasites.web.console_tls import ConsoleTls, in_address, read_tls
from datasites.web.listening import Listening, console_server, listen

if TYPE_CHECKING:
    from datasites.access.access import Access
    from datasites.access.accounts import Accounts
    from datasites.assets.published import PublishedDataset
    from datasites.code_requests.books import Books
    from datasites.code_requests.requests import RequestBook
    from datasites.config import DatasiteConfig
    from datasites.files.state_folder import StateFolder
    from datasites.notices.notices import Notices
    from datasites.runs.runs import Runs


@dataclass(frozen=True)
class ConsolePort:
    """The console's port, before anything listens.

    Attributes:
        app: What answers.
        config: The datasite's settings.
        tls: The hospital's certificate for it; None on loopback without one.
        rules: What people let be approved without them, here on the console's pages.
    """

    app: ASGIApp
    config: DatasiteConfig
    tls: ConsoleTls | None
    rules: Rules

    def listen(self) -> socket:
        """The open socket.

        Raises:
            ConfigError: The port is taken, or may not be opened.
        """
        return listen(
            self.config.console_host,
            self.config.console_port,
            chosen_by="console_port in the datasite's config.toml",
        )

    def serving_on(self, listening: socket) -> Listening:
        """What serves on that socket, with it."""
        return console_server(self.app, self.config.port_limits, self.tls.context if self.tls else None), listening

    def access(self, listening: socket) -> dict[str, str]:
        """Where a command line finds the console, and the certificate that it then meets."""
        host, port = listening.getsockname()[:2]
        if self.tls is None:
            return {"url": f"http://{in_address(host, port)}"}
        return {"url": f"https://{in_address(self.tls.names[0], port)}", "certificate": self.tls.certificate}


def open_console(
    state: StateFolder,
    config: DatasiteConfig,
    *,
    access: Access,
    accounts: Accounts,
    datasets: Mapping[str, PublishedDataset],
    books: Books,
    book: RequestBook,
    runs: Runs,
    told: Notices,
    signing_seed: bytes,
    study_reports: Path,
) -> ConsolePort:
    """The console of the datasite with these settings.

    Raises:
        ConfigError: The hospital's certificate for it, or its provider of sign-ins, cannot be used.
    """
    tls = None
    if config.console_certificate:
        tls = read_tls(Path(config.console_certificate).expanduser(), Path(config.console_key).expanduser())
    rules = open_rules(
        state.rules,
        book,
        books,
        People(access.staff.decides, access.enrolment.in_good_standing),
        accounts.enrolled_since,
    )
    console = Console(
        name=config.name,
        staff=access.staff,
        datasets=datasets,
        source=config.dataset,
        books=books,
        book=book,
        accounts=accounts,
        queue=runs.queue,
        supervisor=runs.supervisor,
        notices=told,
        rules=rules,
        elsewhere=state.elsewhere,
        config=config,
        url=lambda: access.console_url,
        signing_seed=signing_seed,
        study_reports=study_reports,
    )
    sessions = Sessions(
        access.staff,
        idle_seconds=60 * config.console_idle_minutes,
        longest_seconds=3600 * config.console_session_hours,
    )
    names = tls.names if tls else ()
    app = make_pages_and_api(console, sessions, SignInThrottle(), tls_names=names, openid=_openid(config))
    return ConsolePort(app, config, tls, rules)


def _openid(config: DatasiteConfig) -> OpenId | None:
    """The hospital's own provider of sign-ins, where the settings name one."""
    if not config.console_openid_issuer:
        return None
    return OpenId(
        read_provider(
            config.console_openid_issuer,
            config.console_openid_client,
            config.console_openid_secret,
            config.console_openid_claim,
        )
    )
