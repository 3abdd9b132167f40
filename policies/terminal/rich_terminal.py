"""Printing of tables and colours: every text in them goes through `shown`; none is read as markup or obeyed.

The one place that makes rich's texts, tables and consoles. Colour comes from `line` alone, never from within a text.
"""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from policies.terminal.printing import MOST_IN_A_LINE
from policies.untrusted_text import shown

MOST_IN_A_CELL = 2000  # as long as the longest text that a plan can hold: the purpose in its statement


def line(*parts: str | tuple[str, str]) -> Text:
    """A text made of parts; a pair is a part and its style."""
    pairs = ((part, "") if isinstance(part, str) else part for part in parts)
    return Text.assemble(*((shown(text, most=MOST_IN_A_LINE), style) for text, style in pairs))


class PlainTable(Table):
    """A table of texts. Long ones are folded."""

    def __init__(self, *columns: str, **form: Any) -> None:
        super().__init__(**{"box": box.SIMPLE_HEAD, "pad_edge": False, **form})
        for column in columns:
            self.add_column(_cell(column), overflow="fold")

    def add_row(self, *cells: Any, **form: Any) -> None:
        """Adds a row, its texts shown."""
        super().add_row(*map(_cell, cells), **form)


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


def _cell(value: Any) -> Any:
    return line(shown(value, most=MOST_IN_A_CELL)) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    return line(value) if isinstance(value, str) else value
