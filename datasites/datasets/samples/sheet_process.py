"""A sheet of samples from a process of its own: the datasite, which researchers reach, never opens a picture."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from policies.errors import StoreBroken

OWN, MOCK = "own", "mock"
_SECONDS = 60
_PROJECT = Path(__file__).resolve().parents[3]


class SheetProcess:
    """Draws sheets, one at a time, however often they are asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def sheet(self, which: str, store: Path) -> bytes:
        """The sheet of a store's first pictures, or of its mock, as PNG.

        Args:
            which: `own` or `mock`.
            store: The folder of one version.

        Raises:
            StoreBroken: None could be drawn.
        """
        command = [sys.executable, "-m", "datasites.datasets.samples.draw_sheet", which, str(store)]
        with self._lock:
            try:
                drawn = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    env={**os.environ, "PYTHONPATH": str(_PROJECT)},
                    timeout=_SECONDS,
                    check=True,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise StoreBroken("Samples cannot be drawn. Let the doctor look at the dataset.") from error
        return drawn.stdout
