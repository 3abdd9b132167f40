"""Reads a table's columns as texts, whatever it was saved as: no cell becomes a number or a date. All private."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasites.sources.tables.encoding import text_of
from datasites.sources.tables.library_rows import Rows, cell_text, is_nested, of_another_program, read_by
from datasites.sources.tables.part_column import is_of_parts
from datasites.sources.tables.workbook import workbook_rows
from policies.errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".xlsx", ".xlsm", ".xls")
OTHER_TABLES = (".ods", ".xlsb", ".sav", ".zsav", ".dta", ".sas7bdat", ".xpt", ".json", ".feather", ".arrow")
"""Those of other programs, which are refused by name."""
_SAMPLE = 200
_FEW, _SHORT = 64, 100  # cells of a column that are different, characters of one
_TEXT_FORMULA = re.compile(r'="((?:[^"]|"")*)"')
_BEGINNING = 96  # bytes
_OF_ANOTHER = re.compile(
    rb"\$FL[23]@|HEADER RECORD\*|<stata_dta>|[rs][\x01\x02]\x01\x00|\x00{12}\xc2\xea\x81\x60|"
    rb"\x1f\x8b|BZh[1-9]1AY|\xfd7zXZ\0|\x28\xb5\x2f\xfd|ARROW1|FEA1|"
    rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis|"
    rb"(?:\xef\xbb\xbf)?\s*(?:<(?:!doctype|html|table|\?xml)\b|\[\s*[\[{]|\{\s*\")",
    re.DOTALL | re.IGNORECASE,
)
_DELIMITERS = ",;\t|"
_MOST_IN_A_CELL = 1 << 20  # characters


@dataclass(frozen=True, repr=False)
class Table:
    """A table's columns.

    Attributes:
        heads: The names of all columns.
        lines: Where each row stands in the file, from 1.
        columns: The cells of the columns that were asked for.
        values: The name and the different cells, without spaces around, of each column that has few and short ones or
            that by its name may tell parts of a data set apart.
        samples: The first cells of every column.
    """

    heads: tuple[str, ...]
    lines: list[int]
    columns: dict[str, list[str]]
    values: list[tuple[str, set[str]]]
    samples: dict[str, list[str]]


def read_table(file: Path, wanted: Collection[str], encoding: str = "auto", sheet: str = "") -> Table:
    """Reads the columns that are wanted and there.

    Args:
        file: CSV or TSV with any of `,`, `;`, tab or `|` between cells, Parquet, or a sheet of an XLSX.
        wanted: Names of columns.
        encoding: Of a CSV or TSV; see `text_of`.
        sheet: Which of an XLSX; empty takes the one that has the wanted columns.

    Raises:
        DataError: Not a table of one of these kinds, two columns of one name, or a row that is longer or shorter than
            the first, or several sheets could be meant. The public text holds nothing of it, the private one the number
            of the line, or the sheets.
    """
    try:
        with file.open("rb") as stream:
            begins = stream.read(_BEGINNING)
        first = begins[:4]
        if _OF_ANOTHER.match(begins):
            raise of_another_program()
        if first == b"PAR1":
            rows = _parquet(file, wanted)
        elif first == b"PK\x03\x04":
            rows = workbook_rows(file, wanted, sheet)
        elif first == b"\xd0\xcf\x11\xe0":
            raise DataError("The table is an Excel file of the older kind. Save it as .xlsx or as CSV in UTF-8.")
        else:
            rows = _separated(text_of(file.read_bytes(), encoding), wanted)
        return _table(rows, wanted)
    except OSError as error:
        raise DataError("The table cannot be read. Check its path and rights.", private=str(error)) from error
    except csv.Error as error:
        if "field larger" in str(error):
            raise DataError(
                f"A cell of the table holds more than {_MOST_IN_A_CELL:,} characters, or a quote before it is not "
                "closed. Shorten it, or save the table anew.",
                private=str(file),
            ) from None
        raise DataError(
            "The table does not read as one: a quote is not closed, or stands within a cell. Save it anew.",
            private=f"{file}: {error}",
        ) from None


def _table(rows: Rows, wanted: Collection[str]) -> Table:
    _, head = next(rows, (1, ()))
    heads = tuple(one.strip() for one in head)
    if not any(heads):
        raise DataError("The table must name its columns in its first line, which is empty. Write their names there.")
    if twice := sorted({one for one in heads if one in wanted and heads.count(one) > 1}):
        raise DataError(f"The table has two columns {twice[0]!r}. Rename one.")
    kept = [(place, name) for place, name in enumerate(heads) if name in wanted]
    values = _Values(heads)
    table = Table(heads, [], {name: [] for _, name in kept}, values.found, {name: [] for name in heads})
    for line, row in rows:
        if not any(row):
            continue
        if len(row) < len(heads) or any(row[len(heads) :]):
            raise DataError(
                "Every row of the table must have as many cells as its first line, which names the columns; one has "
                "not. Take titles above the names out, and quote cells that hold the separator.",
                private=f"Line {line} has {len(row)} cells, the first has {len(heads)}.",
            )
        if len(table.lines) < _SAMPLE:
            for name, cell in zip(heads, row, strict=False):
                table.samples[name].append(cell)
        table.lines.append(line)
        values.add(row)
        for place, name in kept:
            table.columns[name].append(row[place])
    if not table.lines:
        raise DataError("The table must have a row for each picture, it has none below its first line.")
    values.close()
    return table


class _Values:
    """The different cells of columns, while rows are read; `found` has them once it is closed."""

    def __init__(self, heads: Sequence[str]) -> None:
        self.found: list[tuple[str, set[str]]] = []
        self._heads = heads
        self._cells: dict[int, set[str]] = {place: set() for place in range(len(heads))}
        self._wholly = {place for place, head in enumerate(heads) if is_of_parts(head)}

    def add(self, row: Sequence[str]) -> None:
        """Takes a row. A column that has many different cells, or a long one, is not looked at any more."""
        many = []
        for place, cells in self._cells.items():
            if (cell := row[place]) not in cells:
                cells.add(cell)
                if (len(cells) > _FEW or len(cell) > _SHORT) and place not in self._wholly:
                    many.append(place)
        for place in many:
            del self._cells[place]

    def close(self) -> None:
        """Notes what is found; spaces around a cell say nothing."""
        self.found += [(self._heads[place], {cell.strip() for cell in cells}) for place, cells in self._cells.items()]


def _separated(text: str, wanted: Collection[str]) -> Rows:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    before = 0
    if lines[:4].lower() == "sep=":  # which Excel writes and reads
        lines, before = lines.partition("\n")[2], 1
    head = lines.lstrip("\n").partition("\n")[0]
    between = max(_DELIMITERS, key=lambda one: _fit(next(csv.reader([head], delimiter=one), []), wanted))
    limit = csv.field_size_limit(_MOST_IN_A_CELL)
    try:
        reader = csv.reader(io.StringIO(lines), delimiter=between, strict=True)
        for row in reader:
            yield reader.line_num + before, [_as_shown(cell) for cell in row]
    finally:
        csv.field_size_limit(limit)


def _as_shown(cell: str) -> str:
    """A cell as a spreadsheet shows it, where it is a formula of nothing but a text: `="0012"`, which keeps zeros."""
    text = _TEXT_FORMULA.fullmatch(cell.strip())
    return text[1].replace('""', '"') if text else cell


def _fit(head: Sequence[str], wanted: Collection[str]) -> tuple[int, int]:
    return sum(one.strip() in wanted for one in head), len(head)


def _parquet(file: Path, wanted: Collection[str]) -> Rows:
    from pyarrow import parquet

    def rows(table: Any) -> Rows:
        names = table.schema_arrow.names
        yield 1, names
        line = 1
        for batch in table.iter_batches():
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                line += 1
                yield line, [_shown(value, name in wanted) for name, value in zip(names, cells, strict=True)]

    return iter(read_by(lambda: parquet.ParquetFile(file), rows, file))


def _shown(value: Any, is_wanted: bool) -> str:
    """A cell's text. Bytes and several values, as of pictures and boxes, are none: they matter where wanted."""
    return "" if not is_wanted and (isinstance(value, bytes) or is_nested(value)) else cell_text(value)
