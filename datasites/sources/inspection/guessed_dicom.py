"""Guesses where DICOM labels come from, for a person to read and correct. Nothing is published by a guess."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from datasites.picture_files.picture_refused import PictureRefused
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.dicom.directory_file import listed_files
from datasites.sources.dicom.found_file import IDENTIFIERS, find
from datasites.sources.folders.walk import Walk
from datasites.sources.inspection.guessed_columns import guess_columns, said_of_reports
from datasites.sources.tables.read_table import read_table
from policies.errors import DataError

_LOOKED_AT = 500


def guess_dicom(settings: DatasetSettings) -> tuple[DatasetSettings, list[str]]:
    """(settings of a DICOM source with the table's columns, what a person should know of the guesses).

    Raises:
        DataError: The table cannot be read, or none of its columns names the files.
    """
    settings = replace(settings, kind="dicom", unit="patient")
    if not settings.table:
        return settings, [
            "Labels are taken from the folders' names. Where a table has them, give it with --table; where an "
            "attribute of the files says them, name it as labels_from."
        ]
    column, match = _naming_column(settings)
    settings = guess_columns(replace(settings, labels_from="table", path_column=column, table_match=match))
    return replace(settings, patient_column="", site_column=""), [
        f"The table's column {column!r} holds the files' {match}. Which of the others is the label was guessed: "
        "compare with the table.",
        *said_of_reports(settings),
    ]


def _naming_column(settings: DatasetSettings) -> tuple[str, str]:
    """(the table's column that names most of the files, what it names them by)."""
    file = Path(settings.table)
    table = read_table(file, read_table(file, ()).heads)
    cells = {head: {cell.strip() for cell in column} for head, column in table.columns.items()}
    files = list(islice(_identified(Path(settings.data_path)), _LOOKED_AT))
    counts = {
        (head, match): sum(named.get(match) in cells[head] for named in files)
        for match in ("path", *IDENTIFIERS)
        for head in table.heads
    }
    best = max(counts, key=lambda one: counts[one], default=("", ""))
    if not counts.get(best):
        raise DataError(
            f"A column of the table must name the DICOM files, by path or by {', '.join(IDENTIFIERS)}; none does. "
            "Compare the table with what the files hold."
        )
    return best


def _identified(source: Path) -> Iterator[Mapping[str, str]]:
    """What each file may be named by."""
    root = source if source.is_dir() else source.parent
    for inside in (found.inside for found in Walk(source).files()) if source.is_dir() else listed_files(source)[0]:
        try:
            yield {"path": inside, **find(root / inside)[0].identifiers}
        except (PictureRefused, OSError):
            continue
