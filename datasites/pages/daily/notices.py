"""Pages of notices, and of what is not well now, with the doctor's latest examination."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import PlainTextResponse

from datasites.access.staff import Person
from datasites.console.console import CHANGES, READS
from datasites.notices import notice
from datasites.notices.notices import Notices
from datasites.pages.frame.views import Answer, Onward, Page, Pages, Signs
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate

ON_A_PAGE = 50
_DIGITS = 15
KIND_WORDS: Mapping[str, str] = {
    notice.NEW_REQUEST: to_translate("New request"),
    notice.ANSWERED: to_translate("Question answered"),
    notice.BY_RULE: to_translate("Approved by a rule"),
    notice.RUN_FAILED: to_translate("Run failed"),
    notice.LOW_BUDGET: to_translate("Budget is low"),
    notice.CERTIFICATE: to_translate("Certificate ends soon"),
    notice.DISK: to_translate("Disk is nearly full"),
    notice.DOCTOR: to_translate("Found by the doctor"),
    notice.TEST: to_translate("Test"),
}
"""What each kind of notice is called."""


def signs_of(notices: Notices, person: Person) -> Signs:
    """What the head of every page tells a person."""
    standing = len(notices.book.standing())
    return Signs(
        unread=notices.book.unread(person.name),
        troubles=standing if standing or notices.looked else None,
        to_look_at=notices.doctor.now.warnings,
    )


def make_pages(notices: Notices) -> Pages:
    """The notices, marking them as read, trying their ways out; the doctor's findings; and a word for a monitor."""
    pages = Pages()

    @pages.get("/notices", READS, place=to_translate("Notices"))
    def every(visit: Visit) -> Answer:
        after = _number(visit.query.get("after"))
        found = notices.book.page(visit.who.name, after=after, count=ON_A_PAGE)
        values = {"found": found, "kinds": KIND_WORDS, "of_a_request": notice.OF_A_REQUEST, "first": after is None}
        return Page("daily/notices.html.jinja", {**values, "may_test": visit.who.role in CHANGES})

    @pages.post("/notices/read", READS)
    def read(visit: Visit) -> Answer:
        notices.book.read(visit.who.name, _number(visit.form.get("up_to")) or 0)
        return Onward("/notices")

    @pages.post("/notices/test", CHANGES)
    def test(visit: Visit) -> Answer:
        return Page("daily/notices-tried.html.jinja", {"ways": notices.test()})

    @pages.get("/health")
    def health(visit: Visit) -> Answer:
        return PlainTextResponse("serving\n")

    @pages.get("/well", READS, place=to_translate("Is all well?"))
    def well(visit: Visit) -> Answer:
        values = {"standing": notices.book.standing(), "kinds": KIND_WORDS, "looked": notices.looked}
        may_look = visit.who.role in CHANGES
        return Page("daily/well.html.jinja", {**values, "latest": notices.doctor.now, "may_look": may_look})

    @pages.post("/well", CHANGES)
    def look(visit: Visit) -> Answer:
        notices.look_now()
        return Onward("/well")

    return pages


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
