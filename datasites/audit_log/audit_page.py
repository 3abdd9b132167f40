"""A page of the audit log, as the console and the terminal show it. It stays in the hospital."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AuditRow:
    """One event of the audit log.

    Attributes:
        line: Which line of the log it is, from 1.
        time: When, UTC.
        event: What happened.
        by: Who did it, as far as the event says.
        details: What else it says.
        hash: Its own, which the next event carries.
    """

    line: int
    time: str
    event: str
    by: str
    details: Mapping[str, Any]
    hash: str


@dataclass(frozen=True)
class AuditPage:
    """Some events, the newest first, and what to ask for the next page with; None where this is the last."""

    rows: tuple[AuditRow, ...]
    next: int | None
