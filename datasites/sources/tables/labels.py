"""From a row's cells to its labels: one class, or 0, 1 or unknown for each finding. Names of classes become public."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from datasites.sources.class_names import check_class_names, in_label_order, refuse_alike_classes
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.levels import one_form
from datasites.sources.listing import UNKNOWN
from datasites.sources.not_filled_in import is_not_filled_in
from datasites.sources.tables.found_classes import refuse_unlikely_classes
from datasites.sources.tables.problems import CONTRADICTS, NO_FINDING, NO_LABEL, NOT_FILLED_IN, NOT_ONE, UNDECLARED
from policies.errors import ConfigError

_NUMBERS = {"0": 0, "0.0": 0, "false": 0, "no": 0, "1": 1, "1.0": 1, "true": 1, "yes": 1}


class RowLabels:
    """How the cells of one table's rows are read.

    Args:
        settings: Which columns hold labels, and what the cells say.
        rows: The cells of these columns, of all rows that the classes come from.

    Raises:
        ConfigError: The columns and class_names do not go together.
        DataError: The class names cannot be published.
    """

    def __init__(self, settings: DatasetSettings, rows: Iterable[Sequence[str]]) -> None:
        self._columns, self._multi = settings.label_columns, settings.label_kind == "multi"
        self._separator, self._none = settings.label_separator, one_form(settings.no_finding)
        self._unknown = frozenset(map(one_form, settings.unknown_values))
        given = tuple(map(one_form, settings.class_names))
        columns = tuple(map(one_form, self._columns))
        if self._separator and not self._multi:
            raise ConfigError("label_separator is for several findings in one cell: set label_kind to 'multi' with it.")
        if len(columns) > 1 and given != columns and sorted(given) == sorted(columns):
            raise ConfigError(
                "class_names name the columns of label_columns in another order, so that each would be called as "
                "another one is. Give both in one order."
            )
        if len(self._columns) > 1:
            if given and len(given) != len(self._columns):
                raise ConfigError("class_names must name as many classes as label_columns has columns, in their order.")
            found = list(given or self._columns)
        elif self._multi and not self._separator:
            raise ConfigError(
                "label_kind 'multi' needs a column for each finding in label_columns, or label_separator for findings "
                "that stand in one column."
            )
        else:
            found = list(given) or self._found({name for row in rows for name in self._names(row[0])})
        self.class_names = check_class_names(found)
        self._number = {name: number for number, name in enumerate(self.class_names)}

    def of(self, cells: Sequence[str]) -> tuple[int, ...] | tuple[str, str]:
        """One row's labels; or what is wrong with them, and the cell."""
        if len(self._columns) > 1:
            return self._of_columns([one_form(cell.strip()) for cell in cells])
        text, names = one_form(cells[0].strip()), self._names(cells[0])
        if self._multi and names and self._none in (one.strip() for one in text.split(self._separator)):
            return CONTRADICTS, cells[0]
        if self._multi and not names and text in self._unknown:
            return (UNKNOWN,) * len(self.class_names)
        if not names and not (self._multi and text == self._none):
            return NO_LABEL, ""
        if unknown := [name for name in names if name not in self._number]:
            return NOT_FILLED_IN if is_not_filled_in(unknown[0]) else UNDECLARED, unknown[0]
        if not self._multi:
            return (self._number[names[0]],)
        return tuple(int(name in names) for name in self.class_names)

    def _found(self, names: set[str]) -> list[str]:
        """The classes or findings that stand in the column, in label order."""
        names = {name for name in names if not is_not_filled_in(name)}
        refuse_alike_classes({*names, self._none} if self._multi else names)
        refuse_unlikely_classes(names, multi=self._multi)
        return in_label_order(names)

    def _names(self, cell: str) -> list[str]:
        text = one_form(cell.strip())
        if not self._multi:
            return [text] if text else []
        found = [one.strip() for one in text.split(self._separator)]
        return [one for one in found if one and one != self._none and one not in self._unknown]

    def _of_columns(self, cells: Sequence[str]) -> tuple[int, ...] | tuple[str, str]:
        numbers = []
        for cell in cells:
            if cell.lower() in _NUMBERS:
                numbers.append(_NUMBERS[cell.lower()])
            elif self._multi and cell in self._unknown:
                numbers.append(UNKNOWN)
            else:
                return NO_FINDING, cell
        if self._multi:
            return tuple(numbers)
        return (numbers.index(1),) if sum(numbers) == 1 else (NOT_ONE, " ".join(cells))
