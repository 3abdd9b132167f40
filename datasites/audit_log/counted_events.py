"""Audit entries for what may happen any number of times: the first of a kind at once, the rest as a count.

A flood of refused calls must show in the audit log and must not fill the disk. Nothing here crosses the boundary.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter

from datasites.audit_log.log import AuditLog
from policies.errors import WanwuError

log = logging.getLogger(__name__)

WINDOW_SECONDS = 60.0
MAX_KINDS = 500  # different (event, account, code, request) in a window; more are counted together
Kind = tuple[str, str, str, str]
_OTHERS: Kind = ("more of other kinds", "", "", "")


class CountedEvents:
    """Counts events by kind and writes at most two entries a kind and window.

    Guarantees:
        However often `add` is called, a window of `window_seconds` costs at most 2 * `MAX_KINDS` + 2 entries. Each
        call is in an entry of its own or in the count of one, at the latest when the window ends or at `flush`; a
        crash may lose the counts of one window, never the first of a kind.
    """

    def __init__(self, audit: AuditLog, *, window_seconds: float = WINDOW_SECONDS) -> None:
        self._audit, self._window_seconds = audit, window_seconds
        self._lock = threading.Lock()
        self._counts: Counter[Kind] = Counter()
        self._timer: threading.Timer | None = None

    def add(self, event: str, *, account: str = "", code: str = "", request: str = "", count: int = 1) -> None:
        """Counts `count` events of a kind. What names the kind must be of small sets of known values, never a caller's.

        Args:
            event: What happened.
            account: The address of one of the datasite's own accounts.
            code: An error's code, or another short reason.
            request: One of the datasite's own code requests.
            count: How often.
        """
        with self._lock:
            kind = (event, account, code, request)
            if kind not in self._counts and len(self._counts) >= MAX_KINDS:
                kind = _OTHERS
            first = kind not in self._counts
            self._counts[kind] += count
            if self._timer is None:
                self._timer = threading.Timer(self._window_seconds, self.flush)
                self._timer.daemon = True
                self._timer.start()
        if first:
            self._write(kind, 1)

    def flush(self) -> None:
        """Writes what was counted beyond the first of each kind, and begins a new window."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        for kind, count in counts.items():
            if count > 1:
                self._write(kind, count - 1, more=True)

    def _write(self, kind: Kind, count: int, *, more: bool = False) -> None:
        event, *details = kind
        named = {name: value for name, value in zip(("account", "code", "request"), details, strict=True) if value}
        try:
            self._audit.write(f"{event}, more times" if more else event, **named, count=count)
        except WanwuError as error:  # a refusal stays one; a sign-in alone opens nothing
            log.warning("%s %s %s %s x%d is not in the audit log: %s %s", *kind, count, error.public, error.private)
