"""The latest look at a datasite's own source, in a process of its own: the datasite opens no picture and no table."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.inspection.inspection import Group, Inspection
from policies.terminal.printing import MARGIN

_PROJECT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Look:
    """A look, as far as it has come.

    Attributes:
        began: When, ISO 8601; empty where nobody has looked since the datasite started.
        under_way: Whether it goes on.
        found: What was found; None before the end, and where it failed.
        problem: Why it failed; empty where it did not.
    """

    began: str = ""
    under_way: bool = False
    found: Inspection | None = None
    problem: str = ""


class LatestLook:
    """Looks at the source that the settings name, as `python -m datasites inspect` does, one look at a time.

    Args:
        settings: The datasite's table [dataset].
    """

    def __init__(self, settings: DatasetSettings) -> None:
        self._settings = settings
        self._lock, self._look = threading.Lock(), Look()

    @property
    def now(self) -> Look:
        """The latest one."""
        return self._look

    def begin(self) -> None:
        """Begins a look, where none is under way."""
        with self._lock:
            if self._look.under_way:
                return
            self._look = Look(began=datetime.now(UTC).isoformat(timespec="seconds"), under_way=True)
        threading.Thread(target=self._work, name="look at the source", daemon=True).start()

    def _work(self) -> None:
        try:
            done = Look(self._look.began, found=self._inspected())
        except (OSError, ValueError, TypeError, KeyError) as error:
            done = Look(self._look.began, problem=str(error))
        self._look = done

    def _inspected(self) -> Inspection:
        """What the command finds.

        Raises:
            OSError, ValueError, TypeError, KeyError: It found nothing; the text says why.
        """
        settings = self._settings
        command = [sys.executable, "-m", "datasites", "inspect", "--json", settings.data_path]
        command += ["--table", settings.table] if settings.table else []
        command += ["--site", settings.site] if settings.site else []
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_PROJECT)},
        )
        atexit.register(process.kill)
        try:
            said, complained = process.communicate()
        finally:
            atexit.unregister(process.kill)
        if process.returncode:
            said_last = complained.decode(errors="replace").strip().splitlines()
            lines = [line for line in said_last if not line.startswith(MARGIN)]
            raise ValueError(lines[-1] if lines else f"inspect ended with status {process.returncode}.")
        told = json.loads(said)
        return Inspection(**{**told, "left_out": [Group(**one) for one in told["left_out"]]})
