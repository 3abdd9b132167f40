"""The pages of rules: a dry run before a rule is made, two people where two decide, and a switch, without scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext
from support.books import approve, ledger_of, make_state
from support.console_pages import ADMIN_NAME, AUDITOR_NAME, REVIEWER_NAME, ConsoleOfFakes, serving
from support.hospitals import write_pictures
from support.waiting import CEILING_SECONDS

from datasites.approvals.approvals import Approvals
from datasites.rules.past_requests import DryRun, DryRunRow
from datasites.rules.rule_book import RuleBook
from datasites.rules.verdict import ANOTHER_VALUE, NO_REHEARSAL
from datasites.state.kept_books import open_audit
from policies.answers.sentence import said

ENDS = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
FORM = {
    "name": "weekly",
    "like": "one",
    "ranges": "rounds=1..20\nlearning_rate=0.1..1",
    "max_study_epsilon": "1",
    "max_month_epsilon": "2.5",
    "ends": ENDS,
    "reason": "retrained each <b>week</b>",
}
DRY_RUN = DryRun(
    (
        DryRunRow("r1" * 16, "pneumonia", "2026-11-20 10:00:00", "denied", True, ()),
        DryRunRow("r2" * 16, "<i>night", "2026-11-19 10:00:00", "approved", False, (said(NO_REHEARSAL),)),
        DryRunRow(
            "r3" * 16, "day", "2026-11-18 10:00:00", "pending", False, (said(ANOTHER_VALUE, setting="momentum"),)
        ),
    ),
    1,
    1,
)


@pytest.fixture
def needed() -> list[int]:
    return [1]


@pytest.fixture
def served(tmp_path: Path, needed: list[int]) -> Iterator[ConsoleOfFakes]:
    """A console over real rules, with one request that people approved."""
    write_pictures(tmp_path / "pictures.npz", sites=("north",), each=80)
    state = make_state(tmp_path / "north", tmp_path / "pictures.npz")
    approve(state, "one")
    approvals = Approvals(state.approvals)
    book = RuleBook(
        state.rules,
        approvals=approvals,
        ledger=ledger_of(state),
        audit=open_audit(state),
        whole=lambda beginning: beginning,
        people_needed=lambda: needed[0],
    )
    rules: Any = SimpleNamespace(book=book, dry_run=lambda rule: DRY_RUN)
    with serving(tmp_path, rules=rules) as console:
        yield console
    approvals.close()


class Browser:
    """One of the people, without scripts."""

    def __init__(self, served: ConsoleOfFakes, name: str) -> None:
        self.url, self.cookies = served.url, served.session_of(name)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, cookies=self.cookies, trust_env=False, timeout=CEILING_SECONDS)

    def send(self, path: str, **fields: str) -> httpx.Response:
        page = self.get("/rules").text
        token = page.split('name="form_token" value="')[1].split('"')[0]
        sent = {"data": {"form_token": token, **fields}, "headers": {"origin": self.url}}
        return httpx.post(self.url + path, cookies=self.cookies, trust_env=False, timeout=CEILING_SECONDS, **sent)


def seen(page: str) -> str:
    return page.split('name="seen" value="')[1].split('"')[0]


def test_until_somebody_makes_one_the_page_says_that_people_decide(served: ConsoleOfFakes) -> None:
    assert "There is no rule: people decide on every request." in Browser(served, REVIEWER_NAME).get("/rules").text


def test_a_rule_is_shown_with_its_dry_run_made_and_switched_off(served: ConsoleOfFakes) -> None:
    admin = Browser(served, ADMIN_NAME)
    looked = admin.send("/rules/dry-run", **FORM)
    assert looked.status_code == 200 and served.console.rules.book.all() == ()
    for text in (
        "it would have approved 1.",
        "denied or returned 1 of them",
        "It has not been rehearsed.",
        "&lt;i&gt;night",
        "momentum is not as in the request that people approved.",
        "retrained each &lt;b&gt;week",
    ):
        assert text in looked.text, text
    made = admin.send("/rules", **FORM, seen=seen(looked.text))
    assert made.status_code == 303
    (kept,) = served.console.rules.book.all()
    assert (kept.state, kept.people, [one.text for one in kept.rule.ranges]) == (
        "on",
        (ADMIN_NAME,),
        ["rounds=1..20", "learning_rate=0.1..1"],
    )
    assert "in force" in admin.get("/rules").text
    assert kept.version in admin.get(f"/rules/version/{kept.version}").text
    assert admin.send(f"/rules/version/{kept.version}/off").status_code == 303
    assert [one.state for one in served.console.rules.book.all()] == ["off"]


def test_what_was_not_shown_is_not_made(served: ConsoleOfFakes) -> None:
    admin = Browser(served, ADMIN_NAME)
    shown = seen(admin.send("/rules/dry-run", **FORM).text)
    assert admin.send("/rules", **{**FORM, "max_month_epsilon": "50"}, seen=shown).status_code == 409
    assert served.console.rules.book.all() == ()


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("max_study_epsilon", "many", "numbers such as 0.5"),
        ("like", "none", "people approved here"),
        ("ranges", "rounds=5..9", "not in 5 to 9"),
        ("ends", "2001-01-01", "within 180 days"),
        ("reason", "", "A rule needs a reason."),
    ],
)
def test_what_is_wrong_is_said_beside_the_form_and_nothing_is_made(
    served: ConsoleOfFakes, field: str, value: str, told: str
) -> None:
    answer = Browser(served, ADMIN_NAME).send("/rules/dry-run", **{**FORM, field: value})
    assert (answer.status_code, told in answer.text) == (422, True)
    assert served.console.rules.book.all() == ()


def test_where_two_decide_it_is_proposed_and_confirmed_by_another(served: ConsoleOfFakes, needed: list[int]) -> None:
    needed[0] = 2
    admin, reviewer = Browser(served, ADMIN_NAME), Browser(served, REVIEWER_NAME)
    looked = admin.send("/rules/dry-run", **FORM)
    assert "you propose it" in looked.text
    admin.send("/rules", **FORM, seen=seen(looked.text))
    (kept,) = served.console.rules.book.all()
    own = f"/rules/version/{kept.version}"
    assert kept.state == "proposed" and "Somebody else must confirm it." in admin.get(own).text
    assert admin.send(f"{own}/confirm").status_code == 403
    assert "/confirm" in reviewer.get(own).text and reviewer.send(f"{own}/confirm").status_code == 303
    assert [one.state for one in served.console.rules.book.all()] == ["on"]


def test_who_may_do_less_stands_behind_no_rule_any_more(served: ConsoleOfFakes, needed: list[int]) -> None:
    admin, book = Browser(served, ADMIN_NAME), served.console.rules.book
    needed[0] = 2
    admin.send("/rules", **FORM, seen=seen(admin.send("/rules/dry-run", **FORM).text))
    Browser(served, REVIEWER_NAME).send(f"/rules/version/{book.all()[0].version}/confirm")
    assert [one.state for one in book.all()] == ["on"]
    changed = admin.send("/people/staff/role", who=REVIEWER_NAME, role="auditor")
    assert (changed.status_code, [one.state for one in book.all()]) == (303, ["off"])


def test_only_admins_make_rules_and_auditors_see_none(served: ConsoleOfFakes) -> None:
    reviewer = Browser(served, REVIEWER_NAME)
    assert reviewer.send("/rules/dry-run", **FORM).status_code == 403
    assert reviewer.send("/rules", **FORM, seen="").status_code == 403
    assert Browser(served, AUDITOR_NAME).get("/rules").status_code == 403


def test_rules_that_cannot_be_read_are_said_to_decide_nothing(served: ConsoleOfFakes, tmp_path: Path) -> None:
    (tmp_path / "north" / "rules.json").write_text("{")
    answer = Browser(served, REVIEWER_NAME).get("/rules")
    assert answer.status_code == 200 and "no rule decides" in answer.text


def test_a_rule_is_made_in_a_browser_and_its_pages_have_no_fault_of_accessibility(
    served: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    context = context_of()
    served.sign_in(context, ADMIN_NAME)
    page = context.new_page()

    def look() -> None:
        page.mouse.move(0, 0)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]})
        assert found.violations_count == 0, found.generate_report()

    def ask() -> None:
        page.goto(f"{served.url}/rules/new?like=one")
        for name, value in FORM.items():
            if name != "like":
                page.fill(f"#field-{name}", value)
        page.get_by_role("button", name="Show what it would have decided").click()

    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        ask()
        look()
    page.get_by_role("button", name="Put it in force").click()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.goto(f"{served.url}/rules")
        page.get_by_role("link", name="weekly").click()
        look()
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_role("button", name="Switch it off now").click()
    assert [one.state for one in served.console.rules.book.all()] == ["off"]
