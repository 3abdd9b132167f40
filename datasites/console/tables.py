"""The hospital's terminal: requests, budgets and runs as tables. For the hospital's own eyes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Group

from datasites.access.people import ResearcherRow, StaffRow
from datasites.code_requests.card import RequestCard
from datasites.console.answers import BudgetRow, RunRow, read_rows
from datasites.console.review_card import flat
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
    for name, value in flat(limits):
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
