"""The command `report`: a finished study's report is written again, with counts that came later. Asks no hospital."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from policies.terminal.commands import option, path
from policies.terminal.printing import say
from researcher.cli.commands import ResearcherCommands, study_folder

if TYPE_CHECKING:
    from pathlib import Path


def report(*, out: Path, counts: Sequence[Path]) -> None:
    """Writes a study's report again, with what hospitals released on requests for counts; nothing is asked anew."""
    from researcher.reports.kept_result import write_again

    write_again(out, counts)
    say(f"Written to {out}/: report.html, result.json")


def add_commands(commands: ResearcherCommands) -> None:
    """Adds this command to the program."""
    told = "folder of 'evaluate --at_hospitals' or 'statistics' whose counts belong in it; may be given again"
    commands.add("report", report, study_folder(), option("--counts", told, kind=path, value="FOLDER", repeated=True))
