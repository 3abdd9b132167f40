"""Guesses which column of a table is what, for a person to read and correct. Nothing is published by a guess."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from pathlib import Path

from datasites.sources.contents import PICTURE_SUFFIXES
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.identity import column_looks_like
from datasites.sources.tables.found_classes import says_that_there_is_none, separator_in
from datasites.sources.tables.part_column import parts_in
from datasites.sources.tables.places import Places
from datasites.sources.tables.read_table import Table, read_table
from policies.errors import DataError
from policies.plans.tokeniser import words

_LABEL = re.compile(
    r"label|class|diagnos|finding|target|category|befund|klasse|^dx$|patholog|disease|^entity$|ground_?truth|标签|诊断|类别",
    re.IGNORECASE,
)
_PATIENT = re.compile(
    r"patient|subject|^u?subjid$|person|case_?id|^record[ _]?id$|^mrn$|^pid$|^pat[-_. ]?(?:id|nr|no)\b|患者|病人",
    re.IGNORECASE,
)
_OF_PATIENTS = re.compile(
    r"(?<!im)age(?![a-z])|alter|sex|gender|geschlecht|name|birth|geburt|weight|height|gewicht|race|ethni|position|class|type|"
    r"年龄|性别|姓名",
    re.IGNORECASE,
)
"""What tables tell of a patient beside who it is."""
_SITE = re.compile(r"site|hospital|cent(er|re)|clinic|klinik|医院", re.IGNORECASE)
_OF_BODIES = re.compile(r"anatom|lesion|body|biops|tumou?r|primary|opposite|tissue|slide|box|[ _][xyz]$", re.IGNORECASE)
"""Of a picture or a lesion: a site that is no hospital, a centre that is a point."""
_REPORT = re.compile(r"report|text|bericht|impression|narrative|conclusion|报告|所见", re.IGNORECASE)
_LEAST_WORDS, _LEAST_WORDS_OF_ANY = 3, 6
"""Words of a cell, on average, from which a column holds reports: where its name says so, and where a label's does."""
_MOST_CLASSES = 50
_FIRST = 4096


def guess_columns(settings: DatasetSettings) -> DatasetSettings:
    """The settings with an encoding and columns that fit their table.

    Args:
        settings: With the `path_column`, where it holds something else than paths.

    Raises:
        DataError: The table cannot be read in any encoding.
    """
    file = Path(settings.table or settings.data_path)
    root = Path(settings.data_path) if settings.table else file.parent
    table, encoding = _table(file)
    path = settings.path_column if settings.table_match != "path" else _path_column(root, table)
    nothing_said = replace(settings, label_columns=(), safe_columns=(), site_column="")
    parts = {head for head, _ in parts_in(table.values, nothing_said)}
    others = [head for head in table.heads if head != path and head not in parts]
    patients = [head for head in others if _PATIENT.search(head) and not _OF_PATIENTS.search(head)]
    patient = next((head for head in patients if any(table.samples[head])), "")
    others = [head for head in others if head != patient]
    site = next((head for head in others if _SITE.search(head) and not _OF_BODIES.search(head)), "")
    others = [head for head in others if head != site]
    reports = [head for head in others if _holds_reports(head, table.samples[head])]
    called = [head for head in others if _REPORT.search(head)][:1]
    labels, kind = _labels(table, [head for head in others if head not in (*called, *reports)])
    if len(labels) == 1 and (between := separator_in({cell.strip() for cell in table.samples[labels[0]]})):
        kind, settings = "multi", _of_several(settings, table.samples[labels[0]], between)
    return replace(
        settings,
        table_encoding=encoding,
        path_column=path or settings.path_column,
        label_columns=labels or settings.label_columns,
        label_kind=kind,
        patient_column=patient,
        site_column=site,
        report_column=reports[0] if reports else settings.report_column,
        unit="patient" if patient and all(table.samples[patient]) else settings.unit,
    )


def said_of_reports(settings: DatasetSettings) -> list[str]:
    """What a person should know of the column of reports, where one was found that is not kept yet."""
    if not settings.report_column or settings.text_length:
        return []
    return [
        f"The column {settings.report_column!r} seems to hold reports. They are kept, as numbers, only where "
        "text_length is set (64, for instance), to what all hospitals of a study have."
    ]


