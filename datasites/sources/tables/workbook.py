"""Reads a sheet of a workbook. What its program shows to nobody, or has not saved, is refused. All private."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from datasites.sources.tables.library_rows import Rows, cell_text, of_another_program, read_by
from policies.errors import DataError

MOST_UNPACKED = 1 << 29  # bytes of a workbook
_PLACE = re.compile(r"([A-Z]+)([0-9]+)")
_CONTROL = re.compile(r"_x(00[01][0-9A-Fa-f])_")  # as a workbook writes a carriage return
_NAMED = 5


def workbook_rows(file: Path, wanted: Collection[str], named: str) -> Rows:
    """The rows of one sheet.

    Args:
        file: XLSX.
        wanted: Names of columns; where none are, nothing is said of what a program does not show.
        named: The sheet; empty takes the one that has the wanted columns.

    Raises:
        DataError: It cannot be read, several sheets could be meant, or rows and cells that count are hidden, merged or
            formulas without a value. The public text holds nothing of it.
    """
    from openpyxl import load_workbook  # late, as below: few tables are of this kind

    def opened() -> Any:
        content = io.BytesIO(file.read_bytes())
        with zipfile.ZipFile(content) as packed:
            unpacked, names = sum(part.file_size for part in packed.infolist()), packed.namelist()
        if "[Content_Types].xml" not in names or "xl/workbook.bin" in names:
            raise of_another_program()
        if unpacked > MOST_UNPACKED:
            raise DataError(
                f"The table unpacks to more than {MOST_UNPACKED >> 20} MB. Save it as CSV in UTF-8, or as Parquet."
            )
        return load_workbook(content, read_only=True, data_only=True)

    def rows(book: Any) -> Rows:
        sheet = _chosen(book, wanted, named)
        if wanted:
            _refuse_unseen(book, sheet, wanted)
        for line, row in enumerate(sheet.iter_rows(values_only=True), start=1):
            cells = [_CONTROL.sub(lambda found: chr(int(found[1], 16)), cell_text(value)) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            yield line, cells

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parts of a workbook that hold no cell
        found = read_by(opened, rows, file)
    width = len(found[0][1]) if found else 0
    return ((line, (*cells, *[""] * (width - len(cells)))) for line, cells in found)


def _chosen(book: Any, wanted: Collection[str], named: str) -> Any:
    """The sheet of this name; without one the only sheet with the wanted columns, or the first where none has them.

    Raises:
        DataError: There is none of this name, or several have the columns.
    """
    sheets = list(book.worksheets)
    for sheet in sheets:
        sheet.reset_dimensions()
    listed = f"The sheets are {', '.join(repr(sheet.title) for sheet in sheets)}."
    if named:
        found = [sheet for sheet in sheets if sheet.title == named]
        if not found:
            raise DataError("The table must have the sheet that table_sheet names, it has not.", private=listed)
        return found[0]
    found = [sheet for sheet in sheets if len(sheets) == 1 or (wanted and set(wanted) <= _heads(sheet))]
    if len(found) > 1:
        raise DataError(
            "The table has several sheets with the columns that [dataset] names. Set table_sheet to the one that is "
            "meant.",
            private=listed,
        )
    return (found or sheets)[0]


def _heads(sheet: Any) -> set[str]:
    return {cell_text(value).strip() for row in sheet.iter_rows(max_row=1, values_only=True) for value in row}


def _refuse_unseen(book: Any, sheet: Any, wanted: Collection[str]) -> None:
    """Refuses a sheet whose cells are not what a person sees in it: each would be read as another thing, or as empty.

    Raises:
        DataError: Rows are hidden; cells of wanted columns are merged with those below, or formulas without a value.
    """
    head = next(sheet.iter_rows(max_row=1, values_only=True), ())
    columns = {place for place, value in enumerate(head, start=1) if cell_text(value).strip() in wanted}
    hidden, merged, empty = list[str](), list[str](), list[str]()
    with book._archive.open(sheet._worksheet_path) as stream:
        for tag, part in _parts(stream):
            if tag == "row":
                if part.get("hidden") in ("1", "true") and any(len(cell) for cell in part):
                    hidden.append(part.get("r", "?"))
                empty += [cell.get("r", "?") for cell in part if _column(cell) in columns and _is_unsaved(cell)]
            if tag == "mergeCell" and (over := _merged_below(part.get("ref", ""), columns)):
                merged.append(over)
    if hidden:
        raise DataError(
            "The sheet has hidden rows, as a filter leaves them, and nothing says whether they are meant. Show all "
            "rows, and delete those that are not.",
            private=f"Rows: {_first(hidden)}.",
        )
    if merged:
        raise DataError(
            "The sheet has merged cells: all but the first of them are read as empty. Split them, and fill each row.",
            private=f"Cells: {_first(merged)}.",
        )
    if empty:
        raise DataError(
            "The sheet has formulas whose values are not saved. Open it in a spreadsheet program and save it, or save "
            "it as CSV in UTF-8.",
            private=f"Cells: {_first(empty)}.",
        )


def _parts(stream: Any) -> Iterator[tuple[str, Any]]:
    """The rows and merged places of a sheet's XML, each of which is forgotten afterwards."""
    for _, part in ElementTree.iterparse(stream):  # noqa: S314 - bounded by MOST_UNPACKED; expat bounds entities
        tag = part.tag.rpartition("}")[2]
        if tag in ("row", "mergeCell"):
            yield tag, part
            part.clear()


def _column(cell: Any) -> int:
    from openpyxl.utils import column_index_from_string

    place = _PLACE.fullmatch(cell.get("r", ""))
    return column_index_from_string(place[1]) if place else 0


def _is_unsaved(cell: Any) -> bool:
    """Whether a cell is a formula without a value; a formula may have an empty text as its value."""
    return cell.find("{*}f") is not None and cell.get("t") != "str" and not cell.findtext("{*}v")


def _merged_below(place: str, columns: set[int]) -> str:
    """The place, where it has a wanted column and more than one row below the first."""
    from openpyxl.utils import range_boundaries

    left, top, right, bottom = range_boundaries(place)
    return place if bottom > max(top, 1) and columns & set(range(left, right + 1)) else ""


def _first(places: list[str]) -> str:
    return ", ".join([*places[:_NAMED], *["..."][: len(places) > _NAMED]])
