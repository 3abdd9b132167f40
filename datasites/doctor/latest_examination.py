"""The latest examination of a datasite that serves, by a process of its own: what the command `doctor` finds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from datasites.doctor.finding import PROBLEM, WARNING, Finding

LONGEST_SECONDS = 600
_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Examination:
    """An examination, as far as it has come.

    Attributes:
        began: When, ISO 8601; empty where there was none since the datasite started.
        under_way: Whether it goes on.
        findings: What was found; those of the examination before while one is under way.
    """

    began: str = ""
    under_way: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def problems(self) -> dict[str, str]:
        """What was looked at → what is wrong with it and what to do."""
        found = [one for one in self.findings if one.level == PROBLEM]
        return {one.check: f"{one.text.rstrip('.')}. {one.advice}".strip() for one in found}

    @property
    def warnings(self) -> int:
        """How many things somebody should look at, though the datasite works."""
        return sum(one.level == WARNING for one in self.findings)


class LatestExamination:
    """Examines one datasite, one examination at a time.

    Args:
        state: Its folder.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._lock, self._latest = threading.Lock(), Examination()

    @property
    def now(self) -> Examination:
        """The latest one."""
        return self._latest

    def examine(self) -> Examination | None:
        """Makes one and returns it; None where another one is under way."""
        return self._finish() if self._begins() else None

    def begin(self, then: Callable[[Examination], None]) -> None:
        """Makes one in a thread of its own, where none is under way; `then` hears of it."""
        if self._begins():
            threading.Thread(target=lambda: then(self._finish()), name="examination", daemon=True).start()

    def _begins(self) -> bool:
        with self._lock:
            if self._latest.under_way:
                return False
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._latest = Examination(now, under_way=True, findings=self._latest.findings)
            return True

    def _finish(self) -> Examination:
        self._latest = Examination(self._latest.began, findings=self._findings())
        return self._latest

    def _findings(self) -> tuple[Finding, ...]:
        command = [sys.executable, "-m", "datasites", "doctor", "--json", "--state", str(self._state.resolve())]
        try:
            ran = subprocess.run(
                command, cwd=_PROJECT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
            )
            return tuple(Finding(**one) for one in json.loads(ran.stdout))
        except (OSError, subprocess.TimeoutExpired, ValueError, TypeError) as error:
            text = f"The doctor could not look: {type(error).__name__}."
            return (Finding("doctor", PROBLEM, text, "Run 'python -m datasites doctor' on the machine."),)