def _of_several(settings: DatasetSettings, cells: list[str], between: str) -> DatasetSettings:
    """The settings for several findings in a cell, and for what stands there where is none."""
    found = {one.strip() for cell in cells for one in cell.split(between)}
    none = min(filter(says_that_there_is_none, found - {settings.no_finding}), default=settings.no_finding)
    return replace(
        settings, label_separator=between, no_finding=settings.no_finding if settings.no_finding in found else none
    )


def names_a_file(settings: DatasetSettings) -> bool:
    """Whether the path column of a table's first rows names a file.

    Raises:
        DataError: The table cannot be read.
    """
    file = Path(settings.table or settings.data_path)
    cells = read_table(file, (), settings.table_encoding).samples.get(settings.path_column, [])
    return _stems(Places(Path(settings.data_path) if settings.table else file.parent), cells) > 0


def _table(file: Path) -> tuple[Table, str]:
    """(the table, an encoding that it can be read in)."""
    try:
        return read_table(file, ()), "auto"
    except DataError:
        with file.open("rb") as stream:
            others = ("utf-16",) if b"\0" in stream.read(_FIRST) else ("cp1252", "gbk")
        for encoding in others:
            with contextlib.suppress(DataError):
                return read_table(file, (), encoding), encoding
        raise


def _path_column(root: Path, table: Table) -> str:
    places = Places(root)
    path = max(table.heads, key=lambda head: _paths(root, table.samples[head]), default="")
    if not path or not _paths(root, table.samples[path]):
        path = max(table.heads, key=lambda head: _stems(places, table.samples[head]), default="")
    if not path or not _stems(places, table.samples[path]):
        path = next((head for head in table.heads if _looks_like_paths(table.samples[head])), path)
    return path


def _paths(root: Path, cells: list[str]) -> int:
    """How many of the cells name a file."""
    found = 0
    for cell in cells:
        try:
            found += bool(cell.strip()) and (root / cell.strip().replace("\\", "/")).is_file()
        except (OSError, ValueError):
            continue
    return found


def _stems(places: Places, cells: list[str]) -> int:
    """How many of the cells name a file, with its suffix or without."""
    return sum(places.has(cell) for cell in cells)


def _looks_like_paths(cells: list[str]) -> bool:
    return any(Path(cell.strip().replace("\\", "/")).suffix.lower() in PICTURE_SUFFIXES for cell in cells)


def _labels(table: Table, heads: list[str]) -> tuple[tuple[str, ...], str]:
    """(the columns of labels, the kind of labels)."""
    named = [head for head in heads if _LABEL.search(head)]
    if len(named) == 1 and says_that_there_is_none(named[0]):
        named = []  # of findings, which are a column each
    findings = [head for head in named or heads if _are_findings(table.samples[head])]
    if named and (len(named) == 1 or len(findings) < len(named)):
        return (named[0],), "single"
    if len(findings) > 1:
        rows = list(zip(*(table.samples[head] for head in findings), strict=True))
        one_each = all([cell.strip() in ("1", "1.0") for cell in row].count(True) == 1 for row in rows)
        return tuple(findings), "single" if one_each else "multi"
    few = [head for head in heads if 2 <= len(set(table.samples[head])) <= _MOST_CLASSES]
    few = [head for head in few if not column_looks_like(head, table.samples[head])]
    few.sort(key=lambda head: len(set(table.samples[head])))
    return tuple(few[:1]), "single"


def _holds_reports(head: str, cells: list[str]) -> bool:
    """Whether a column plainly holds reports: texts of some words, and not the same few again and again."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    if not filled or not (_REPORT.search(head) or _LABEL.search(head)):
        return False
    average = sum(len(list(words(cell))) for cell in filled) / len(filled)
    if _REPORT.search(head):
        return average >= _LEAST_WORDS
    return average >= _LEAST_WORDS_OF_ANY and 2 * len(set(filled)) > len(filled) > 1


def _are_findings(cells: list[str]) -> bool:
    values = {cell.strip() for cell in cells}
    return bool(values & {"0", "1", "0.0", "1.0"}) and values <= {"0", "1", "-1", "0.0", "1.0", "-1.0", ""}
