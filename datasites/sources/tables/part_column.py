"""A table's column that says which part of a data set each picture is of: pictures to measure models on stay out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.splits import are_parts, parts_among
from datasites.sources.not_filled_in import is_nobody, is_not_filled_in
from policies.errors import DataError

_HEAD = re.compile(
    r"(?:data|train)?[ _-]?(?:splits?|sub[ _-]?set|set|partition|usage|phase)|train[ _/-]?(?:val|test)[ _/-]?(?:test)?|"
    r"folds?|partici[oó]n|parti[cç][aã]o|partizione|conjunto|ensemble|insieme|划分|数据集|数据划分|子集",
    re.IGNORECASE,
)
_FOLDS = re.compile(r"folds?", re.IGNORECASE)  # whose numbers are of a cross-validation
_NUMBER = re.compile(r"-?\d+(?:\.0+)?")
_NUMBERED_PARTS = (2, 3)
_YES_OR_NO = re.compile(
    r"(?:is|in)[ _-]?(?:the[ _-]?)?(?:train(?:ing)?|test(?:ing)?|val(?:idation)?|h[oe]ld[ _-]?out)(?:[ _-]?set)?",
    re.IGNORECASE,
)
_YES, _NO = {"1", "1.0", "true", "t", "yes", "y", "是"}, {"0", "0.0", "false", "f", "no", "n", "否"}


def is_of_parts(head: str) -> bool:
    """Whether a column of this name may say the part of a data set, in whatever words or numbers."""
    return any(named.fullmatch(head.strip()) for named in (_HEAD, _YES_OR_NO))


def refuse_parts(values: Iterable[tuple[str, Collection[str]]], settings: DatasetSettings) -> None:
    """Refuses rows of several parts, where the settings name neither one of them nor the column.

    Args:
        values: Of a table's columns, as `Table` has them.
        settings: The dataset's.

    Raises:
        DataError: With the column and its parts in private.
    """
    for head, parts in parts_in(values, settings):
        raise DataError(
            "The table has a column that seems to say which part of a data set each picture is of, and has rows of "
            "several parts. Name the column as site_column and the part to train on as site, or give a table of that "
            "part alone, and keep the others to measure models on (--test). If all are to be trained on, name the "
            "column in safe_columns.",
            private=f"Column {head}: {', '.join(parts)}",
        )


def parts_in(
    values: Iterable[tuple[str, Collection[str]]], settings: DatasetSettings
) -> Iterator[tuple[str, list[str]]]:
    """Columns that hold several parts of a data set and that the settings do not name, each with its parts.

    Such are columns of any name in which nothing but names of parts stands, one to train on and one not; and columns
    whose name is one of parts, with names, yes and no, or two or three numbers in them.
    """
    site = (settings.site_column,) if settings.site_column else ()  # a column may have no name
    for head, cells in values:
        if head in (*site, *settings.label_columns, *settings.safe_columns):
            continue
        filled = {cell for cell in cells if cell and not is_not_filled_in(cell) and not is_nobody(cell)}
        if parts := _parts(head, filled):
            yield head, parts


def _parts(head: str, values: set[str]) -> list[str]:
    """Of a column's values those that are parts; none where the column is of something else."""
    if are_parts(values):
        return sorted(values)
    if _YES_OR_NO.fullmatch(head.strip()):
        lower = {value.lower() for value in values}
        return sorted(values) if lower & _YES and lower & _NO and lower <= _YES | _NO else []
    if not _HEAD.fullmatch(head.strip()):
        return []
    if values and all(map(_NUMBER.fullmatch, values)) and not _FOLDS.fullmatch(head.strip()):
        return sorted(values) if len(set(map(float, values))) in _NUMBERED_PARTS else []
    return list(parts_among(values))
