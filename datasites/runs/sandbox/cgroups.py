"""Control groups: one for each run, where the datasite was given a part of the tree, as by systemd's `Delegate=yes`.

They limit the memory and number of all of a run's processes together, and end them together.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from datasites.runs.sandbox.limits import RunLimits

NEEDED = frozenset({"memory", "pids"})
_LEAF = "datasite"


@dataclass(frozen=True)
class DelegatedGroup:
    """The part of the control-group tree that the datasite may divide."""

    folder: Path

    def prepare(self) -> None:
        """Moves the datasite into a leaf and lets runs be limited; ends what an earlier start left.

        Raises:
            OSError: The kernel refused; so it does while other programs share the group, which stay untouched.
        """
        leaf = self.folder / _LEAF
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
        (self.folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(NEEDED)))
        for left in self.folder.glob("run-*"):
            RunGroup(left).end()

    def make(self, run_id: str, limits: RunLimits) -> RunGroup:
        """A group for one run.

        Raises:
            OSError: The kernel refused.
        """
        folder = self.folder / f"run-{run_id}"
        folder.mkdir()
        (folder / "memory.max").write_text(str(limits.memory_bytes_per_run))
        with contextlib.suppress(FileNotFoundError):  # kernels without swap accounting
            (folder / "memory.swap.max").write_text("0")
        (folder / "memory.oom.group").write_text("1")
        (folder / "pids.max").write_text(str(limits.processes_per_run))
        return RunGroup(folder)


@dataclass(frozen=True)
class RunGroup:
    """The control group of one run."""

    folder: Path

    def entrance(self) -> int:
        """An open file; whoever writes `0` to it is in the group. The caller closes it."""
        return os.open(self.folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def end(self) -> None:
        """Kills what is in the group, and removes it."""
        with contextlib.suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")
        for _ in range(100):
            try:
                self.folder.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)
            else:
                return


def find_delegated(
    *, own: Path = Path("/proc/self/cgroup"), mounts: Path = Path("/proc/self/mountinfo")
) -> DelegatedGroup:
    """The datasite's own group, if it may be divided.

    Raises:
        OSError: With the reason why not.
    """
    place = next((line[3:] for line in own.read_text().splitlines() if line.startswith("0::")), None)
    root = next((line for line in mounts.read_text().splitlines() if " - cgroup2 " in line), None)
    if place is None or root is None:
        raise OSError("control groups version 2 are not mounted")
    folder = Path(root.split()[4]) / place.strip("/")
    if folder.name == _LEAF and (folder.parent / "cgroup.subtree_control").exists():
        folder = folder.parent
    controllers = folder / "cgroup.controllers"
    present = set(controllers.read_text().split()) if controllers.exists() else set()
    if not present >= NEEDED:
        raise OSError(f"the control group has no controller for {', '.join(sorted(NEEDED - present))}")
    if not (os.access(folder, os.W_OK) and os.access(folder / "cgroup.subtree_control", os.W_OK)):
        raise OSError("the control group was not delegated to the datasite's account")
    if place.strip("/") == "" and not (folder / "cgroup.type").exists():
        raise OSError("the datasite is in the machine's root control group")
    return DelegatedGroup(folder)
