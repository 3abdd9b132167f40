"""The hospital's terminal: requests, budgets and runs as tables. For the hospital's own eyes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group

from datasites.access.people import ResearcherRow, StaffRow
from datasites.code_requests.card import RequestCard
from datasites.console.answers import BudgetRow, RunRow, read_row, read_rows
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
    rows += _rehearsal(card)
    if card.finding:
        rows.append(("finding", card.finding))
    rows += [("unusual", one.text) for one in card.unusual]
    for name, value in rows:
        head.add_row(line((name, "dim")), str(value))
    details = PlainTable("plan", "value")
    for name, value in _flat(plan):
        details.add_row(name, value)
    return Group(head, details)


def _rehearsal(card: RequestCard) -> list[tuple[str, str]]:
    """What a rehearsal came to, with its traceback; nothing where none was asked for."""
    found = card.rehearsal
    if found is None:
        return []
    told = found.public().told()
    if found.state in ("waiting", "running") and card.state == "pending":
        told += "; an approval does not wait for it"
    return [("rehearsal", told), *(("", text) for text in found.traceback.splitlines())]


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
