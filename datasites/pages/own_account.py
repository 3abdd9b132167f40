"""The page about a person's own account: role, password. Nobody sees another one's."""

from __future__ import annotations

from datasites.console.console import READS
from datasites.pages.frame.views import Answer, Page, Pages
from datasites.pages.frame.visit import Visit


def make_pages() -> Pages:
    """The account."""
    pages = Pages()

    @pages.get("/account", READS)
    def show(visit: Visit) -> Answer:
        return Page("account/own-account.html.jinja")

    return pages
