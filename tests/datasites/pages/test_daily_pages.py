"""Pages of daily life: the audit log, people, notices, what is not well, settings. Who may what, and what is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect
from support.added_people import add_person
from support.console_pages import (
    ADMIN_NAME,
    AUDITOR_NAME,
    REVIEWER_NAME,
    ConsoleOfFakes,
    Noted,
    real_limits,
    serving,
)
from support.daily_fakes import ADA, EVE, MARKUP, REPORTED
from support.waiting import CEILING_SECONDS

from datasites.config import DatasiteConfig
from datasites.doctor.finding import Finding
from datasites.doctor.latest_examination import Examination
from datasites.notices.settings import NoticeSettings
from datasites.sources.dataset_settings import DatasetSettings
from policies.settings import declared

ALL, ADMINS, AUDITORS = (
    (ADMIN_NAME, REVIEWER_NAME, AUDITOR_NAME),
    (ADMIN_NAME,),
    (ADMIN_NAME, AUDITOR_NAME),
)
ROUTES = (
    ("GET", "/runs", ALL),
    ("GET", "/runs/events", ALL),
    ("GET", "/runs/aa", ALL),
    ("POST", "/runs/aa/cancel", ADMINS),
    ("GET", "/audit", AUDITORS),
    ("POST", "/audit/check", AUDITORS),
    ("GET", "/audit/export", AUDITORS),
    ("GET", "/notices", ALL),
    ("POST", "/notices/read", ALL),
    ("POST", "/notices/test", ADMINS),
    ("GET", "/well", ALL),
    ("POST", "/well", ADMINS),
    ("GET", "/people", ADMINS),
    ("POST", "/people/researchers", ADMINS),
    ("POST", "/people/staff", ADMINS),
    ("GET", "/people/researchers/revoke", ADMINS),
    ("POST", "/people/researchers/revoke", ADMINS),
    ("GET", "/people/staff/remove", ADMINS),
    ("POST", "/people/staff/remove", ADMINS),
    ("GET", "/people/staff/reset", ADMINS),
    ("POST", "/people/staff/reset", ADMINS),
    ("GET", "/people/staff/role", ADMINS),
    ("POST", "/people/staff/role", ADMINS),
    ("GET", "/settings", AUDITORS),
    ("GET", "/studies", (ADMIN_NAME, REVIEWER_NAME)),
    ("GET", "/studies/aa", (ADMIN_NAME, REVIEWER_NAME)),
    ("POST", "/studies/aa/remove", (ADMIN_NAME, REVIEWER_NAME)),
)

LINES_OF_THE_LAST_WORD = """cell => {
  const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode(), word = document.createRange();
  word.setStart(text, text.data.trimEnd().lastIndexOf(" ") + 1);
  word.setEnd(text, text.data.trimEnd().length);
  return word.getClientRects().length;
}"""


@contextmanager
def browsing(console: ConsoleOfFakes, name: str) -> Iterator[httpx.Client]:
    headers = {"origin": console.url, "sec-fetch-site": "same-origin"}
    with httpx.Client(
        base_url=console.url, headers=headers, cookies=console.session_of(name), timeout=CEILING_SECONDS
    ) as client:
        yield client


def send(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    token = re.findall(r'name="form_token" value="(\w+)"', client.get("/notices").text)[0]
    return client.post(path, data={"form_token": token, **fields})


@pytest.mark.parametrize("name", ALL)
def test_each_page_is_refused_for_the_roles_that_may_not_and_each_form_from_another_page(
    served: ConsoleOfFakes, name: str
) -> None:
    def sent(method: str, path: str) -> tuple[int, bool]:
        answer = client.get(path) if method == "GET" else client.post(path, data={"form_token": token})
        return answer.status_code, "WW615" in answer.text

    with browsing(served, name) as client:
        token = re.findall(r'name="form_token" value="(\w+)"', client.get("/notices").text)[0]
        refused = [(method, path) for method, path, names in ROUTES if name not in names]
        assert {one: sent(*one) for one in refused} == dict.fromkeys(refused, (403, False))
        forms, token = [("POST", path) for method, path, _ in ROUTES if method == "POST"], "of another page"
        assert {one: sent(*one) for one in forms} == dict.fromkeys(forms, (403, True))


def test_who_is_not_signed_in_is_sent_to_the_sign_in(served: ConsoleOfFakes) -> None:
    with httpx.Client(base_url=served.url, headers={"origin": served.url}, timeout=CEILING_SECONDS) as client:
        for method, path, _ in ROUTES:
            answer = client.get(path) if method == "GET" else client.post(path, data={"who": ADA})
            assert answer.headers["location"].startswith("/sign-in"), path


# --- audit log ---


def test_the_audit_log_is_searched_by_words_event_person_and_days(served: ConsoleOfFakes) -> None:
    def rows(query: str) -> int:
        answer = client.get(f"/audit?{query}")
        assert answer.status_code == 200
        return answer.text.count("<summary>")

    today = date.today().isoformat()
    with browsing(served, AUDITOR_NAME) as client:
        assert (rows(""), rows("text=approved"), rows("event=run+failed"), rows("by=dr.wu")) == (2, 1, 1, 1)
        assert (rows(f"until={today}"), rows("until=2020-01-01"), rows("text=nowhere")) == (2, 0, 0)
        assert rows("after=2") == 1
        for wrong in ("since=tomorrow", "until=2026-13-01"):
            answer = client.get(f"/audit?{wrong}")
            assert (answer.status_code, "2026-11-23" in answer.text) == (422, True)
            assert client.get(f"/audit/export?{wrong}").status_code == 422
        assert client.get("/audit?after=0").status_code == 404
        assert rows("after=nonsense") == 2


def test_a_check_says_that_the_log_is_intact_or_where_it_breaks(own_console: ConsoleOfFakes, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    with browsing(own_console, AUDITOR_NAME) as client:
        intact = send(client, "/audit/check").text
        assert "The log is intact" in intact and own_console.noted.log.head.hash in intact
        log.write_text(log.read_text().replace("dr.wu", "dr.xu"))
        broken = send(client, "/audit/check").text
    assert "It does not hold" in broken and "line 1 was changed" in broken


def test_a_download_holds_the_days_that_were_asked_for_and_a_digest(served: ConsoleOfFakes) -> None:
    with browsing(served, AUDITOR_NAME) as client:
        lines, table = client.get("/audit/export?form=jsonl&since=2026-01-01"), client.get("/audit/export?form=csv")
        none = client.get("/audit/export?until=2020-01-01")
    *events, closing = map(json.loads, lines.text.splitlines())
    assert [one["event"] for one in events] == ["request approved", "run failed"] and closing["events"] == 2
    assert json.loads(none.text)["events"] == 0
    assert table.text.startswith("time,event,details") and '"events": 2' in table.text
    assert re.fullmatch(r'attachment; filename="north-audit-[\d-]+\.csv"', table.headers["content-disposition"])


# --- people ---


def test_an_admin_enrols_and_revokes_without_scripts(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    context = context_of(java_script_enabled=False)
    own_console.sign_in(context, ADMIN_NAME)
    page = context.new_page()
    page.goto(f"{own_console.url}/people")
    expect(page.get_by_text("ends in 4 days")).to_be_visible()
    page.get_by_label("E-mail address").fill("new@example.org")
    page.get_by_role("button", name="Enrol").click()
    expect(page.get_by_text("credentials/new@example.org.json")).to_be_visible()
    page.get_by_role("link", name=f"End the access of {ADA}").click()
    assert own_console.console.accounts.people()[0].state == "valid"
    page.get_by_role("button", name="End the access").click()
    expect(page.get_by_text("1 certificate has ended.")).to_be_visible()
    assert own_console.console.accounts.people()[0].state == "revoked"
    assert page.get_by_role("link", name=f"End the access of {EVE}").count() == 0


def test_an_admin_adds_resets_and_removes_a_person_and_sees_no_secret(own_console: ConsoleOfFakes) -> None:
    staff = own_console.staff
    with browsing(own_console, ADMIN_NAME) as client:
        assert send(client, "/people/staff", name="m.new", role="reviewer").status_code == 303
        shown = client.get("/people").text
        file = Path(re.findall(r"/\S*/m\.new\.json", shown)[0])
        token = json.loads(file.read_text())["token"]
        assert staff.of_token(token).role == "reviewer" and token not in shown
        for wrong in (
            {"name": "m.new", "role": "reviewer"},
            {"name": "x", "role": "owner"},
            {"name": "a b", "role": ""},
        ):
            assert send(client, "/people/staff", **wrong).status_code == 422
        assert send(client, "/people/staff/role", who="m.new", role="reviewer").status_code == 422
        assert send(client, "/people/staff/role", who="m.new", role="auditor").status_code == 303
        assert staff.list()[-1].role == "auditor" and client.get("/people/staff/role?who=x").status_code == 404
        assert send(client, "/people/staff/reset", who="m.new").status_code == 303
        assert staff.known("m.new") and client.get("/people/staff/remove?who=nobody").status_code == 404
        assert send(client, "/people/staff/remove", who="m.new").status_code == 303
    assert staff.known("m.new") is None
    assert [one["event"] for one in own_console.noted.events if "name" in one] == [
        "staff added",
        "staff role changed",
        "staff reset",
        "staff removed",
    ]


def test_where_two_must_vote_a_page_makes_nobody_a_reviewer_alone_and_keeps_the_last_admin(tmp_path: Path) -> None:
    with serving(tmp_path, limits=real_limits(tmp_path, Noted(), approvals_needed=2)) as console:
        add_person(console.staff, "m.second", "admin")
        with browsing(console, ADMIN_NAME) as client, browsing(console, "m.second") as second:
            assert send(client, "/people/staff", name="m.new", role="reviewer").status_code == 303
            assert "m.new becomes reviewer when admins confirm" in client.get("/people").text
            assert send(client, "/people/staff/reset", who=REVIEWER_NAME).status_code == 303
            assert {row.role for row in console.staff.list() if row.proposed_role == "reviewer"} == {"auditor"}
            for name in ("m.new", REVIEWER_NAME):
                assert send(second, "/people/staff/role", who=name, role="reviewer").status_code == 303
                assert console.staff.decides(name)
            assert send(client, "/people/staff/remove", who="m.second").status_code == 303
            assert send(client, "/people/staff/remove", who=ADMIN_NAME).status_code == 422
            assert console.staff.decides(ADMIN_NAME)
    events = [(one["event"], one["name"], one.get("role")) for one in console.noted.events if "name" in one]
    assert events == [
        ("staff added", "m.new", "auditor"),
        ("staff role proposed", "m.new", "reviewer"),
        ("staff reset", REVIEWER_NAME, None),
        ("staff role changed", REVIEWER_NAME, "auditor"),
        ("staff role proposed", REVIEWER_NAME, "reviewer"),
        ("staff role changed", "m.new", "reviewer"),
        ("staff role changed", REVIEWER_NAME, "reviewer"),
        ("staff removed", "m.second", None),
    ]


# --- notices, and whether all is well ---


def test_the_head_of_every_page_counts_notices_until_they_are_read(own_console: ConsoleOfFakes) -> None:
    with browsing(own_console, AUDITOR_NAME) as client, browsing(own_console, REVIEWER_NAME) as another:
        assert "2 notices" in client.get("/").text and "2 notices" in client.get("/nowhere").text
        assert send(client, "/notices/read", up_to="2").status_code == 303
        assert "notices</span>" not in client.get("/").text and "2 notices" in another.get("/").text


def test_the_head_says_what_is_not_well_that_all_is_or_that_nobody_has_looked(own_console: ConsoleOfFakes) -> None:
    notices: Any = own_console.console.notices
    with browsing(own_console, REVIEWER_NAME) as client:
        assert "1 thing is not well" in client.get("/").text and "ports" in client.get("/well").text
        notices.book.found("doctor", {})
        assert "All is well" in client.get("/").text and "All is well.</p>" in client.get("/well").text
        notices.doctor.now = Examination(findings=(Finding("backup", "warning", "There is none."),))
        for page in ("/", "/well"):
            assert "Works; 1 thing to look at" in (text := client.get(page).text) and "All is well" not in text
        notices.looked = False
        assert "Not looked yet" in client.get("/").text and "All is well" not in client.get("/").text
        notices.doctor.now = Examination()
        assert "Nobody has looked" in (text := client.get("/well").text) and "has not looked since" in text
        notices.book.close()
        assert client.get("/").status_code == 200


def test_an_admin_asks_the_doctor_and_tries_the_ways_of_notices(own_console: ConsoleOfFakes) -> None:
    with browsing(own_console, ADMIN_NAME) as client:
        tried = send(client, "/notices/test").text
        assert "it does not answer" in tried
        assert send(client, "/well").status_code == 303
        assert "The doctor looks since" in client.get("/well").text
    assert own_console.console.notices.looks == 1  # type: ignore[attr-defined]


def test_what_the_doctor_found_is_read_whole_on_a_telephone(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    found = (
        Finding("PySyft's database", "ok", "in the state folder"),
        Finding("clock", "warning", "the kernel calls it not synchronised", "Run chrony or another NTP client."),
    )
    own_console.console.notices.doctor.now = Examination(findings=found)  # type: ignore[attr-defined]
    context = context_of(viewport={"width": 375, "height": 667})
    own_console.sign_in(context, ADMIN_NAME)
    page = context.new_page()
    page.goto(f"{own_console.url}/well")
    table = page.get_by_role("table", name="Findings")
    assert table.evaluate("table => table.offsetWidth <= table.parentElement.clientWidth")


def test_words_and_digests_of_an_event_are_read_whole_where_its_details_are_open(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    own_console.noted.log.write("request rehearsed", request="f" * 32, answer="passed")
    context = context_of(viewport={"width": 1280, "height": 900})
    own_console.sign_in(context, ADMIN_NAME)
    page = context.new_page()
    page.goto(f"{own_console.url}/audit")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    lines = page.locator("tbody th", has_text="rehearsed").evaluate(LINES_OF_THE_LAST_WORD)
    assert lines == 1
    widths = page.locator("td .facts > div").evaluate_all(
        "all => all.map(one => [...one.children].map(at => at.clientWidth))"
    )
    assert widths and all(value > 1.3 * name for name, value in widths)


# --- what is shown ---


@pytest.mark.parametrize("path", ["/runs", "/audit", "/notices", "/well"])
def test_markup_that_was_stored_is_shown_as_text(served: ConsoleOfFakes, path: str) -> None:
    with browsing(served, ADMIN_NAME) as client:
        text = client.get(path).text
    assert MARKUP not in text and "&lt;b&gt;bold&lt;/b&gt;" in text


def test_every_setting_is_shown_with_its_help_and_only_limits_change_while_it_serves(served: ConsoleOfFakes) -> None:
    with browsing(served, ADMIN_NAME) as client:
        text = client.get("/settings").text
    tables = {"dataset", "notices", "limits"}
    names = [one.name for owner in (DatasiteConfig, DatasetSettings, NoticeSettings) for one in fields(owner)]
    shown = re.findall(r'<th scope="row"><code>(\w+)</code>', text)
    assert sorted(shown) == sorted(["limits", *(name for name in names if name not in tables)])
    assert [one.name for one in declared(DatasiteConfig).values() if one.while_serving] == ["limits"]
    assert "Days that a researcher&#39;s certificate is valid." in text and text.count("set here") == 2


def test_a_study_report_that_is_kept_is_shown_as_text_until_it_is_removed(own_console: ConsoleOfFakes) -> None:
    with browsing(own_console, REVIEWER_NAME) as client:
        shown = client.get(f"/studies/{REPORTED}").text
        assert "0.934" in shown and "Private to the hospital" in shown and MARKUP not in shown
        for other in ("x", REPORTED[:8]):
            assert client.get(f"/studies/{other}").status_code == 404
        assert send(client, f"/studies/{REPORTED}/remove").status_code == 303
        assert client.get(f"/studies/{REPORTED}").status_code == 404
        assert "No report is kept." in client.get("/studies").text
