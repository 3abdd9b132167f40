"""Every route of the console, found and not listed: who gets nothing there, what is sent, what is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from support import versioned
from support.console_budgets import DATASET, fake_dataset
from support.console_pages import ADMIN_NAME, AUDITOR_NAME, REVIEWER_NAME, SESSION_COOKIE, Noted, make_console
from support.console_reviews import FLAGGED, PLAN
from support.daily_fakes import ADA, REPORTED

from datasites.access.people import AUDITOR, REVIEWER
from datasites.access.sessions import Sessions
from datasites.access.throttle import SignInThrottle
from datasites.assets.dataset_version import versions_of
from datasites.pages import app
from datasites.pages.frame import templates
from datasites.pages.frame.reception import Reception
from datasites.pages.frame.routing import pages_app
from datasites.pages.frame.views import Pages, Route
from datasites.pages.languages import in_templates
from datasites.rules.kept_rule import KeptRule
from datasites.rules.past_requests import DryRun, DryRunRow
from datasites.rules.rule import Rule, SettingRange
from datasites.rules.verdict import NO_REHEARSAL
from policies.answers.sentence import said

HOST = "127.0.0.1"
FORM = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
OPEN_TO_ALL = {"/preferences", "/sign-in", "/first-password", "/open"}
"""What a browser without a session may send."""
AN_AUDITORS = {
    "/sign-out",
    "/notices/read",
    "/audit/check",
    "/account/password",
    "/account/second-factor/begin",
    "/account/second-factor",
    "/account/second-factor/remove",
}
"""What an auditor may send beside it: nothing that changes how the datasite decides or runs."""
MARK = "<i>of somebody</i>"
NO_PAGES = {"/static/{name}", "/runs/events", "/health", "/audit/export", "/requests/{request_id}/record"}
ASKED = {
    "/people/researchers/revoke": f"?who={ADA}",
    **dict.fromkeys(("/people/staff/remove", "/people/staff/reset", "/people/staff/role"), f"?who={REVIEWER_NAME}"),
}
PLACES = {"name": DATASET, "request_id": FLAGGED, "run": "2222", "request": REPORTED}
KEPT = KeptRule(
    Rule("weekly", ADA, "a", DATASET, 1, "1" * 32, PLAN.to_json(), (SettingRange("rounds", 1, 9),), 1, 2, "2027-01-01"),
    "proposed",
    "each week",
    ("dr.wu",),
    "2026-11-27T12:00:00+00:00",
)
DRY_RUN = DryRun((DryRunRow("1" * 32, "day", "2026-11-18 10:00:00", "pending", False, (said(NO_REHEARSAL),)),), 0, 0)
RULES = SimpleNamespace(
    book=SimpleNamespace(all=lambda: (KEPT,), named=lambda version: KEPT, people_needed=1), dry_run=lambda rule: DRY_RUN
)


@dataclass
class Opened:
    """The console's app without a socket, its routes, and a session of each of its people."""

    client: TestClient
    routes: list[Route]
    sessions: dict[str, str]

    def ask(self, route: Route, name: str = "", **headers: str) -> tuple[int, str]:
        """Status and text of a route's answer to one of the people; a form brings no token."""
        cookies = {"cookie": f"{SESSION_COOKIE}={self.sessions[name]}"} if name else {}
        path = re.sub(r"{(\w+)}", lambda found: PLACES.get(found[1], "0"), route.path) + ASKED.get(route.path, "")
        form = {} if route.method == "GET" else {"data": {"who": "x"}}
        answer = self.client.request(route.method, path, headers={**FORM, **cookies, **headers}, **form)  # type: ignore[arg-type]
        return answer.status_code, answer.text


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    found: list[Route] = []

    def kept(reception: Reception, parts: Sequence[Pages]) -> Starlette:
        found.extend(route for part in parts for route in part.routes)
        return pages_app(reception, parts)

    folder = tmp_path_factory.mktemp("console")
    state = versioned.make_state(folder / "north")
    versioned.take(state, versioned.pictures_of(versioned.people(*range(12))))
    (version,) = versions_of(state.store, "pictures")
    dataset = fake_dataset(versions=(version,), dataset_version=version.number, store=version.folder)
    console, _ = make_console(folder, Noted(), rules=RULES, datasets={DATASET: dataset})
    sessions = Sessions(console.staff, idle_seconds=900, longest_seconds=900)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "pages_app", kept)
        patch.setattr(
            templates, "make_environment", templates.make_environment.__wrapped__
        )  # of its own: one is marked
        made = app.make_pages_and_api(console, sessions, SignInThrottle())
    people = {}
    for name in (ADMIN_NAME, REVIEWER_NAME, AUDITOR_NAME):
        known = console.staff.known(name)
        assert known
        people[name] = sessions.begin(known.person)
    yield Opened(TestClient(made, base_url=f"http://{HOST}", follow_redirects=False), found, people)


def test_nobody_reaches_a_page_without_a_session_and_every_form_takes_a_token(opened: Opened) -> None:
    for route in opened.routes:
        status, text = opened.ask(route)
        asked = f"{route.method} {route.path}"
        if route.roles:
            assert status == 303, asked
        elif route.method == "POST":
            assert (status, "WW615" in text, route.path in OPEN_TO_ALL) == (403, True, True), asked


@pytest.mark.parametrize("name", [ADMIN_NAME, REVIEWER_NAME, AUDITOR_NAME])
def test_a_form_without_a_token_or_of_another_role_is_refused_at_every_route(opened: Opened, name: str) -> None:
    for route in opened.routes:
        if route.method == "POST":
            status, text = opened.ask(route, name)
            assert (status, "WW615" in text) == (403, True), route.path
    role = {ADMIN_NAME: "admin", REVIEWER_NAME: REVIEWER, AUDITOR_NAME: AUDITOR}[name]
    for route in opened.routes:
        if route.roles and role not in route.roles and route.method == "GET":
            status, text = opened.ask(route, name)
            assert (status, "WW407" in text) == (403, True), route.path


def test_what_an_auditor_may_send_decides_and_runs_nothing(opened: Opened) -> None:
    sent = {route.path for route in opened.routes if route.method == "POST" and AUDITOR in route.roles}
    assert sent == AN_AUDITORS
    assert {route.path for route in opened.routes if route.method == "POST" and not route.roles} == OPEN_TO_ALL


def test_every_route_answers_one_host_only_and_is_never_framed_nor_kept(opened: Opened) -> None:
    for route in opened.routes:
        path = re.sub(r"{\w+}", "0", route.path)
        assert opened.client.request(route.method, path, headers={"host": "elsewhere.example"}).status_code == 421
        headers = opened.client.request(route.method, path).headers
        assert headers["x-frame-options"] == "DENY" and headers["cache-control"] == "no-store", route.path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], route.path


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_value_of_every_page_is_escaped(opened: Opened, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    for of in (templates, in_templates):
        monkeypatch.setattr(of, "shown", lambda value, *, most: f"{value}{MARK}")
    drawn = 0
    for route in opened.routes:
        if route.method == "GET" and route.path not in NO_PAGES:
            status, text = opened.ask(route, ADMIN_NAME, **{"accept-language": language})
            assert status < 500 and (status == 303 or escape(MARK) in text), route.path
            assert "<i>" not in text, route.path
            drawn += status == 200
    assert drawn > 26
