"""The first page: a badge that says all is well or what is not, to whom it is said, and looking again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, expect
from support.console_pages import ADMIN_NAME, AUDITOR_NAME, serving
from support.waiting import wait_for

from datasites.doctor.finding import OK, PROBLEM, WARNING, Finding
from datasites.doctor.last_examination import OLD_SECONDS, LastExamination

CLOCK, DISK = Finding("clock", OK, "it is right"), Finding("disk", WARNING, "/srv is almost full", "Make room.")
BOOKS = Finding("ledger", PROBLEM, "it does not verify", "Restore it.")


def test_an_admin_reads_what_is_not_well_and_others_that_something_is(
    tmp_path: Path, context_of: Callable[..., BrowserContext]
) -> None:
    with serving(tmp_path, findings=(CLOCK, DISK, BOOKS)) as console:
        admin, auditor = context_of(java_script_enabled=False), context_of()
        console.sign_in(admin, ADMIN_NAME)
        console.sign_in(auditor, AUDITOR_NAME)
        page = admin.new_page()
        page.goto(console.url)
        page.goto(console.url)
        expect(page.get_by_text("Something is wrong")).to_be_visible()
        assert [one.split(":")[0].split()[-1] for one in page.locator(".findings li").all_inner_texts()] == [
            "ledger",
            "disk",
        ]
        page.get_by_role("button", name="Look again").click()
        expect(page.get_by_role("status")).to_contain_text("The doctor is looking")
        other = auditor.new_page()
        other.goto(console.url)
        expect(other.get_by_text("An admin sees what it is.")).to_be_visible()
        assert "/srv" not in other.content() and other.get_by_role("button", name="Look again").count() == 0


def test_all_is_well_where_every_check_says_so(tmp_path: Path, context_of: Callable[..., BrowserContext]) -> None:
    with serving(tmp_path, findings=(CLOCK,)) as console:
        context = context_of()
        console.sign_in(context, ADMIN_NAME)
        page = context.new_page()
        page.goto(console.url)
        page.goto(console.url)
        expect(page.get_by_text("All is well")).to_be_visible()


def test_the_doctor_looks_when_nobody_has_for_long_and_a_failure_is_a_problem() -> None:
    now, looks = [1000.0], [0]

    def look() -> tuple[Finding, ...]:
        looks[0] += 1
        if looks[0] == 2:
            raise OSError("broken")
        return (CLOCK,)

    examination = LastExamination(look, lambda: now[0])
    for later, expected in ((0, 1), (OLD_SECONDS, 1), (1, 2)):
        now[0] += later
        examination.keep_fresh()
        wait_for(lambda: not examination.under_way)
        assert looks[0] == expected
    assert examination.found and [one.level for one in examination.found.to_look_at] == [PROBLEM]
