"""The end of a hospital's canary, as a study's folder keeps it: whether it passed, when that was told, and why not."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from policies.untrusted_text import shown

_MOST = 2000


@dataclass(frozen=True)
class CanaryEnd:
    """How a hospital's canary ended.

    Attributes:
        passed: Whether it did.
        at: When the hospital told so first, in UTC.
        reason: Why it failed, as the hospital told it with its code; empty where it passed.
    """

    passed: bool
    at: str
    reason: str = ""

    @classmethod
    def now(cls, reason: str = "") -> Self:
        """One that has just ended; it passed if there is no reason."""
        return cls(not reason, datetime.now(UTC).isoformat(timespec="seconds"), reason)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """It from a file's plain values.

        Raises:
            KeyError: One is missing.
            TypeError: They are none.
        """
        return cls(values["passed"] is True, shown(str(values["at"])), shown(str(values["reason"]), most=_MOST))

    def told(self) -> str:
        """It in a line: `passed (2026-11-29)`, `failed (2026-11-29): WW501: ...`."""
        reason = self.reason.strip(" :")
        return f"{'passed' if self.passed else 'failed'} ({self.at[:10]}){reason and f': {reason}'}"


def canary_ends(values: object) -> dict[str, CanaryEnd]:
    """Datasite → how its canary ended, from a file's plain values; without those that cannot be read.

    They are told, and decide nothing: a study goes on without them.
    """
    found = {}
    for name, end in values.items() if isinstance(values, Mapping) else ():
        with contextlib.suppress(KeyError, TypeError):
            found[str(name)] = CanaryEnd.of(end)
    return found
