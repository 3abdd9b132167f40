"""A study report as a page: one private file, for the hospital's people alone. It is served by nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from datasites.files.private_file import write_private
from datasites.study_report import told
from datasites.study_report.study_report import StudyReport
from policies.errors import ConfigError
from policies.untrusted_text import shown

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    finalize=partial(shown, most=4000),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_page(report: StudyReport, file: Path) -> None:
    """Writes the page, mode 0600.

    Raises:
        ConfigError: It cannot be written there.
    """
    page = _TEMPLATES.get_template("page.html.jinja").render(
        report=report,
        private=told.PRIVATE,
        head=told.head(report),
        heads=told.heads(report.counted),
        rows=[told.cells(row) for row in report.rows],
        membership=told.membership(report),
    )
    try:
        write_private(file, page)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written. Choose a folder that is there.", private=str(error)) from error
