"""The pages of daily life, put together from a console's parts."""

from __future__ import annotations

from datasites.access.sessions import Sessions
from datasites.access.staff import Person
from datasites.console.books import check_audit
from datasites.console.console import Console
from datasites.console.runs import cancel_run, run_page, run_story
from datasites.console.staff import add_person, change_role, remove_person, reset_person
from datasites.pages.daily import audit_log, notices, people, runs, settings, study_reports
from datasites.pages.daily.people import PeoplesDoors
from datasites.pages.daily.run_stream import RunStream
from datasites.pages.frame.views import Pages, Signs
from datasites.study_report.kept_reports import KeptReports


def signs_for(console: Console, person: Person) -> Signs:
    """What the head of every page tells a person."""
    return notices.signs_of(console.notices, person)


def make_daily_pages(console: Console, sessions: Sessions) -> tuple[Pages, ...]:
    """Each part, in the order of the navigation."""
    books, accounts = console.books, console.accounts
    doors = PeoplesDoors(
        researchers=lambda: accounts.people(),
        enrol=lambda email: str(accounts.enrol(email)),
        revoke=lambda email: accounts.revoke(email),
        staff=console.staff.list,
        add=lambda name, role, by: add_person(console, name, role, by=by),
        remove=lambda name, by: remove_person(console, name, by=by),
        change_role=lambda name, role, by: change_role(console, name, role, by=by),
        reset=lambda name, by: reset_person(console, name, by=by),
        soon_days=console.config.notices.certificate_days,
    )
    reports = [] if console.study_reports is None else [study_reports.make_pages(KeptReports(console.study_reports))]
    return (
        runs.make_pages(
            sessions,
            RunStream(lambda since, count: console.queue.moving(since, count)),
            lambda state, after, count: run_page(console, state, after, count),
            lambda run: run_story(console, run),
            lambda run: cancel_run(console, run),
        ),
        audit_log.make_pages(console.name, books.audit.index, lambda: check_audit(books), lambda: books.audit.read()),
        notices.make_pages(console.notices),
        people.make_pages(doors),
        settings.make_pages(console.config),
        *reports,
    )
