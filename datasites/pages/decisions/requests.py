"""The list of code requests: found by state, researcher and words, the newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from datasites.code_requests.request_index import STATES, RequestRow
from datasites.console.console import DECIDES, Console
from datasites.pages.frame.views import Answer, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate
from policies.answers.moments import days_since

ON_A_PAGE = 50
KINDS: Mapping[str, str] = {
    "training": to_translate("training"),
    "evaluation": to_translate("evaluation"),
    "statistics": to_translate("statistics"),
    "gram": to_translate("Gram matrix"),
    "?": to_translate("cannot be read"),
}
"""What the kinds of plans are called."""


@dataclass(frozen=True)
class ListedRequest:
    """A row of the list: the request, for how many days it has waited, and how many votes it has; None once decided."""

    row: RequestRow
    days: int | None
    votes: int | None


def make_pages(console: Console) -> Pages:
    """The list."""
    pages = Pages()

    @pages.get("/requests", DECIDES, place=to_translate("Requests"))
    def show(visit: Visit) -> Answer:
        asked = {name: visit.query.line(name) for name in ("state", "researcher", "words")}
        after = visit.query.line("after")
        found = console.book.page(
            state=asked["state"] or None,
            researcher=asked["researcher"] or None,
            query=asked["words"],
            after=after or None,
            count=ON_A_PAGE,
        )
        needed = console.books.limits.current.approvals_needed
        values = {
            "rows": _listed(console, found.rows, counting=needed > 1),
            "counts": {state: found.counts.get(state, 0) for state in STATES},
            "next": found.next,
            "first": not after,
            "asked": asked,
            "query": "".join(f"{urlencode({name: value})}&" for name, value in asked.items() if value),
            "needed": needed,
            "kinds": KINDS,
        }
        return Page("requests/every.html.jinja", values)

    return pages


def _listed(console: Console, rows: tuple[RequestRow, ...], *, counting: bool) -> list[ListedRequest]:
    pending = [row.id for row in rows if row.state == "pending"]
    votes = console.books.approvals.votes.counts(pending) if counting and pending else {}
    return [
        ListedRequest(row, days_since(row.arrived_at), votes.get(row.id, 0))
        if row.state == "pending"
        else ListedRequest(row, None, None)
        for row in rows
    ]
