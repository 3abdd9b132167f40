"""Resident memory of one process, as the kernel counts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process, in MB of a million bytes."""

    pid: int

    def now(self) -> float:
        return self._field("VmRSS")

    def peak(self) -> float:
        """The most since `reset`."""
        return self._field("VmHWM")

    def reset(self) -> None:
        """Forgets the peak: writing 5 to clear_refs does that (proc(5))."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _field(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        if found is None:
            raise ValueError(f"The kernel tells no {name} of process {self.pid}.")
        return int(found[1]) * 1024 / 1e6
