"""The lines of the hospital's log: one for each event, whatever callers sent. The log stays in the hospital."""

from __future__ import annotations

import logging
from typing import Any

from policies.untrusted_text import shown

_MOST_IN_A_LINE = 4000


class LineFormatter(logging.Formatter):
    """An event is one line, a traceback's lines are set in below it: nothing that is logged can pass for an event."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The event's line."""
        return shown(super().formatMessage(record), most=_MOST_IN_A_LINE)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """A traceback, set in."""
        return _set_in(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """A stack, set in."""
        return _set_in(super().formatStack(stack_info))


def _set_in(text: str) -> str:
    return "\n".join(f"  | {shown(line, most=_MOST_IN_A_LINE)}" for line in text.split("\n"))
