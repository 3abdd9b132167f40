"""The report of an ingest: every file that was left out or is worth a look. It is private, like the names in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from datasites.files.private_file import write_private
from datasites.picture_files.picture_refused import Reason
from policies.untrusted_text import csv_cell

LEFT_OUT, STOPS, NOTED, NONE = "left out", "stops the ingest", "taken", "no picture"
COLUMNS = ("file", "outcome", "reason", "meaning", "what to do", "detail")
_NAMED = 3  # files of each reason, in the terminal


@dataclass(frozen=True)
class ReportLine:
    """One file and one thing to know of it.

    Attributes:
        place: Where it is in the source.
        outcome: `LEFT_OUT`, `STOPS`, `NOTED`, or `NONE` for what never was a picture of the dataset.
        reason: Why.
        detail: What else helps, such as the decoder's words or the other file.
    """

    place: str
    outcome: str
    reason: Reason
    detail: str = ""


class IngestReport:
    """All lines of a report.

    Args:
        lines: In any order.
        total: How many pictures there are, with those that are left out.
    """

    def __init__(self, lines: Iterable[ReportLine], total: int) -> None:
        order = (STOPS, LEFT_OUT, NOTED, NONE)
        self.lines = sorted(lines, key=lambda line: (order.index(line.outcome), line.reason.code, line.place))
        self.total = total

    @property
    def stopping(self) -> list[ReportLine]:
        """The lines that stop the ingest, however few they are."""
        return [line for line in self.lines if line.outcome == STOPS]

    @property
    def left_out(self) -> int:
        """How many files are not taken."""
        return len({line.place for line in self.lines if line.outcome in (STOPS, LEFT_OUT)})

    def write(self, file: Path) -> None:
        """Writes the report as a table that a spreadsheet opens, mode 0600.

        Raises:
            OSError: It cannot be written.
        """
        table = io.StringIO(newline="")
        rows = csv.writer(table)
        rows.writerow(COLUMNS)
        for line in self.lines:
            reason = line.reason
            row = (line.place, line.outcome, reason.code, reason.means, reason.advice, line.detail)
            rows.writerow(map(csv_cell, row))
        write_private(file, "\ufeff" + table.getvalue())

    def summary(self) -> Iterator[str]:
        """One line for each reason, for the hospital's terminal."""
        for (outcome, code), group in groupby(self.lines, key=lambda line: (line.outcome, line.reason.code)):
            found = list(group)
            named = ", ".join(line.place for line in found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
            reason = found[0].reason
            yield f"{outcome}: {len(found):,} x {code} ({named}). {reason.means} {reason.advice}"
