"""Lists the pictures that a table names. Its classes' names become public; paths, patients and all else do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from datasites.sources.contents import PICTURE_SUFFIXES, Measured, PictureFiles, by_file
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.levels import one_form
from datasites.sources.folders.split_files import refuse_split_files
from datasites.sources.folders.splits import refuse_split_levels
from datasites.sources.identity import NamesSeen, column_looks_like
from datasites.sources.listing import LeftOut, ListedPicture, Listing
from datasites.sources.reasons import NOT_IN_TABLE
from datasites.sources.tables.labels import RowLabels
from datasites.sources.tables.part_column import refuse_parts
from datasites.sources.tables.places import PROBLEMS, Places
from datasites.sources.tables.problems import (
    NO_PATIENT,
    TWICE,
    TWO_LABELS,
    RowProblems,
)
from datasites.sources.tables.read_table import Table, read_table
from datasites.sources.tables.rows import patients_elsewhere, rows_of
from policies.errors import DataError

ADVICE = "If they are none, name columns in safe_columns and kinds in safe_kinds, in [dataset]."


def list_table(settings: DatasetSettings, watch: Callable[[int], None], measured: Measured | None = None) -> Listing:
    """Lists one hospital's pictures of a table; see `list_pictures`."""
    file = Path(settings.table or settings.data_path)
    root = Path(settings.data_path) if settings.table else file.parent
    table = read_table(file, wanted_columns(settings), settings.table_encoding, settings.table_sheet)
    check_columns(table, settings, file)
    refuse_identity(table, settings)
    refuse_parts(table.values, settings)
    labels = RowLabels(settings, zip(*(table.columns[name] for name in settings.label_columns), strict=True))
    problems, files, names = RowProblems(), PictureFiles(root, settings, measured), NamesSeen(settings.safe_kinds)
    listed: list[ListedPicture] = []
    seen: dict[str, Sequence[str]] = {}
    places = Places(root)
    for number, row in enumerate(rows_of(table, settings), start=1):
        watch(number)
        inside = places.of(row.path)
        if inside in PROBLEMS:
            problems.add(row.line, inside, row.path)
            continue
        if inside in seen:
            problems.add(row.line, TWICE if seen[inside] == row.labels else TWO_LABELS, row.path)
            continue
        seen[inside] = row.labels
        found = labels.of(row.labels)
        if isinstance(found[0], str):
            problems.add(row.line, found[0], str(found[1]))
            continue
        if row.patient == "":
            problems.add(row.line, NO_PATIENT)
        names.look("paths", inside)
        numbers, before = tuple(int(one) for one in found), len(files.left_out)
        listed += [ListedPicture(one, numbers, row.patient, row.report) for one in files.pictures(inside)]
        files.left_out[before:] = [replace(one, labels=numbers) for one in files.left_out[before:]]
    problems.refuse()
    refuse_split_levels((one.split("/")[:-1] for one in seen), (), settings.split, of_table=True)
    refuse_split_files(seen, settings.split)
    look_at_classes(names, labels.class_names, settings)
    names.refuse(ADVICE)
    if not listed:
        raise DataError("The table names no picture that can be taken. Check site and the table's paths.")
    left_out = [*files.left_out, *_unnamed(root, seen, file)]
    own = files.measured
    return Listing(
        root,
        by_file(listed),
        labels.class_names,
        settings.label_kind,
        left_out,
        own.size,
        own.channels,
        patients_elsewhere(table, settings),
    )


def wanted_columns(settings: DatasetSettings) -> tuple[str, ...]:
    """The columns that the settings name."""
    report = settings.report_column if settings.text_length else ""
    named = (settings.path_column, *settings.label_columns, settings.patient_column, settings.site_column, report)
    return tuple(dict.fromkeys(name for name in named if name))


def refuse_identity(table: Table, settings: DatasetSettings) -> None:
    """Refuses columns that look like a person's names, dates or numbers, where the settings do not name them.

    Raises:
        IdentitySuspected: With the columns in private.
    """
    seen = NamesSeen()
    declared = {settings.patient_column, settings.path_column, settings.report_column, *settings.safe_columns}
    for head in table.heads:
        if head not in declared:
            for kind in column_looks_like(head, table.samples[head]):
                seen.suspect("columns", kind, head)
    seen.refuse(ADVICE)


def look_at_classes(seen: NamesSeen, class_names: Sequence[str], settings: DatasetSettings) -> None:
    """Looks at the names of classes that a table gives, in cells or as its columns' names.

    Those that class_names declares, and columns that are called safe, are not looked at.

    Args:
        seen: Takes note of what looks like somebody's.
        class_names: As they would be published.
        settings: Of the table.
    """
    if not settings.class_names:
        own = len(settings.label_columns) == 1
        safe = frozenset[str]() if own else frozenset(map(one_form, settings.safe_columns))
        seen.look_at_classes(set(class_names) - safe, "class names" if own else "label columns")


def check_columns(table: Table, settings: DatasetSettings, file: Path) -> None:
    """Refuses a table that lacks a column which the settings name.

    Raises:
        DataError: With the columns that it lacks; those that it has in private.
    """
    if not settings.label_columns:
        raise DataError("label_columns must name the table's column of classes, or a column for each finding.")
    missing = [name for name in wanted_columns(settings) if name not in table.heads]
    if settings.text_length and not settings.report_column:
        raise DataError("The table must have a column of reports, since text_length is not 0. Name it: report_column.")
    if missing:
        raise DataError(
            f"The table must have the columns that [dataset] names; it lacks {', '.join(missing)}. Set path_column, "
            "label_columns and the others to the table's own names, which 'python -m datasites inspect' shows.",
            private=f"The columns of {file.name} are {', '.join(table.heads)}.",
        )


def _unnamed(root: Path, named: dict[str, Sequence[str]], table: Path) -> Iterator[LeftOut]:
    """Pictures that lie beside those that the table names."""
    folders = sorted({inside.rpartition("/")[0] for inside in named})
    for folder in folders:
        for file in sorted((root / folder).iterdir()):
            inside = "/".join(file.relative_to(root).parts)
            if file.suffix.lower() in PICTURE_SUFFIXES and inside not in named and file != table:
                yield LeftOut(inside, NOT_IN_TABLE, lost=False)
