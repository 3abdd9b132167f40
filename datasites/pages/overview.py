"""The first page: whether all is well, what waits for somebody, what runs, and how much of each budget is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datasites.access.people import ADMIN
from datasites.console.answers import BudgetRow
from datasites.console.budget import budgets
from datasites.console.console import CHANGES, READS, Console
from datasites.doctor.last_examination import LastExamination
from datasites.pages.frame.languages import to_translate
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit


@dataclass(frozen=True)
class Overview:
    """What the first page tells.

    Attributes:
        waiting: Requests that wait for a decision.
        running: Runs under way.
        queued: Runs that wait for a turn.
        budgets: One a dataset.
    """

    waiting: int
    running: int
    queued: int
    budgets: tuple[BudgetRow, ...]


def overview_of(console: Console) -> Overview:
    """What there is to tell now."""
    runs = console.queue.counts()
    return Overview(
        waiting=console.book.page(count=1).counts.get("pending", 0),
        running=runs.get("running", 0),
        queued=runs.get("queued", 0),
        budgets=tuple(budgets(console)),
    )


def make_pages(overview: Callable[[], Overview], examination: LastExamination) -> Pages:
    """The first page, and having the doctor look again."""
    pages = Pages()

    @pages.get("/", READS, place=to_translate("Overview"))
    def show(visit: Visit) -> Answer:
        if visit.who.role == ADMIN:
            examination.keep_fresh()
        examined = {"found": examination.found, "under_way": examination.under_way}
        return Page(
            "overview.html.jinja", {"overview": overview(), **examined, "sees_findings": visit.who.role == ADMIN}
        )

    @pages.post("/examination", CHANGES)
    def look(visit: Visit) -> Answer:
        examination.look_again()
        return Onward("/", notice=visit.gettext("The doctor is looking. Load this page again in a while."))

    return pages
