"""The rows of a table that are one hospital's, and what each says, cell by cell. Private."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from datasites.sources.alike import two_alike
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.levels import one_form
from datasites.sources.not_filled_in import is_nobody, is_not_filled_in
from datasites.sources.tables.part_column import parts_in
from datasites.sources.tables.problems import NO_SITE, ROUNDED, RowProblems
from datasites.sources.tables.read_table import Table
from policies.errors import DataError

_ROUNDED = re.compile(r"\d(?:[.,]\d+)?E\+\d+")  # as spreadsheets write numbers that are too long for their column


@dataclass(frozen=True)
class Row:
    """A row, as far as it is read.

    Attributes:
        line: Where it stands in the file.
        path: What names the picture.
        labels: The cells of labels.
        patient, report: Their cells; None without such a column.
    """

    line: int
    path: str
    labels: Sequence[str]
    patient: str | None
    report: str | None


def rows_of(table: Table, settings: DatasetSettings) -> Iterator[Row]:
    """The rows of the hospital that is asked for.

    Raises:
        DataError: There are several hospitals and none is named, or it is not there; or rows say none.
    """
    columns, count = table.columns, len(table.lines)
    sites = [one_form(cell.strip()) for cell in columns.get(settings.site_column, ())]
    wanted = one_form(settings.site)
    if wanted not in sites and (wanted or len(set(sites)) > 1):
        raise DataError(
            "The table is several hospitals'. Set site_column, and site to one of them.",
            private=f"The hospitals are {', '.join(sorted(set(sites)))}.",
        )
    if alike := two_alike(set(sites)):
        raise DataError(
            "Two hospitals of the table have names that differ only in capitals, spaces, letters that look alike or "
            "the form of a number. Write them alike, so that no row is left out.",
            private=f"They are {alike[0]!r} and {alike[1]!r}.",
        )
    _refuse_rows_of_nobody(table, sites, settings)
    _refuse_rounded(table, sites, settings)
    labels = zip(*(columns[name] for name in settings.label_columns), strict=True)
    patients = columns.get(settings.patient_column, [None] * count)
    reports = columns.get(settings.report_column, [None] * count)
    paths = columns[settings.path_column]
    for index, cells in enumerate(labels):
        if wanted and sites[index] != wanted:
            continue
        patient = patients[index]
        if patient is not None:
            patient = "" if is_nobody(patient) else patient.strip()
        yield Row(table.lines[index], paths[index].strip(), cells, patient, reports[index])


def _refuse_rounded(table: Table, sites: Sequence[str], settings: DatasetSettings) -> None:
    """Refuses patients of whom nothing but the first digits is left, so that several are one.

    Raises:
        DataError: With the first lines in private.
    """
    problems, wanted = RowProblems(), one_form(settings.site)
    for index, patient in enumerate(table.columns.get(settings.patient_column, ())):
        if _ROUNDED.fullmatch(patient.strip()) and (not wanted or sites[index] == wanted):
            problems.add(table.lines[index], ROUNDED, patient.strip())
    problems.refuse()


def _refuse_rows_of_nobody(table: Table, sites: Sequence[str], settings: DatasetSettings) -> None:
    """Refuses rows that say no hospital: they would go to none, or to all. Of a part that is asked for they are not.

    Raises:
        DataError: With the first lines in private.
    """
    unnamed = replace(settings, site_column="", safe_columns=())
    if settings.site and settings.site_column in (head for head, _ in parts_in(table.values, unnamed)):
        return
    problems = RowProblems()
    for line, site in zip(table.lines, sites, strict=False):
        if not site or is_not_filled_in(site):
            problems.add(line, NO_SITE, site)
    problems.refuse()


def patients_elsewhere(table: Table, settings: DatasetSettings) -> frozenset[str]:
    """Patients that the table names at other hospitals than the one that is asked for."""
    sites, patients = (table.columns.get(name, ()) for name in (settings.site_column, settings.patient_column))
    wanted = one_form(settings.site)
    pairs = zip(sites, patients, strict=False)
    named = {patient.strip() for site, patient in pairs if one_form(site.strip()) != wanted}
    return frozenset(patient for patient in named if patient and not is_nobody(patient))
