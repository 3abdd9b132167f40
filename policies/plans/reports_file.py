"""Reads `reports.csv`: what was written about each picture of a folder. At a hospital they are private rows.

So no error text, neither the public nor the private one, repeats anything of a report.
"""

from __future__ import annotations

import csv
from pathlib import Path

from policies.errors import DataError

REPORTS_FILE = "reports.csv"
COLUMNS = ("picture", "report")
_MAX_REPORT = 1 << 20  # characters


def read_reports(folder: Path) -> dict[str, str]:
    """Reads FOLDER/reports.csv: UTF-8, with the columns `picture` and `report`; other columns are not looked at.

    Args:
        folder: One hospital's, with a folder for each class.

    Returns:
        Report by picture, named `<class>/<file>`.

    Raises:
        DataError: No such file, not UTF-8, not a table with these columns, or a picture that comes twice. Neither text
            of the error holds anything of a report.
    """
    file = folder / REPORTS_FILE
    if not file.is_file():
        raise DataError(
            f"Reports are to be read, and there is no {REPORTS_FILE} beside the class folders. Add it, or set "
            "text_length to 0 to do without reports.",
            private=f"Folder: {folder}",
        )
    if not file.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"{REPORTS_FILE} is a link that leads outside the picture folder. Copy the file into the folder.",
            private=f"Folder: {folder}",
        )
    try:
        return _rows(file)
    except OSError as error:
        raise DataError(f"{REPORTS_FILE} cannot be read. Check its rights.", private=str(error)) from error
    except UnicodeDecodeError:  # its text names bytes of a report
        raise DataError(f"{REPORTS_FILE} must be UTF-8 text. Save it anew as UTF-8.", private=str(file)) from None
    except csv.Error:
        raise DataError(
            f"{REPORTS_FILE} must be a table of comma-separated values; it does not read as one. Quote reports with "
            "commas or line breaks.",
            private=str(file),
        ) from None


def _rows(file: Path) -> dict[str, str]:
    limit = csv.field_size_limit(_MAX_REPORT)
    reports: dict[str, str] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            table = csv.DictReader(stream, strict=True)
            if not set(COLUMNS) <= set(table.fieldnames or ()):
                raise DataError(f"{REPORTS_FILE} must have the columns {' and '.join(COLUMNS)} in its first line.")
            for row in table:
                picture, report = row["picture"], row["report"]
                if not picture or report is None or None in row:  # None holds what stands beyond the last column
                    raise _broken(file, table.line_num, "must name a picture and give its report, quoted")
                picture = picture.strip().replace("\\", "/").removeprefix("./")
                if picture in reports:
                    raise _broken(file, table.line_num, "names a picture that came before")
                reports[picture] = report
    finally:
        csv.field_size_limit(limit)
    return reports


def _broken(file: Path, line: int, what: str) -> DataError:
    return DataError(
        f"Each line of {REPORTS_FILE} must name another picture and give its report, in quotes where it has commas; "
        "one does not. The hospital's log names the line.",
        private=f"{file}, line {line}: {what}",
    )
