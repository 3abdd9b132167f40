"""The hospital's terminal: requests, budgets and runs as tables. For the hospital's own eyes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Group

from datasites.access.people import ResearcherRow, StaffRow
from datasites.approvals.decided_by import BY_RULE
from datasites.audit_log.audit_page import AuditPage
from datasites.code_requests.request_index import RequestPage
from datasites.console.answers import BudgetRow, LimitsAnswer, RunPage, read_row, read_rows
from datasites.console.shown.digests import shortened
from datasites.elsewhere.told_decisions import KnownHospital
from datasites.notices.notice import OF_A_REQUEST
from datasites.notices.notice_book import NoticePage
from policies.answers import rounded
from policies.answers.limit_values import told_limit
from policies.answers.moments import day, days_since, moment
from policies.answers.runs import CANARY
from policies.budget.limit_changes import LimitChange
from policies.plans.model_spec import GRAPH_MODEL, OWN_MODEL
from policies.terminal.rich_terminal import PlainTable, line

if TYPE_CHECKING:
    from rich.text import Text

    from datasites.datasets.summary import DatasetSummary

_COMPOSED = (
    "What studies cost one dataset together is composed from their steps, which is less than the sum of their costs."
)
_IN_JSON = "--json"  # the option of every command here that tells all columns
_STATES = {
    "pending": "yellow",
    "approved": "green",
    "done": "green",
    "running": "cyan",
    "denied": "red",
    "returned": "magenta",
    "withdrawn": "dim",
    "failed": "red",
}


def request_table(content: object) -> Group:
    """One line a request, the newest last, and how many there are in all."""
    page = read_row(RequestPage, content)
    table = PlainTable(
        *("request", "state", "researcher", "study", "kind", "dataset", "model", "rounds", "epsilon", "days"),
        spare=("model", "rounds", "dataset"),
        elsewhere=_IN_JSON,
    )
    for row in reversed(page.rows):
        table.add_row(
            row.id[:8],
            _state(row.state) if not row.decided_by.startswith(BY_RULE) else line(f"{row.state} by a rule"),
            row.researcher,
            row.study,
            row.kind,
            row.dataset,
            (OWN_MODEL if row.model == GRAPH_MODEL else row.model) or "–",
            str(row.rounds),
            "no price" if row.unpriced else _epsilon(row.epsilon),
            str(days_since(row.arrived_at)) if row.state == "pending" else "",
        )
    counts = ", ".join(f"{count} {state}" for state, count in page.counts.items() if count)
    left = [line(f"Of '{name}' epsilon {rounded.left(value)} is left.") for name, value in page.epsilon_left.items()]
    return Group(table, line(f"In all: {counts or 'none'}."), *left, *_more(page.next))


def audit_table(content: object) -> Group:
    """One line an event, the newest last."""
    page = read_row(AuditPage, content)
    table, short = PlainTable("line", "time (UTC)", "event", "by", "what else it says"), False
    for row in reversed(page.rows):
        whole = ", ".join(f"{name} {value}" for name, value in row.details.items())
        details = shortened(whole)
        short |= details != whole
        table.add_row(str(row.line), row.time[:19].replace("T", " "), row.event, row.by, details)
    told = (line(f"Digests are shortened; {_IN_JSON} tells them whole."),) if short else ()
    return Group(table, *told, *_more(page.next))


def _more(after: object) -> tuple[Text, ...]:
    """Says how to see what is older, where something is."""
    return () if after is None else (line(f"Older ones: --after {after}, or --all."),)


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
    return Group(*_after_start(dataset.after_start), line(told), classes, versions, card)


def _after_start(version: int | None) -> tuple[Text, ...]:
    """Says that a start is due, where a running datasite does not have the newest version."""
    due = f"The running datasite does not have version {version} yet: start it again, so that new requests read it."
    return () if version is None else (line((due, "yellow")),)


def budget_table(rows: object) -> Group:
    """For each dataset one line, and one for each study that is charged to it."""
    datasets = PlainTable("dataset", "epsilon in all", "spent or reserved", "left", "delta")
    studies = PlainTable(
        "dataset",
        "researcher",
        "study",
        "spent or reserved",
        "rounds run",
        "rounds in all",
        "",
        spare=("rounds in all",),
        elsewhere=_IN_JSON,
    )
    for row in read_rows(BudgetRow, rows):
        datasets.add_row(
            row.dataset,
            rounded.left(row.epsilon_total),
            rounded.cost(row.epsilon_charged),
            rounded.left(row.epsilon_left),
            rounded.number(row.delta),
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
    if not studies.row_count:
        return Group(datasets)
    composed = [line(_COMPOSED)] if studies.row_count > 1 else []
    return Group(datasets, studies, *composed)


def limits_table(content: object) -> Group:
    """One line a limit, and after that what is proposed."""
    answer = read_row(LimitsAnswer, content)
    table = PlainTable("limit", "value")
    for name, value in answer.limits.items():
        table.add_row(name, _written(value))
    told: list[Any] = []
    for one in answer.proposals:
        behind = ", ".join((one.by, *one.confirmed))
        told += [
            line(f"Proposal {one.id} of {behind}, until {moment(one.expires)}: {one.reason}"),
            *_changes(one.changes),
        ]
    return Group(*told, table)


def limits_change(content: object) -> Group:
    """What a call has changed or proposed of the limits, one below the other; `limits` alone tells them all."""
    answer = read_row(LimitsAnswer, content)
    told = _changes(answer.changes) or [line("Nothing changes: the limits are so already.")]
    if answer.proposal:
        told.append(
            line(
                f"This allows more, and is proposal {answer.proposal}: in force once {answer.people_needed} people "
                f"stand behind it. Another of them confirms it: limits confirm {answer.proposal}."
            )
        )
    elif any(not one.allows_more for one in answer.changes):
        told.append(line(answer.kept or "What was approved before keeps what was reserved for it, and goes on."))
    return Group(*told)


def _changes(changes: tuple[LimitChange, ...]) -> list[Any]:
    return [
        line(
            f"{one.name}: {_written(one.before)} → {_written(one.after)}"
            f"{', which allows more' if one.allows_more else ''}. {one.means}"
        )
        for one in changes
    ]


def _written(value: str) -> str:
    """A limit's value, which the answer has as JSON; anything else is shown as it came."""
    try:
        return told_limit(json.loads(value))
    except (ValueError, RecursionError):
        return value


