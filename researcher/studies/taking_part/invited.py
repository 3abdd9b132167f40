"""A hospital that came to a study after it was submitted: when it was asked, as the study's folder keeps it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from policies.untrusted_text import shown


@dataclass(frozen=True)
class Invited:
    """When a hospital was asked for a study's plan that others had been asked for before.

    Attributes:
        after_round: How many rounds were done then.
        at: In UTC.
    """

    after_round: int
    at: str

    @classmethod
    def now(cls, after_round: int) -> Self:
        """One that is asked now."""
        return cls(after_round, datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """It from a file's plain values.

        Raises:
            KeyError: One is missing.
            TypeError, ValueError: They are none.
        """
        return cls(int(values["after_round"]), shown(str(values["at"])))

    def told(self) -> str:
        """It in words: `invited after round 2 (2026-11-29)`, `invited before round 1 (2026-11-29)`."""
        when = f"after round {self.after_round}" if self.after_round else "before round 1"
        return f"invited {when} ({self.at[:10]})"


def all_invited(values: object) -> dict[str, Invited]:
    """Datasite → when it was asked, from a file's plain values; without those that cannot be read.

    They are told, and decide nothing: a study goes on without them.
    """
    found = {}
    for name, one in values.items() if isinstance(values, Mapping) else ():
        with contextlib.suppress(KeyError, TypeError, ValueError):
            found[str(name)] = Invited.of(one)
    return found
