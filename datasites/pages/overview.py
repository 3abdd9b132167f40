"""The first page: whether all is well, what waits for somebody, what runs, and how much of each budget is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datasites.console.answers import BudgetRow
from datasites.console.budget import budgets
from datasites.console.console import READS, Console
from datasites.pages.frame.views import Answer, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate


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


def make_pages(overview: Callable[[], Overview]) -> Pages:
    """The first page."""
    pages = Pages()

    @pages.get("/", READS, place=to_translate("Overview"))
    def show(visit: Visit) -> Answer:
        return Page("overview.html.jinja", {"overview": overview()})

    return pages
