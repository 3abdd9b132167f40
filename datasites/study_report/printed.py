"""Makes a study report and prints it in the hospital's terminal; writes the page where one is wanted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from datasites.files.state_folder import StateFolder
from datasites.study_report import told
from datasites.study_report.kept_reports import KeptReports
from datasites.study_report.page import write_page
from datasites.study_report.study_report import make_report
from policies.answers.plain_values import to_plain
from policies.terminal.printing import say, say_json
from policies.terminal.rich_terminal import PlainConsole, PlainTable


def print_report(
    state: StateFolder,
    study: str,
    hold_out: Path,
    columns: Sequence[str],
    *,
    page: Path | None,
    keep: bool,
    as_json: bool,
) -> None:
    """Prints a study's report; see `make_report`.

    Args:
        state: The datasite's folder.
        study: Name of the study, or the beginning of its request's identifier.
        hold_out: Own pictures that the dataset does not have.
        columns: Of a table: columns whose values are subgroups.
        page: File for the same as a page, mode 0600; None for none.
        keep: Whether the console's page shows it too, until somebody removes it there.
        as_json: Whether it is printed as JSON.
    """
    os.umask(0o077)
    report = make_report(state, study, hold_out, columns)
    if page is not None:
        write_page(report, page)
    if keep:
        KeptReports(state.study_reports).keep(told.in_words(report))
    if as_json:
        say_json(to_plain(report), indent=2)
        return
    for text in (told.PRIVATE, *told.head(report)):
        say(text)
    table = PlainTable(*told.heads(report.counted))
    for row in report.rows:
        table.add_row(*told.cells(row))
    PlainConsole().print(table)
    for text in told.membership(report):
        say(text)
    if page is not None:
        say(f"{page} has the same as a page, readable by this account alone.")
    if keep:
        say("The console's page 'Study reports' shows it until it is removed there.")
