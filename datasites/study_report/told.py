"""A study report in words, for the terminal and the page: the same sentences in both."""

from __future__ import annotations

from datetime import UTC, datetime

from datasites.study_report.groups import LEAST_IN_A_CELL, GroupRow
from datasites.study_report.kept_reports import HEADS, KeptReport
from datasites.study_report.membership import FALSE_ALARM_RATE, Interval
from datasites.study_report.study_report import StudyReport
from policies.answers import rounded
from policies.answers.odds import percent

PRIVATE = (
    "Private to the hospital: exact scores on patients' pictures, without noise. It cost no budget because it goes "
    "nowhere. Do not send it, and remove it when it is read."
)
_HOLD_OUT = {
    "patient": "Hold-out: {pictures} pictures; {left_out} left out, which cannot be read, or are of the dataset or its "
    "patients.",
    "picture": "Hold-out: {pictures} pictures; {left_out} left out, which cannot be read, or are of the dataset.",
}
_TEST = {
    "patient": "A test that asks whose loss the updates lowered, on {members} patients of the dataset and {others} of "
    "the hold-out: AUC {auc}; it finds {tpr} of the dataset's patients at {rate} false alarms. In brackets what 95 of "
    "100 resamples of the patients give.",
    "picture": "A test that asks of which pictures the updates lowered the loss, on {members} pictures of the dataset "
    "and {others} of the hold-out: AUC {auc}; it finds {tpr} of the dataset's pictures at {rate} false alarms. In "
    "brackets what 95 of 100 resamples of the pictures give.",
}


def in_words(report: StudyReport) -> KeptReport:
    """The whole report in words, as the console's page shows it."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = tuple(cells(row) for row in report.rows)
    told = head(report), rows, membership(report)
    return KeptReport(report.study, report.request_id, now, PRIVATE, *told, counted=report.counted)


def heads(counted: str) -> tuple[str, ...]:
    """Heads of the table of scores, in which a row counts patients or pictures."""
    return tuple(f"{counted}s" if one == "count" else one for one in HEADS)


def head(report: StudyReport) -> tuple[str, ...]:
    """What was looked at."""
    looked_at = len(report.looked_at)
    kept = f"the {looked_at} rounds" if looked_at == report.released else f"{looked_at} of {report.released} rounds"
    gone = "Of the others the update or its weights are not kept any more."
    return (
        f"Study '{report.study}', request {report.request_id[:8]}, on '{report.dataset}', version "
        f"{report.dataset_version}: {kept} that released an update.",
        *([gone] if looked_at < report.released else []),
        _HOLD_OUT[report.counted].format(pictures=report.hold_out_pictures, left_out=report.hold_out_left_out),
        f"The global model is the one that round {report.looked_at[-1] + 1} began with; the local one is what that "
        "round made of it here.",
    )


def cells(row: GroupRow) -> tuple[str, str, str, str, str, str]:
    """A row of the table of scores."""
    if row.count is None:
        return row.kind, row.name, f"fewer than {LEAST_IN_A_CELL}", row.score, "–", "–"
    scores = ("–" if value is None else f"{value:.3f}" for value in (row.local_score, row.global_score))
    return row.kind, row.name, str(row.count), row.score, *scores  # type: ignore[return-value]


def membership(report: StudyReport) -> tuple[str, ...]:
    """What the updates give away, beside what is allowed."""
    found = report.membership
    allowed = (
        "The study trained without differential privacy: nothing bounds what a test can find."
        if found.epsilon is None
        else f"In what was charged (epsilon {rounded.cost(found.epsilon)} at delta {rounded.number(found.delta)}) no "
        f"test can have more than AUC {found.allowed_auc:.3f}, nor find more than {percent(found.allowed_tpr)} at "
        f"{FALSE_ALARM_RATE:.0%} false alarms."
    )
    return (
        _TEST[report.unit].format(
            members=found.members,
            others=found.others,
            auc=_interval(found.auc, ".3f"),
            tpr=_interval(found.tpr, ".1%"),
            rate=f"{FALSE_ALARM_RATE:.0%}",
        ),
        allowed,
        "A better test may find more than this one, never more than is allowed. Where the hold-out differs from the "
        "dataset in other ways, by year or device, the test finds that too.",
    )


def _interval(found: Interval, form: str) -> str:
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"
