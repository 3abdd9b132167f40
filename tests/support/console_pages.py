"""The console's pages with fakes of everything behind them: no PySyft, no torch, a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

from support.added_people import add_person
from support.console_budgets import DATASET, fake_dataset, fake_ledger, hundredth
from support.console_reviews import FakeBook
from support.daily_fakes import daily_fakes
from support.waiting import wait_for

from datasites.access import passwords
from datasites.access.link_codes import LinkCodes
from datasites.access.people import ADMIN, AUDITOR, REVIEWER
from datasites.access.sessions import Sessions
from datasites.access.signing_in.openid import OpenId
from datasites.access.staff import Person, Staff
from datasites.access.throttle import SignInThrottle
from datasites.audit_log.log import AuditLog
from datasites.code_requests.limits.hospital_limits import HospitalLimits
from datasites.config import DatasiteConfig
from datasites.console.answers import RecordAnswer
from datasites.console.console import Console
from datasites.pages.app import make_pages_and_api
from datasites.review.review import Review
from datasites.sources.dataset_settings import DatasetSettings
from datasites.web.console_tls import ConsoleTls
from datasites.web.listening import console_server, listen
from datasites.web.port_limits import PortLimits
from policies.budget.limits import DatasetLimits

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

PASSWORD = "four words of it"
OWNER = "admin@clinic.org"
ADMIN_NAME, REVIEWER_NAME, AUDITOR_NAME = "a.okoye", "dr.wu", "m.lee"
SESSION_COOKIE = "wanwu-north-session"

EMPTY_LEDGER = SimpleNamespace(
    history=lambda *_, **__: (), reservations=dict, verify=lambda: None, entries=tuple, held=lambda request: None
)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Noted:
    """An audit log that is a list."""

    events: list[dict[str, Any]] = field(default_factory=list)
    log: Any = None

    @property
    def index(self) -> Any:
        return self.log.index

    def read(self, *keep: Any) -> Any:
        return self.log.read(*keep)

    def write(self, event: str, **details: Any) -> None:
        self.events.append({"event": event, **details})

    def add(self, event: str, **details: Any) -> None:
        self.write(event, **details)


class FakedConsole(Console):
    """A console whose reviews and records come from its book, which is a fake."""

    def review(self, request_id: str, *, viewer: str = "") -> Review:
        return self.book.review(request_id, viewer)  # type: ignore[attr-defined, no-any-return]

    def record(self, request_id: str, language: str) -> RecordAnswer:
        return self.book.record(request_id, language)  # type: ignore[attr-defined, no-any-return]


@dataclass
class ConsoleOfFakes:
    """A console that serves, and what is behind it.

    Attributes:
        url: Where it listens.
        console: Its parts; all but `staff` and `links` are fakes.
        sessions: Who is signed in.
        tokens: Of the people, by name.
        noted: What was written to the audit log.
        clock: Of its sessions, its links and its throttle; it stands until a test moves it.
    """

    url: str
    console: Console
    sessions: Sessions
    tokens: dict[str, str]
    noted: Noted
    clock: Clock

    @property
    def staff(self) -> Staff:
        return self.console.staff

    def link_of_owner(self) -> str:
        """An address that opens the console for the state folder's owner."""
        return f"{self.url}/open?code={self.console.links.give(Person(OWNER, ADMIN, named=False))}"

    def session_of(self, name: str) -> dict[str, str]:
        """The cookie of a new session of one of the people, as HTTP libraries take it."""
        known = self.staff.known(name)
        assert known
        return {SESSION_COOKIE: self.sessions.begin(known.person)}

    def sign_in(self, context: BrowserContext, name: str) -> None:
        """Gives a browser a session of one of the people, without the work of a password."""
        cookies = [{"name": cookie, "value": value, "url": self.url} for cookie, value in self.session_of(name).items()]
        context.add_cookies(cookies)  # type: ignore[arg-type]


@cache
def _kept() -> str:
    """What is kept of `PASSWORD`, with less work than a real one's: parameters are kept with it."""
    with patch.multiple(passwords, COST=1 << 4, PARALLEL=1):
        return passwords.kept(PASSWORD)


def real_limits(folder: Path, noted: Noted, **limits: Any) -> HospitalLimits:
    """Limits as a datasite keeps them, in a folder of the test's; `limits` are others than the ordinary."""
    state: Any = SimpleNamespace(config=folder / "config.toml", limit_proposals=folder / "limit-proposals.json")
    config, audit = DatasiteConfig(name="north", limits=DatasetLimits(**limits)), cast(AuditLog, noted)
    return HospitalLimits(state, config, audit)


def make_console(folder: Path, noted: Noted, *, url: str = "", **parts: Any) -> tuple[Console, dict[str, str]]:
    """A console of fakes with three people who have set `PASSWORD`; `parts` replace fakes by name."""
    staff = Staff(folder / "staff.json", folder / "staff", owner=OWNER, owner_token="the owner's")
    tokens = {OWNER: "the owner's"}
    for name, role in ((ADMIN_NAME, ADMIN), (REVIEWER_NAME, REVIEWER), (AUDITOR_NAME, AUDITOR)):
        tokens[name] = json.loads(add_person(staff, name, role, url=url).read_text())["token"]
        staff.change(name, lambda account: replace(account, password=_kept()))
    ledger, epsilon = parts.pop("ledger", None) or fake_ledger(), hundredth
    books = SimpleNamespace(
        audit=noted,
        counted=noted,
        limits=parts.pop("limits", None) or real_limits(folder, noted),
        ledger=ledger,
        approvals=SimpleNamespace(
            votes=SimpleNamespace(counts=lambda ids: dict.fromkeys(ids, 1), drop=lambda name: None)
        ),
        epsilon_charged=epsilon,
        epsilon_left=lambda fingerprint: 8.0 - epsilon(ledger.history(fingerprint)),
    )
    fakes: dict[str, Any] = {
        "name": "north",
        "staff": staff,
        "datasets": {DATASET: fake_dataset()},
        "source": DatasetSettings(),
        "books": books,
        "book": FakeBook(),
        **daily_fakes(folder, noted),
        "elsewhere": folder / "elsewhere",
        "rules": SimpleNamespace(book=SimpleNamespace(all=tuple, people_needed=1, drop=lambda name: None)),
        "url": lambda: url,
        "signing_seed": bytes(32),
    }
    return FakedConsole(**{**fakes, **parts}), tokens


@contextmanager
def serving(
    folder: Path,
    *,
    tls: ConsoleTls | None = None,
    openid: OpenId | None = None,
    **parts: Any,
) -> Iterator[ConsoleOfFakes]:
    """A console of fakes on a real port of loopback; `parts` replace fakes by name."""
    socket = listen("127.0.0.1", 0)
    url = f"{'https' if tls else 'http'}://127.0.0.1:{socket.getsockname()[1]}"
    noted, clock = Noted(), Clock()
    console, tokens = make_console(folder, noted, url=url, links=LinkCodes(clock), **parts)
    sessions = Sessions(console.staff, idle_seconds=900, longest_seconds=28_800, clock=clock)
    names = tls.names if tls else ()
    app = make_pages_and_api(console, sessions, SignInThrottle(clock), tls_names=names, openid=openid)
    server = console_server(app, PortLimits(), tls.context if tls else None)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[socket])), daemon=True)
    server.install_signal_handlers = lambda: None
    thread.start()
    try:
        wait_for(lambda: server.started, alive=thread.is_alive)
        yield ConsoleOfFakes(url, console, sessions, tokens, noted, clock)
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        socket.close()
