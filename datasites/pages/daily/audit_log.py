"""Pages of the audit log: a search, a check of the whole of it, and a file for whoever audits the hospital."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from urllib.parse import urlencode

from starlette.responses import Response

from datasites.audit_log.chain import AuditLines
from datasites.audit_log.export import exported
from datasites.audit_log.index import AuditIndex
from datasites.console.books import AuditChecked
from datasites.console.console import AUDITS
from datasites.pages.frame.views import Answer, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate
from policies.errors import AuditBroken, AuditUnavailable, LedgerBroken

ON_A_PAGE = 50
FIELDS = ("text", "event", "by", "since", "until")
MOST_CHARACTERS = 256
_LINE_DIGITS = 15


def make_pages(
    datasite: str, index: AuditIndex, check: Callable[[], AuditChecked], read: Callable[[], AuditLines]
) -> Pages:
    """The search, the check and the file.

    Args:
        datasite: Its name, for the file's.
        index: Searches the log.
        check: All of the log, and the ledger against it; raises where one does not hold.
        read: All of the log; raises where it does not hold.
    """
    pages = Pages()

    @pages.get("/audit", AUDITS, place=to_translate("Audit log"))
    def search(visit: Visit) -> Answer:
        asked = {name: visit.query.line(name)[:MOST_CHARACTERS] for name in FIELDS}
        days, errors = _days(visit, asked)
        found = None
        if not errors:
            found = index.search(
                asked["text"],
                event=asked["event"] or None,
                by=asked["by"] or None,
                since=days["since"],
                until=days["until"],
                after=_line(visit.query.get("after")),
                count=ON_A_PAGE,
            )
        values: dict[str, object] = {"found": found, "asked": asked, "errors": errors, "events": index.events()}
        given = {name: value for name, value in asked.items() if value}
        query = f"{urlencode(given)}&" if given else ""
        values |= {"query": query, "first": not visit.query.get("after"), "checked": None, "broken": ""}
        return Page("daily/audit.html.jinja", values, 422 if errors else 200)

    @pages.post("/audit/check", AUDITS)
    def verify(visit: Visit) -> Answer:
        try:
            values = {"checked": check(), "broken": ""}
        except (AuditBroken, AuditUnavailable, LedgerBroken) as error:
            values = {"checked": None, "broken": error.private or error.public}
        return Page("daily/audit-checked.html.jinja", values)

    @pages.get("/audit/export", AUDITS)
    def export(visit: Visit) -> Answer:
        days, errors = _days(visit, {name: visit.query.line(name) for name in ("since", "until")})
        if errors:
            return search(visit)
        as_csv = visit.query.get("form") == "csv"
        _, text = exported(read(), as_csv=as_csv, **days)
        ending, kind = ("csv", "text/csv") if as_csv else ("jsonl", "application/x-ndjson")
        name = f"{datasite}-audit-{date.today().isoformat()}.{ending}"
        return Response(text, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})

    return pages


def _days(visit: Visit, asked: dict[str, str]) -> tuple[dict[str, date | None], dict[str, str]]:
    """The days that were asked for, and a text for each that is none."""
    days: dict[str, date | None] = {"since": None, "until": None}
    errors = {}
    for name in days:
        try:
            days[name] = date.fromisoformat(asked[name]) if asked[name] else None
        except ValueError:
            errors[name] = visit.gettext("Give a day as 2026-11-23.")
    return days, errors


def _line(text: str) -> int | None:
    """The line after which a page goes on; none where the address holds no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LINE_DIGITS else None
