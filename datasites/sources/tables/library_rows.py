"""Rows of a table that a library reads, and their cells as the texts that stand there. All private."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from policies.errors import DataError

_ROUNDED_FROM = 1e15  # a number of more digits is one that a spreadsheet keeps the first 15 of
Rows = Iterator[tuple[int, Sequence[str]]]
"""Where each row stands in the file, from 1, and its cells."""


def of_another_program() -> DataError:
    """The refusal of a table in a form that is not read."""
    return DataError(
        "The table is a file of SPSS, SAS, Stata, LibreOffice or the web, a binary one, or packed. Export it as CSV in "
        "UTF-8, or as .xlsx."
    )


def read_by(opened: Callable[[], Any], rows: Callable[[Any], Rows], file: Path) -> list[tuple[int, Sequence[str]]]:
    """All rows of a file that a library reads.

    Raises:
        DataError: It cannot. The library's words stay private.
    """
    try:
        book = opened()
        try:
            return list(rows(book))
        finally:
            book.close()
    except DataError:
        raise
    except Exception as error:  # whatever the libraries make of a file that they do not expect
        raise DataError(
            "The table is damaged, or not what its first bytes say. Save it anew.",
            private=f"{file}: {type(error).__name__}: {error}",
        ) from error


def cell_text(value: Any) -> str:
    """A cell as the text that stands there."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value)) if abs(value) < _ROUNDED_FROM else f"{value:.14E}"
        return "" if value != value else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise DataError("A cell of the table holds bytes that are no text. Name a column of texts.") from None
    if is_nested(value):
        raise DataError("A cell of the table holds several values. Write each into a column of its own.")
    return str(value)


def is_nested(value: Any) -> bool:
    """Whether a cell holds several values, or others within."""
    return isinstance(value, list | tuple | dict)
