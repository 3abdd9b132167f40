"""Printing of tables and colours: every text in them goes through `shown`; none is read as markup or obeyed.

The one place that makes rich's texts, tables and consoles. Colour comes from `line` alone, never from within a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.status import Status
from rich.table import Table
from rich.text import Text

from policies.terminal.printing import MOST_IN_A_LINE
from policies.untrusted_text import shown

# A longer word, such as a digest or a path, is folded like a text; so are further ones where there is no room for them.
MOST_IN_A_WORD, LEAST_IN_A_WORD = 40, 8
MOST_IN_A_SHORT_CELL = 12
MOST_IN_A_CELL = 2000  # as long as the longest text that a plan can hold: the purpose in its statement


def line(*parts: str | tuple[str, str]) -> Text:
    """A text made of parts; a pair is a part and its style."""
    pairs = ((part, "") if isinstance(part, str) else part for part in parts)
    return Text.assemble(*((shown(text, most=MOST_IN_A_LINE), style) for text, style in pairs))


class PlainTable:
    """A table of texts. Where the terminal is narrow texts are broken between words, so that identifiers stay whole.

    Attributes:
        row_count: How many rows it has.
    """

    def __init__(self, *columns: str, spare: Sequence[str] = (), elsewhere: str = "") -> None:
        """A table without rows.

        Args:
            columns: Their headings.
            spare: Headings of columns that are left out where there is no room for the others' words, the first first;
                below the table it is said which.
            elsewhere: The option that tells all columns, if there is one.
        """
        self._headings, self._spare, self._elsewhere = columns, spare, elsewhere
        self._rows: list[tuple[Any, ...]] = []

    def add_row(self, *cells: Any) -> None:
        """Adds a row, its texts shown."""
        self._rows.append(tuple(map(_cell, cells)))

    @property
    def row_count(self) -> int:
        """How many rows it has."""
        return len(self._rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        """The table as it fits into the terminal: whole, else with less between its columns, else with fewer."""
        columns = [
            _Column(heading, _cell(heading), [row[index] if index < len(row) else "" for row in self._rows])
            for index, heading in enumerate(self._headings)
        ]
        unbroken = [max(column.least, column.whole) for column in columns]
        tight = _breadth(unbroken, tight=False) > options.max_width
        left_out = []
        for spare in self._spare:
            if _breadth((column.least for column in columns), tight=tight) <= options.max_width:
                break
            left_out += [column.heading for column in columns if column.heading == spare]
            columns = [column for column in columns if column.heading != spare]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=not tight, padding=(0, 1, 0, 0 if tight else 1))
        for column, width in zip(columns, _widths(columns, options.max_width, tight=tight), strict=True):
            table.add_column(column.head, overflow="fold", width=width)
        for index in range(len(self._rows)):
            table.add_row(*(column.cells[index] for column in columns))
        yield table
        if left_out:
            one = len(left_out) == 1
            told = f"{self._elsewhere} tells {'it' if one else 'them'}, and so does" if self._elsewhere else ""
            told = told or ("It stands in" if one else "They stand in")
            yield line(f"No room for the column{'' if one else 's'} {', '.join(left_out)}. {told} a wider terminal.")


class PlainPairs(Table):
    """Names and texts beside them, without a frame."""

    def __init__(self) -> None:
        super().__init__(box=None, show_header=False, pad_edge=False)
        self.add_column(no_wrap=True, min_width=18)
        self.add_column(overflow="fold")

    def add_row(self, *cells: Any, **form: Any) -> None:
        """Adds a name, dimmed, and its text."""
        name, text = cells
        super().add_row(line((name, "dim")), _cell(text), **form)


class PlainConsole(Console):
    """A terminal that is told texts."""

    def print(self, *objects: Any, **form: Any) -> None:
        """Prints objects, the texts among them shown."""
        super().print(*map(_plain, objects), **form)

    def rule(self, title: Any = "", **form: Any) -> None:
        """Prints a heading across the terminal."""
        super().rule(line((title, "bold")) if isinstance(title, str) else title, **{"align": "left", **form})

    def status(self, status: Any, **form: Any) -> Status:
        """Shows what is waited for, while it is."""
        return super().status(_plain(status), **form)


class _Column:
    """A column, with the widths that it can have: of its longest word, of its cells where they are short, of all."""

    def __init__(self, heading: str, head: Any, cells: list[Any]) -> None:
        self.heading, self.head, self.cells = heading, head, cells
        lines = [one for cell in (head, *cells) for one in str(cell).splitlines()]
        words = [word for one in lines for word in one.split()]
        self.word = max(map(cell_len, words), default=1)
        self.least = min(self.word, MOST_IN_A_WORD)
        self.most = max(map(cell_len, lines), default=1)
        longest = max((cell_len(one) for cell in cells for one in str(cell).splitlines()), default=1)
        self.whole = longest if longest <= MOST_IN_A_SHORT_CELL else 0


def _widths(columns: Sequence[_Column], room: int, *, tight: bool) -> list[int | None]:
    """Each column's width; None where rich may choose: all cells fit into the room, or not even short words do."""
    if _breadth((column.most for column in columns), tight=tight) <= room:
        return [None] * len(columns)
    for most in range(MOST_IN_A_WORD, LEAST_IN_A_WORD - 1, -1):
        widths = [min(column.word, most) for column in columns]
        if _breadth(widths, tight=tight) <= room:
            break
    else:
        return [None] * len(columns)
    for index, column in enumerate(columns):  # what is short stays in one line, such as a number and its unit
        widths[index] += min(max(column.whole - widths[index], 0), room - _breadth(widths, tight=tight))
    for _ in range(room - _breadth(widths, tight=tight)):  # to the column that is furthest from what it could use
        lacks = [column.most - width for column, width in zip(columns, widths, strict=True)]
        widths[lacks.index(max(lacks))] += 1
    return list(widths)


def _breadth(widths: Iterable[int], *, tight: bool) -> int:
    """How wide rich makes a table of such columns: a space on either side of each, between two, and at both ends;
    where it is tight two spaces between two.
    """
    widths = list(widths)
    if tight:
        return sum(widths) + 2 * (len(widths) - 1)
    return sum(widths) + 3 * len(widths) + 1


def _cell(value: Any) -> Any:
    return line(shown(value, most=MOST_IN_A_CELL)) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    return line(value) if isinstance(value, str) else value
