"""Results of a study, for programs and for people. They show released numbers and public hold-outs only."""

from __future__ import annotations

from pathlib import Path

from researcher.reports.kept_result import read_result
from researcher.reports.page import write_page
from researcher.reports.plots import write_plots
from researcher.reports.result import StudyResult, write_result

__all__ = ["StudyResult", "read_result", "write_page", "write_plots", "write_report", "write_result"]


def write_report(folder: Path | str, result: StudyResult) -> list[Path]:
    """Writes `result.json`, the curves as PNG and `report.html` into `folder`; returns their paths.

    Raises:
        ConfigError: The folder cannot be written.
    """
    folder = Path(folder)
    plots = write_plots(folder, result)
    return [
        write_result(folder / "result.json", result),
        *plots.values(),
        write_page(folder / "report.html", result, plots),
    ]