def run_table(content: object) -> Group:
    """One line a run, the one asked for last at the end."""
    page = read_row(RunPage, content)
    table = PlainTable(
        "run",
        "request",
        "round",
        "state",
        "attempt",
        "progress",
        "seconds",
        "reason",
        spare=("attempt", "seconds"),
        elsewhere=_IN_JSON,
    )
    for row in reversed(page.rows):
        seconds = f"{row.ended - row.started:.1f}" if row.ended and row.started else ""
        table.add_row(
            row.id,
            row.request_id[:8],
            "canary" if row.round == CANARY else str(row.round + 1),
            _state(row.state),
            str(row.attempt),
            f"{row.progress:.0%}",
            seconds,
            row.reason,
        )
    return Group(table, *_more(page.next))


def researcher_table(rows: object) -> PlainTable:
    """One line a researcher: the newest certificate."""
    table = PlainTable(
        "researcher", "certificate", "issued", "expires", "days left", spare=("issued",), elsewhere=_IN_JSON
    )
    for row in read_rows(ResearcherRow, rows):
        days = str(row.days_left) if row.state == "valid" else ""
        table.add_row(row.email, _state(row.state), day(row.issued), day(row.expires), days)
    return table


def staff_table(rows: object) -> PlainTable:
    """One line a person."""
    table = PlainTable("name", "role", "added", "by", "password", "second factor", spare=("added",), elsewhere=_IN_JSON)
    for row in read_rows(StaffRow, rows):
        set_up = ["set" if one else "" for one in (row.password, row.second_factor)]
        role = f"{row.role} (proposed: {row.proposed_role})" if row.proposed_role else row.role
        table.add_row(row.name, role, moment(row.added_at), row.added_by, *set_up)
    return table


def elsewhere_table(rows: object) -> PlainTable:
    """One line a hospital that told its decisions."""
    table = PlainTable("hospital", "fingerprint of its key", "decisions", "latest")
    for row in read_rows(KnownHospital, rows):
        table.add_row(row.hospital, row.fingerprint, str(row.decisions), row.latest)
    return table


def notice_table(content: object) -> Group:
    """One line a notice, the newest first; what this person has not read is marked."""
    page = read_row(NoticePage, content)
    table = PlainTable("", "when", "notice", "about", "what")
    for one in page.notices:
        mark = "" if one.id <= page.read_up_to else "new"
        about = one.about[:8] if one.kind in OF_A_REQUEST else one.about
        table.add_row(mark, moment(one.at), one.kind, about, one.text)
    return Group(table, line(f"{page.unread} unread"))


def _state(state: str) -> Text:
    return line((state, _STATES.get(state, "")))


def _epsilon(value: float | None) -> str:
    return "not private" if value is None else rounded.cost(value)
