"""All pages on which the hospital decides, in the order of the navigation."""

from __future__ import annotations

from functools import partial

from datasites.code_requests.limits.kept_envelopes import kept_beyond
from datasites.console.console import Console
from datasites.pages.decisions import approval_card, budget, limits, requests, rules
from datasites.pages.frame.views import Pages


def make_pages(console: Console) -> tuple[Pages, ...]:
    """Requests, the approval card, budgets, limits, rules."""
    return (
        requests.make_pages(console),
        approval_card.make_pages(console),
        budget.make_pages(console),
        limits.make_pages(console.books.limits, partial(kept_beyond, console.books)),
        rules.make_pages(console.rules),
    )
