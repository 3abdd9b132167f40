"""Turns at PySyft: one call at a time, and a bound on how long another one waits for it. No call waits without an end.

A call is held up where somebody has locked PostgreSQL's tables, and all that come after it would be with it.
"""

from __future__ import annotations

import threading
from types import TracebackType

from policies.errors import DatabaseUnavailable

# With the call's own wait for a lock it ends before a researcher's side gives up the answer, after 60 seconds.
MOST_SECONDS = 45.0


class Turns:
    """A lock that a thread may take again while it has it.

    Attributes:
        most_seconds: How long a call waits for its turn.
    """

    def __init__(self) -> None:
        self.most_seconds = MOST_SECONDS
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        """Raises DatabaseUnavailable where another call's turn does not end; nothing was done then."""
        if not self._lock.acquire(timeout=self.most_seconds):
            raise DatabaseUnavailable(
                "Accounts and requests of this hospital are held up by another call. Nothing was done; try later.",
                private=f"A call waited {self.most_seconds:.0f} s for its turn. Is PySyft's database slow, or locked?",
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
