"""The hospital's terminal: requests, budgets and runs as tables. For the hospital's own eyes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group

from datasites.access.people import ResearcherRow, StaffRow
from datasites.approvals.threads import Message
from datasites.code_requests.card import RequestCard
from datasites.console.answers import BudgetRow, RunRow, read_row, read_rows
from datasites.notices.notice import OF_A_REQUEST
from datasites.notices.notice_book import NoticePage
from policies.plans.words.statement import HEADING, Statement
from policies.terminal.rich_terminal import PlainTable, line

if TYPE_CHECKING:
    from rich.text import Text

    from datasites.datasets.summary import DatasetSummary

_STATES = {
    "pending": "yellow",
    "approved": "green",
    "done": "green",
    "running": "cyan",
    "denied": "red",
    "withdrawn": "dim",
    "failed": "red",
}


def request_table(cards: object) -> PlainTable:
    """One line a request."""
    table = PlainTable(
        "request", "state", "researcher", "study", "kind", "dataset", "model", "rounds", "epsilon", "left"
    )
    for card in read_rows(RequestCard, cards):
        plan = card.plan
        table.add_row(
            card.id[:8],
            _state(card.state),
            card.researcher,
            plan.get("study", "?"),
            plan.get("kind", "?"),
            plan.get("dataset", "?"),
            plan.get("model", {}).get("name", "–"),
            str(plan.get("rounds", "?")),
            _epsilon(card.epsilon),
            f"{card.epsilon_left:.2f}",
        )
    return table


def dataset_tables(dataset: DatasetSummary) -> Group:
    """What a dataset is like: its classes, its versions, and the card that researchers see."""
    multi = dataset.schema.label_kind == "multi"
    classes = PlainTable(
        "finding" if multi else "class", "pictures", "share", *(("without", "unknown") if multi else ())
    )
    for one in dataset.classes:
        further = (str(one.without), str(one.unknown)) if multi else ()
        classes.add_row(one.name, str(one.pictures), f"{one.pictures / dataset.pictures:.1%}", *further)
    versions = PlainTable("version", "pictures", f"units ({dataset.schema.unit})", "kept", "under way")
    for row in dataset.versions:
        kept, read = ("yes" if row.kept else "removed"), ("a study reads it" if row.under_way else "")
        versions.add_row(str(row.version), str(row.pictures), str(row.units), kept, read)
    card = PlainTable("what researchers see", "")
    for name, value in dataset.card:
        card.add_row(name, value)
    patients = "" if dataset.patients is None else f" of {dataset.patients} patients"
    told = f"{dataset.pictures} pictures{patients}, at most {dataset.most_pictures_of_a_unit} of one unit"
    return Group(line(told), classes, versions, card)


def request_card(content: object) -> Group:
    """All that a reviewer needs to decide on one request."""
    card = read_row(RequestCard, content)
    plan = card.plan
    head = PlainTable(box=None, show_header=False)
    rows = [
        ("request", card.id),
        ("state", card.state + (f": {card.reason}" if card.reason else "")),
        ("researcher", card.researcher),
        ("submitted", card.submitted),
        ("digest", card.digest),
        (
            "cost",
            _epsilon(card.epsilon)
            + (f" of {card.epsilon_left:.2f} epsilon left" if card.state == "pending" else " epsilon")
            + f", delta {card.delta:g}",
        ),
        ("a round releases", f"{card.numbers:,} numbers"),
    ]
    if card.state == "pending" and card.approvals_needed > 1:
        given = ", ".join(card.approvals) or "nobody yet"
        rows.append(("approvals", f"{len(card.approvals)} of {card.approvals_needed}: {given}"))
    if card.finding:
        rows.append(("finding", card.finding))
    if card.questions:
        rows.append(("waits for", f"the researcher's answer to {card.questions} question(s)"))
    rows += [("unusual", one.text) for one in card.unusual]
    for name, value in rows:
        head.add_row(line((name, "dim")), str(value))
    details = PlainTable("plan", "value")
    for name, value in _flat(plan):
        details.add_row(name, value)
    return Group(head, *_statement(card.statement), *_thread(card.thread), details)


def _statement(statement: Statement | None) -> list[Text | PlainTable]:
    """What the researcher says, under a heading that says so."""
    if statement is None:
        return [line(f"{HEADING}: nothing was said.")]
    said = PlainTable(box=None, show_header=False)
    for name, text in vars(statement).items():
        said.add_row(line((name, "dim")), text or "–")
    return [line(f"{HEADING}:"), said]


def _thread(messages: tuple[Message, ...]) -> list[Text | PlainTable]:
    """Questions and answers, the researcher's in words of their own."""
    if not messages:
        return []
    table = PlainTable("asked and answered", "by", "text")
    for one in messages:
        table.add_row(f"{one.at[:16]} {one.side}", one.author, one.text)
    return [table]


