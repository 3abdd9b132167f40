"""The last examination by the doctor, kept for the console's pages, and a new one beside the datasite's own work.

Findings are for the hospital's admins only.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datasites.doctor.finding import OK, PROBLEM, Finding
from datasites.files.state_folder import StateFolder

log = logging.getLogger(__name__)
LONGEST_SECONDS = 900
OLD_SECONDS = 3600.0


@dataclass(frozen=True)
class Examined:
    """An examination that has ended.

    Attributes:
        at: When, in seconds since 1970.
        findings: All of them, in the doctor's order.
    """

    at: float
    findings: tuple[Finding, ...]

    @property
    def to_look_at(self) -> tuple[Finding, ...]:
        """The findings that are not well, problems first."""
        return tuple(sorted((one for one in self.findings if one.level != OK), key=lambda one: one.level != PROBLEM))


class LastExamination:
    """The last examination of one datasite; at most one is under way."""

    def __init__(self, look: Callable[[], Sequence[Finding]], clock: Callable[[], float] = time.time) -> None:
        self._look, self._clock, self._busy = look, clock, threading.Lock()
        self.found: Examined | None = None

    @property
    def under_way(self) -> bool:
        """Whether the doctor is looking now."""
        return self._busy.locked()

    def keep_fresh(self) -> None:
        """Looks again, without waiting for it, where nobody has looked for `OLD_SECONDS`."""
        if self.found is None or self._clock() - self.found.at > OLD_SECONDS:
            self.look_again()

    def look_again(self) -> None:
        """Looks again, without waiting for it; nothing happens while the doctor is looking."""
        if self._busy.acquire(blocking=False):
            threading.Thread(target=self._examine, daemon=True).start()

    def _examine(self) -> None:
        try:
            self.found = Examined(self._clock(), tuple(self._look()))
        except Exception as error:  # noqa: BLE001 - an examination that fails in any way was not passed
            log.warning("the doctor could not look: %s", error)
            text = f"it could not be examined: {type(error).__name__}"
            self.found = Examined(
                self._clock(), (Finding("doctor", PROBLEM, text, "Run 'python -m datasites doctor' on the machine."),)
            )
        finally:
            self._busy.release()


def look_apart(state: StateFolder) -> tuple[Finding, ...]:
    """The doctor's findings, from a process of its own: it takes locks and memory that are not the datasite's."""
    ran = subprocess.run(
        [sys.executable, "-m", "datasites", "doctor", "--json", "--state", str(state.path)],
        capture_output=True,
        check=False,  # status 1 is a problem that was found
        timeout=LONGEST_SECONDS,
    )
    return tuple(Finding(**one) for one in json.loads(ran.stdout))
