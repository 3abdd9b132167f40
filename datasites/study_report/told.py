"""A study report in words, for the terminal and the page: the same sentences in both."""

from __future__ import annotations

from datetime import UTC, datetime

from datasites.study_report.groups import LEAST_PATIENTS, GroupRow
from datasites.study_report.kept_reports import KeptReport
from datasites.study_report.membership import FALSE_ALARM_RATE, Interval
from datasites.study_report.study_report import StudyReport
from policies.answers.odds import percent

PRIVATE = (
    "Private to the hospital: exact scores on patients' pictures, without noise. It cost no budget because it goes "
    "nowhere. Do not send it, and remove it when it is read."
)


def in_words(report: StudyReport) -> KeptReport:
    """The whole report in words, as the console's page shows it."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = tuple(cells(row) for row in report.rows)
    return KeptReport(report.study, report.request_id, now, PRIVATE, head(report), rows, membership(report))


def head(report: StudyReport) -> tuple[str, ...]:
    """What was looked at."""
    looked_at = len(report.looked_at)
    kept = f"the {looked_at} rounds" if looked_at == report.released else f"{looked_at} of {report.released} rounds"
    gone = "Of the others the update or its weights are not kept any more."
    return (
        f"Study '{report.study}', request {report.request_id[:8]}, on '{report.dataset}', version "
        f"{report.dataset_version}: {kept} that released an update.",
        *([gone] if looked_at < report.released else []),
        f"Hold-out: {report.hold_out_pictures} pictures; {report.hold_out_left_out} left out, which cannot be read, or "
        "are of the dataset or its patients.",
        f"The global model is the one that round {report.looked_at[-1] + 1} began with; the local one is what that "
        "round made of it here.",
    )


def cells(row: GroupRow) -> tuple[str, str, str, str, str, str]:
    """A row of the table of scores."""
    if row.patients is None:
        return row.kind, row.name, f"fewer than {LEAST_PATIENTS}", row.score, "–", "–"
    scores = ("–" if value is None else f"{value:.3f}" for value in (row.local_score, row.global_score))
    return row.kind, row.name, str(row.patients), row.score, *scores  # type: ignore[return-value]


def membership(report: StudyReport) -> tuple[str, ...]:
    """What the updates give away, beside what is allowed."""
    found = report.membership
    allowed = (
        "The study trained without differential privacy: nothing bounds what a test can find."
        if found.epsilon is None
        else f"In what was charged (epsilon {found.epsilon:.2f} at delta {found.delta:g}) no test can have more "
        f"than AUC {found.allowed_auc:.3f}, nor find more than {percent(found.allowed_tpr)} at {FALSE_ALARM_RATE:.0%} "
        "false alarms."
    )
    return (
        f"A test that asks whose loss the updates lowered, on {found.members} patients of the dataset and "
        f"{found.others} of the hold-out: AUC {_interval(found.auc, '.3f')}; it finds {_interval(found.tpr, '.1%')} of "
        f"the dataset's patients at {FALSE_ALARM_RATE:.0%} false alarms. In brackets what 95 of 100 resamples of the "
        "patients give.",
        allowed,
        "A better test may find more than this one, never more than is allowed. Where the hold-out differs from the "
        "dataset in other ways, by year or device, the test finds that too.",
    )


def _interval(found: Interval, form: str) -> str:
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"
