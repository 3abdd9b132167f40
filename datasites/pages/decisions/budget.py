"""The page of budgets: of each dataset what is spent, reserved and left, how that came about, and by which studies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from datasites.console.answers import BudgetRow
from datasites.console.budget import budgets
from datasites.console.console import DECIDES, READS, Console
from datasites.pages.decisions.budget_days import BudgetDay, BudgetDays
from datasites.pages.decisions.chart import HEIGHT, LEFT, WIDTH, Chart, chart_of
from datasites.pages.frame.views import Answer, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate
from policies.budget.steps import merged

MOST_STUDIES = 100
"""Of each dataset, so that the page is as long after years."""


@dataclass(frozen=True)
class DatasetBudget:
    """A dataset's budget: its figures, its days, the chart of them, and what is spent and reserved now.

    The days are None while they are being computed.
    """

    row: BudgetRow
    days: tuple[BudgetDay, ...] | None
    chart: Chart | None
    spent: float
    reserved: float


def make_pages(console: Console) -> Pages:
    """The page."""
    pages, history = Pages(), BudgetDays(console.books)

    @pages.get("/budget", READS, place=to_translate("Budgets"))
    def show(visit: Visit) -> Answer:
        today = datetime.now(UTC).date().isoformat()
        every = [_of_dataset(console, history, row, today) for row in budgets(console)]
        values = {"budgets": every, "most": MOST_STUDIES, "width": WIDTH, "height": HEIGHT, "left": LEFT}
        return Page("budgets/budget.html.jinja", {**values, "may_see_limits": visit.who.role in DECIDES})

    return pages


def _of_dataset(console: Console, history: BudgetDays, row: BudgetRow, today: str) -> DatasetBudget:
    fingerprint = console.datasets[row.dataset].manifest.budget_key
    held = [one for one in console.books.ledger.reservations().values() if one.fingerprint == fingerprint]
    spent = console.books.epsilon_charged(merged(part for one in held for part in one.spent))
    days, spent = history.of(fingerprint), min(spent, row.epsilon_charged)
    chart = chart_of(days, row.epsilon_total, today) if days else None
    return DatasetBudget(row, days, chart, spent, max(row.epsilon_charged - spent, 0.0))
