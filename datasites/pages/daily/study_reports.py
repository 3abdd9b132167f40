"""Pages of study reports that a command has kept: for those who decide on requests, and for nobody outside."""

from __future__ import annotations

from datasites.console.console import DECIDES
from datasites.pages.frame.views import Answer, Onward, Page, Pages
from datasites.pages.frame.visit import Visit
from datasites.pages.languages.languages import to_translate
from datasites.study_report.kept_reports import KeptReports

MAKE_ONE = "python -m datasites study-report STUDY --holdout PATH --keep"


def make_pages(reports: KeptReports) -> Pages:
    """The reports that are kept, each of them, and removing one."""
    pages = Pages()

    @pages.get("/studies", DECIDES, place=to_translate("Study reports"))
    def every(visit: Visit) -> Answer:
        return Page("daily/study-reports.html.jinja", {"reports": reports.all(), "make_one": MAKE_ONE})

    @pages.get("/studies/{request}", DECIDES)
    def one(visit: Visit) -> Answer:
        return Page("daily/study-report.html.jinja", {"report": reports.of(visit.params["request"])})

    @pages.post("/studies/{request}/remove", DECIDES)
    def remove(visit: Visit) -> Answer:
        reports.remove(visit.params["request"])
        return Onward("/studies", notice=visit.gettext("The report is removed."))

    return pages
