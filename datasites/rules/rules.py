"""The room of rules, opened: those that people made, the desk that asks them, dry runs. It stays in the hospital."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datasites.code_requests.books import Books
from datasites.rules.desk import People, RuleDesk
from datasites.rules.past_requests import DryRun, PastRequests
from datasites.rules.rule import Rule
from datasites.rules.rule_book import RuleBook

if TYPE_CHECKING:
    from datasites.code_requests.requests import RequestBook


@dataclass(frozen=True)
class Rules:
    """The rules of a datasite.

    Attributes:
        book: The rules that people made.
        dry_run: What a rule would have decided so far.
        desk: Asks the rules while the datasite serves.
    """

    book: RuleBook
    dry_run: Callable[[Rule], DryRun]
    desk: RuleDesk


def open_rules(
    file: Path, book: RequestBook, books: Books, people: People, enrolled_since: Callable[[str], str]
) -> Rules:
    """The rules of a datasite that serves; none decides before its desk has started."""
    past = PastRequests(book, books, enrolled_since)
    rules = RuleBook(
        file,
        approvals=books.approvals,
        ledger=books.ledger,
        audit=books.audit,
        whole=book.index.named,
        people_needed=lambda: books.limits.current.approvals_needed,
    )
    desk = RuleDesk(rules, past, book, books, people)
    rules.on_change(desk.look_at_all)
    return Rules(rules, past.dry_run, desk)
