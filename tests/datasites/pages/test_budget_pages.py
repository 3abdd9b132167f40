"""Budgets and limits: figures and their history, a change that is shown before it is made, and who may make it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect
from support.console_pages import ADMIN_NAME, AUDITOR_NAME, REVIEWER_NAME, ConsoleOfFakes, Noted, real_limits, serving
from support.waiting import CEILING_SECONDS

from datasites.pages.decisions.budget_days import BudgetDay
from datasites.pages.decisions.chart import HEIGHT, LEFT, WIDTH, chart_of
from datasites.pages.decisions.limits import LIMITS
from datasites.pages.frame.templates import make_environment
from datasites.pages.languages.languages import read_language
from policies.budget.limit_changes import by_name
from policies.budget.limits import DatasetLimits


def asked(console: ConsoleOfFakes, name: str, path: str) -> httpx.Response:
    return httpx.get(console.url + path, cookies=console.session_of(name), trust_env=False, timeout=CEILING_SECONDS)


def tab_of(console: ConsoleOfFakes, context: BrowserContext, name: str) -> Page:
    console.sign_in(context, name)
    page = context.new_page()
    page.goto(f"{console.url}/limits")
    return page


def fill(page: Page, limit: str, value: str, reason: str) -> None:
    page.get_by_label("Limit", exact=True).select_option(limit)
    page.get_by_label("New value").fill(value)
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Show what it means").click()


def test_the_budget_page_tells_spent_reserved_left_and_each_study(served: ConsoleOfFakes) -> None:
    page = " ".join(re.sub(r"<[^>]+>", " ", asked(served, AUDITOR_NAME, "/budget").text).split())
    for told in (
        "Epsilon 2.95 of 8 is spent or reserved, at delta 1e-5; 5.05 is left.",
        "spent: 2.15 reserved: 0.8 left: 5.05",
        "cardiomegaly-baseline ada.lindqvist@uni-uppsala.example 1.05 3 of 4 ended",
        "pneumonia-follow-up ada.lindqvist@uni-uppsala.example 1.6 2 of 4 may run",
    ):
        assert told in page, told
    assert "The limits, and what waits" not in page


def test_a_study_whose_rounds_have_all_begun_is_told_as_one_with_no_round_left(own_console: ConsoleOfFakes) -> None:
    ledger = own_console.console.books.ledger
    held = ledger.reservations()
    name = next(name for name, one in held.items() if one.released is None)
    done = replace(held[name], rounds=len(held[name].rounds_charged))
    ledger.reservations = lambda: {name: done}
    page = " ".join(re.sub(r"<[^>]+>", " ", asked(own_console, AUDITOR_NAME, "/budget").text).split())
    assert f"{done.rounds} of {done.rounds} no round left" in page and "may run" not in page


def test_a_chart_of_one_day_names_it_once(own_console: ConsoleOfFakes) -> None:
    def days() -> list[str]:
        return re.findall(r"<text[^>]*>(\d{4}-\d\d-\d\d)<", asked(own_console, AUDITOR_NAME, "/budget").text)

    ledger = own_console.console.books.ledger
    assert len(days()) == 2
    now = datetime.now(UTC).isoformat()
    today = tuple(replace(one, at=now, hash=f"{number:064}") for number, one in enumerate(ledger.entries()))
    ledger.entries = lambda: today
    assert len(days()) == 1


def test_below_a_bar_what_is_spent_is_never_too_little_and_what_is_left_never_too_much() -> None:
    shown = make_environment(read_language("en")).get_template("macros/shown.html.jinja").module
    bar = shown.bar("a budget", [("spent", 5.0949, "spent"), ("adds", 0.101, "this"), ("left", 2.9051, "free")], 8.0)
    assert "spent: 5.1" in bar and "adds: 0.11" in bar and "left: 2.9<" in bar.replace("\n", "")


def test_the_table_of_studies_is_as_long_after_years(own_console: ConsoleOfFakes) -> None:
    ledger = own_console.console.books.ledger
    one = next(iter(ledger.reservations().values()))
    many = {str(index): replace(one, request_id=str(index), study=f"study-{index}") for index in range(130)}
    ledger.reservations = lambda: many
    page = asked(own_console, AUDITOR_NAME, "/budget").text
    shown = re.findall(r"study-\d+", page)
    assert (len(shown), shown[0], shown[-1]) == (100, "study-129", "study-30")
    assert "30 older studies stand in the ledger." in page


def test_a_chart_keeps_to_its_picture_and_steps_at_each_day() -> None:
    days = [BudgetDay("2026-01-01", 0.0, 4.0), BudgetDay("2026-01-11", 2.0, 9.0)]
    chart = chart_of(days, 8.0, "2026-01-21")
    assert chart is not None
    numbers = [float(one) for one in re.findall(r"[\d.]+", chart.charged)]
    assert max(numbers) == WIDTH
    assert min(numbers) >= 0
    assert chart.charged.startswith(f"M{LEFT} ")
    assert 0 < chart.limit < HEIGHT
    assert [mark for _, mark in chart.ticks] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert (chart.first, chart.last) == ("2026-01-01", "2026-01-21")
    assert chart_of([], 8.0, "2026-01-21") is None


@pytest.mark.parametrize(
    ("total", "marks"),
    [(3.0, [0, 2, 4]), (5.0, [0, 2, 4]), (7.0, [0, 2, 4, 6]), (10.0, [0, 2.5, 5, 7.5, 10]), (0.3, [0, 2, 4])],
)
def test_the_scale_of_a_chart_has_round_numbers_up_to_what_is_charged(total: float, marks: list[float]) -> None:
    """Also where the total was lowered beneath what is charged, here 5."""
    chart = chart_of([BudgetDay("2026-01-11", 2.0, 5.0)], total, "2026-01-21")
    assert chart is not None
    assert [mark for _, mark in chart.ticks] == pytest.approx(marks)
    assert all(0 <= y <= HEIGHT for y, _ in chart.ticks)


def test_what_was_charged_today_is_seen_today() -> None:
    today = BudgetDay("2026-01-21", 2.0, 4.0)
    first = chart_of([today], 8.0, "2026-01-21")
    assert first is not None
    top = re.findall(r"V([\d.]+)", first.charged)[0]
    assert first.charged.startswith(f"M{LEFT} ") and f"H{LEFT:.1f}V{top}H{WIDTH}" in first.charged
    later = chart_of([BudgetDay("2026-01-20", 1.0, 1.0), today], 8.0, "2026-01-21")
    assert later is not None
    assert f"H{(LEFT + WIDTH) / 2:.1f}V{top}H{WIDTH}" in later.charged


def test_every_limit_has_a_word() -> None:
    assert set(LIMITS) == set(by_name(DatasetLimits()))


def test_limits_read_as_a_person_writes_them(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    page = tab_of(own_console, context_of(java_script_enabled=False), ADMIN_NAME)
    page.goto(f"{own_console.url}/limits")
    names, values = (page.locator(f"tbody {of}").all_inner_texts() for of in ("th code", "td"))
    read = dict(zip(names, values, strict=True))
    assert (read["sample_rates"], read["allow_non_private"], read["epsilon"]) == ("0.0001 to 1", "no", "8")
    assert (read["max_steps"], read["model_sources"], read["delta"]) == ("20,000", "built_in", "0.00001")
    typed = page.get_by_label("Limit", exact=True).locator("option").all_inner_texts()
    for told in ("(no)", "(8)", "(20000)", "(0.0001 to 1)", "(built_in)"):
        assert any(one.endswith(told) for one in typed), told
    fill(page, "allow_non_private", "yes", "A trial on public pictures.")
    expect(page.locator("main")).to_contain_text("no → yes")


def test_an_admin_sees_what_a_change_means_before_making_it(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    limits = own_console.console.books.limits
    page = tab_of(own_console, context_of(java_script_enabled=False), ADMIN_NAME)
    fill(page, "epsilon", "9", "")
    expect(page.get_by_role("alert")).to_contain_text("What allows more needs a reason.")
    fill(page, "epsilon", "nine", "a reason")
    expect(page.get_by_role("alert")).to_contain_text("Write a number")
    fill(page, "max_rounds", "0", "a reason")
    expect(page.get_by_role("alert")).to_contain_text("max_rounds")
    fill(page, "epsilon", "9", "The board\nhas decided so.")
    assert page.get_by_role("button", name="Change it").count() == 1
    shown = " ".join(page.locator("main").inner_text().split())
    assert "may take epsilon 9 of each privacy unit of the dataset in place of 8, for good." in shown
    assert limits.current.total.epsilon == 8.0
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("status")).to_contain_text("8 → 9")
    assert limits.current.total.epsilon == 9.0
    told = [one for one in own_console.noted.events if one["event"] == "limits changed"]
    assert [(one["by"], one["reason"]) for one in told] == [(ADMIN_NAME, "The board has decided so.")]


@pytest.mark.parametrize("epsilon", ["2", "7"])
def test_who_lowers_the_budget_below_what_is_reserved_is_told_that_studies_go_on(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext], epsilon: str
) -> None:
    page = tab_of(own_console, context_of(java_script_enabled=False), ADMIN_NAME)
    fill(page, "epsilon", epsilon, "")
    shown = " ".join(page.locator("main").inner_text().split())
    told = (
        "Spent and reserved are epsilon 2.95 already. Approved studies that go on with what was reserved for them: 1; "
        "end those that are not to. No new one is approved."
    )
    assert (told in shown) == (epsilon == "2")


def test_who_lowers_the_budget_when_no_study_goes_on_is_not_told_of_any(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    ledger = own_console.console.books.ledger
    ended = {name: replace(one, released="the study is done") for name, one in ledger.reservations().items()}
    ledger.reservations = lambda: ended
    page = tab_of(own_console, context_of(java_script_enabled=False), ADMIN_NAME)
    fill(page, "epsilon", "2", "")
    shown = " ".join(page.locator("section[aria-labelledby=look]").inner_text().split())
    assert "are epsilon 2.95 already. No study is approved from then on." in shown
    assert "go on" not in shown


def test_a_change_that_was_shown_of_another_value_is_not_made(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext]
) -> None:
    limits = own_console.console.books.limits
    page = tab_of(own_console, context_of(java_script_enabled=False), ADMIN_NAME)
    fill(page, "max_rounds", "400", "")
    limits.change({"max_rounds": 100}, by=ADMIN_NAME)
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert limits.current.max_rounds == 100


def test_where_two_must_vote_what_allows_more_waits_for_another_person(
    tmp_path: Path, context_of: Callable[..., BrowserContext]
) -> None:
    limits = real_limits(tmp_path, Noted(), approvals_needed=2)
    with serving(tmp_path, limits=limits) as console:
        page = tab_of(console, context_of(java_script_enabled=False), ADMIN_NAME)
        for _ in range(2):
            fill(page, "epsilon", "9", "The board has decided so.")
            page.get_by_role("button", name="Propose it").click()
        assert len(limits.proposals()) == 2
        assert page.get_by_role("button", name="Confirm").count() == 0
        other = tab_of(console, context_of(), REVIEWER_NAME)
        assert other.get_by_role("button", name="Show what it means").count() == 0
        assert Axe().run(other).violations_count == 0
        other.get_by_role("button", name="Withdraw").first.click()
        expect(other.get_by_role("status")).to_contain_text("Nothing has changed.")
        assert limits.current.total.epsilon == 8.0
        other.get_by_role("button", name="Confirm").click()
        expect(other.get_by_role("status")).to_contain_text("In force now")
        assert limits.current.total.epsilon == 9.0


@pytest.mark.parametrize("path", ["/limits/preview", "/limits"])
def test_a_reviewer_changes_no_limit(
    own_console: ConsoleOfFakes, context_of: Callable[..., BrowserContext], path: str
) -> None:
    page = tab_of(own_console, context_of(), REVIEWER_NAME)
    token = page.locator("input[name=form_token]").first.get_attribute("value") or ""
    answer = httpx.post(
        own_console.url + path,
        data={"name": "max_rounds", "value": "9", "before": "500", "form_token": token},
        headers={"origin": own_console.url},
        cookies={one["name"]: one["value"] for one in page.context.cookies()},
        trust_env=False,
        timeout=CEILING_SECONDS,
    )
    assert answer.status_code == 403
    assert own_console.console.books.limits.current.max_rounds == 500


def test_an_auditor_sees_budgets_and_no_limits(served: ConsoleOfFakes) -> None:
    assert asked(served, AUDITOR_NAME, "/limits").status_code == 403