def budget_table(rows: object) -> Group:
    """For each dataset one line, and one for each study that is charged to it."""
    datasets = PlainTable("dataset", "epsilon in all", "charged", "left", "delta")
    studies = PlainTable("dataset", "researcher", "study", "charged", "rounds run", "reserved", "")
    for row in read_rows(BudgetRow, rows):
        datasets.add_row(
            row.dataset,
            f"{row.epsilon_total:.2f}",
            f"{row.epsilon_charged:.2f}",
            f"{row.epsilon_left:.2f}",
            f"{row.delta:g}",
        )
        for study in row.studies:
            studies.add_row(
                row.dataset,
                study.researcher,
                study.study,
                _epsilon(None if study.non_private else study.epsilon_charged),
                str(study.rounds_run),
                str(study.rounds_reserved),
                "ended" if study.ended else "",
            )
    return Group(datasets, studies) if studies.row_count else Group(datasets)


def limits_table(limits: Mapping[str, object]) -> PlainTable:
    """One line a limit."""
    table = PlainTable("limit", "value")
    for name, value in _flat(limits):
        table.add_row(name, value)
    return table


def run_table(rows: object) -> PlainTable:
    """One line a run."""
    table = PlainTable("run", "request", "round", "state", "attempt", "progress", "seconds", "reason")
    for row in read_rows(RunRow, rows):
        seconds = f"{row.ended - row.started:.1f}" if row.ended and row.started else ""
        table.add_row(
            row.id,
            row.request_id[:8],
            str(row.round),
            _state(row.state),
            str(row.attempt),
            f"{row.progress:.0%}",
            seconds,
            row.reason,
        )
    return table


def researcher_table(rows: object) -> PlainTable:
    """One line a researcher: the newest certificate."""
    table = PlainTable("researcher", "certificate", "issued", "expires", "days left")
    for row in read_rows(ResearcherRow, rows):
        days = str(row.days_left) if row.state == "valid" else ""
        table.add_row(row.email, _state(row.state), row.issued[:10], row.expires[:10], days)
    return table


def staff_table(rows: object) -> PlainTable:
    """One line a person."""
    table = PlainTable("name", "role", "added", "by")
    for row in read_rows(StaffRow, rows):
        table.add_row(row.name, row.role, row.added_at, row.added_by)
    return table


def notice_table(content: object) -> Group:
    """One line a notice, the newest first; what this person has not read is marked."""
    page = read_row(NoticePage, content)
    table = PlainTable("", "when", "notice", "about", "what")
    for one in page.notices:
        mark = "" if one.id <= page.read_up_to else "new"
        about = one.about[:8] if one.kind in OF_A_REQUEST else one.about
        table.add_row(mark, one.at[:16], one.kind, about, one.text)
    return Group(table, line(f"{page.unread} unread"))


def _state(state: str) -> Text:
    return line((state, _STATES.get(state, "")))


def _epsilon(value: float | None) -> str:
    return "not private" if value is None else f"{value:.2f}"


def _flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", str(value)))
    return rows
