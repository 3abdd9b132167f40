"""A table's column that says which part of a data set each picture is of: pictures to measure models on stay out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.splits import parts_among
from policies.errors import DataError

_HEAD = re.compile(
    r"(?:data|train)?[ _-]?(?:splits?|sub[ _-]?set|set|partition|usage|phase)|train[ _/-]?(?:val|test)[ _/-]?(?:test)?|"
    r"folds?|partici[oó]n|parti[cç][aã]o|partizione|conjunto|ensemble|insieme|划分|数据集|数据划分|子集",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(
    r"(?:is|in)[ _-]?(?:the[ _-]?)?(?:train(?:ing)?|test(?:ing)?|val(?:idation)?|h[oe]ld[ _-]?out)(?:[ _-]?set)?",
    re.IGNORECASE,
)
_YES, _NO = {"1", "1.0", "true", "t", "yes", "y", "是"}, {"0", "0.0", "false", "f", "no", "n", "否"}


def is_of_parts(head: str) -> bool:
    """Whether a column of this name may say the part of a data set."""
    return any(named.fullmatch(head.strip()) for named in (_HEAD, _YES_OR_NO))


def refuse_parts(columns: Mapping[str, Sequence[str]], settings: DatasetSettings) -> None:
    """Refuses rows of several parts, where the settings name neither one of them nor the column.

    Args:
        columns: Of a table, each with all of its cells.
        settings: The dataset's.

    Raises:
        DataError: With the column and its parts in private.
    """
    for head, parts in parts_in(columns, settings):
        raise DataError(
            "The table has a column that says which part of a data set each picture is of, and has rows of several "
            "parts. Name the column as site_column and the part to train on as site, or give a table of that part "
            "alone, and keep the others to measure models on (--test). If all are to be trained on, name the "
            "column in safe_columns.",
            private=f"Column {head}: {', '.join(parts)}",
        )


def parts_in(columns: Mapping[str, Sequence[str]], settings: DatasetSettings) -> Iterator[tuple[str, list[str]]]:
    """Columns whose cells are several parts of a data set and that the settings do not name, each with its parts."""
    for head, cells in columns.items():
        if not is_of_parts(head) or head in (settings.site_column, *settings.label_columns, *settings.safe_columns):
            continue
        values = {cell.strip() for cell in cells}
        if parts := _parts(head, values):
            yield head, parts


def _parts(head: str, values: set[str]) -> list[str]:
    """Of a column's values those that are parts: by their names, or yes and no where the column's asks for a part."""
    if _YES_OR_NO.fullmatch(head.strip()):
        lower = {value.lower() for value in values} - {""}
        return sorted(values - {""}) if lower & _YES and lower & _NO and lower <= _YES | _NO else []
    return list(parts_among(values))
