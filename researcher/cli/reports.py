"""The command `report`: a finished study's report again, or several studies on one page. Asks no hospital."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from policies.terminal.commands import argument, option, path
from policies.terminal.printing import say
from researcher.cli.commands import FILES, ResearcherCommands, study_folder

if TYPE_CHECKING:
    from pathlib import Path

STUDIES_PAGE = "out/studies.html"


def report(*, out: Path, counts: Sequence[Path], studies: Sequence[Path] = (), html: Path | None = None) -> None:
    """Writes a study's report again, with what hospitals released on requests for counts; or of several studies one
    page that compares them. Nothing is asked anew.
    """
    if len(studies) > 1:
        from researcher.reports.studies_page import write_studies

        if counts:
            raise click.UsageError("--counts goes with one study, whose report they belong in.")
        say(f"Written to {write_studies(html or path(STUDIES_PAGE), studies)}")
        return
    if html is not None:
        raise click.UsageError("--html goes with several studies, which it compares; name their folders.")
    from researcher.reports.kept_result import write_again

    out = studies[0] if studies else out
    write_again(out, counts)
    say(f"Written to {out}/: report.html, result.json")


def add_commands(commands: ResearcherCommands) -> None:
    """Adds this command to the program."""
    told = "folder of 'evaluate --at_hospitals' or 'statistics' whose counts belong in it; may be given again"
    commands.add(
        "report",
        report,
        argument("studies", "folders of studies; of several, one page compares them", kind=path, repeated=True),
        study_folder(),
        option("--counts", told, kind=path, value="FOLDER", repeated=True),
        option("--html", f"the page of several studies (default {STUDIES_PAGE})", kind=path, value="FILE"),
        interrupted=FILES,
    )
