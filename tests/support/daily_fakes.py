"""What stands behind the pages of daily life: a queue, an audit log and a table of notices that are real, and fakes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from datasites.access.people import ResearcherRow
from datasites.audit_log.log import AuditLog
from datasites.config import DatasiteConfig
from datasites.doctor.finding import Finding
from datasites.doctor.latest_examination import Examination
from datasites.notices.notice_book import NoticeBook
from datasites.runs.queue import Run, RunQueue
from datasites.study_report.kept_reports import KeptReport, KeptReports

MARKUP = "<b>bold</b><script>document.title='obeyed'</script>"
ADA, EVE = "ada@example.org", "eve@example.org"
ACCOUNT = "e" * 64
REPORTED = "5" * 32
PRIVATE = (
    "Private to the hospital: exact scores on patients' pictures, without noise. It cost no budget because it goes "
    "nowhere. Do not send it, and remove it when it is read."
)
FINDINGS = (
    Finding("disk", "ok", "12.0 GiB free, 0.8 GiB wanted (two sets of weights for each run at once)"),
    Finding("console's port", "problem", f"8443 does not answer: {MARKUP}", "See logs/datasite.log."),
)


@dataclass
class FakeAccounts:
    """Researchers as a list, without PySyft."""

    rows: list[ResearcherRow] = field(
        default_factory=lambda: [
            ResearcherRow(ADA, "valid", "2026-09-01T00:00:00+00:00", "2026-12-01T00:00:00+00:00", None, 4),
            ResearcherRow(EVE, "revoked", "2026-09-01T00:00:00+00:00", "2026-12-01T00:00:00+00:00", "2026-10-01", 0),
        ]
    )

    def people(self) -> list[ResearcherRow]:
        return self.rows

    def known(self, account: str) -> str:
        return ADA if account == ACCOUNT else ""

    def enrolled_since(self, email: str) -> str:
        return "2026-09-01"

    def enrol(self, email: str) -> Path:
        self.rows.append(ResearcherRow(email, "valid", "2026-11-01", "2027-02-01", None, 90))
        return Path(f"credentials/{email}.json")

    def revoke(self, email: str) -> int:
        self.rows[:] = [replace(one, state="revoked") if one.email == email else one for one in self.rows]
        return 1


class FakeNotices:
    """A real table of notices; who looks finds what is here, and what is sent stays here."""

    def __init__(self, book: NoticeBook) -> None:
        self.book, self.looked = book, True
        self.doctor = SimpleNamespace(now=Examination("2026-11-27T12:00:00+00:00", findings=FINDINGS))
        self.looks = 0

    def look_now(self) -> None:
        self.looks += 1
        self.doctor.now = replace(self.doctor.now, under_way=True)

    def test(self) -> dict[str, str]:
        return {"mail": "", "webhook": "it does not answer"}


def put_runs(queue: RunQueue, states: tuple[str, ...] = ("done", "failed", "running", "queued")) -> list[Run]:
    """One run in each of these states; their identifiers are sixteen times 1, 2, and so on."""
    made = []
    named = iter([f"{number + 1}" * 16 for number in range(len(states))])
    for number, state in enumerate(states):
        with patch("datasites.runs.queue.secrets.token_hex", lambda _: next(named)):
            run = queue.enqueue(request_id=f"{number:064x}", round_index=number, account=ACCOUNT, weights="w")
        if state != "queued":
            queue.take(run.id)
        if state == "done":
            queue.finish(run.id, "d" * 64)
        elif state == "failed":
            queue.fail(run.id, code="WW505", reason=f"The run failed. {MARKUP}")
        elif state == "cancelled":
            queue.fail(run.id, code="WW506", reason="Cancelled.", state="cancelled")
        else:
            queue.progress(run.id, 0.4)
        made.append(run)
    return made


def _reports(folder: Path) -> Path:
    """A folder with one report of a study, whose name somebody wrote."""
    head = ("Hold-out: 60 pictures; 2 left out, which cannot be read, or are of the dataset or its patients.",)
    rows = (("all", "", "60", "share right", "0.910", "0.934"), ("scanner", MARKUP, "fewer than 10", "AUROC", "–", "–"))
    allowed = "The study trained without differential privacy: nothing bounds what a test can find."
    made = KeptReport(f"study {MARKUP}", REPORTED, "2026-11-27T12:00:00+00:00", PRIVATE, head, rows, (allowed,))
    KeptReports(folder).keep(made)
    return folder


def daily_fakes(folder: Path, noted: Any) -> dict[str, Any]:
    """Parts of a console by name; the audit log is given to `noted`."""
    folder.mkdir(parents=True, exist_ok=True)
    queue, log = RunQueue(folder / "runs.sqlite"), AuditLog(folder / "audit.log")
    runs = put_runs(queue)
    log.write("request approved", request="f" * 64, by="dr.wu", note=MARKUP)
    log.write("run failed", run=runs[1].id, request=runs[1].request_id, round=1, detail=f"{MARKUP} of the hospital's")
    noted.log = log
    book = NoticeBook(folder / "notices.sqlite")
    book.add("run failed", runs[1].request_id, f"A run failed. {MARKUP}")
    book.found("doctor", {"ports": "nothing answers"})
    return {
        "accounts": FakeAccounts(),
        "queue": queue,
        "supervisor": SimpleNamespace(cancel=lambda run, by: queue.fail(run.id, code="", reason=by, state="cancelled")),
        "notices": FakeNotices(book),
        "study_reports": _reports(folder / "study-reports"),
        "config": DatasiteConfig(name="north", certificate_days=60),
    }
