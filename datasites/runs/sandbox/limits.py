"""The resource limits of one run on the hospital's machine: memory, time, threads, bytes written."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import time
from dataclasses import dataclass, replace
from pathlib import Path

OPEN_FILES = 256
# Beside a process at 0 the kernel gives one at this niceness about a quarter of a processor that both want; at 10, a
# tenth, a datasite that starts held up the runs of the others on its machine.
NICENESS = 5
_TRIES, _TRY_SECONDS = 20, 0.1
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class RunLimits:
    """The most that one run may take; each stands for the setting of the same name.

    Attributes:
        memory_bytes_per_run: Memory beyond the imported libraries.
        cpu_seconds_per_run: Processor time, all threads together.
        wall_seconds_per_run: Time on the clock.
        processes_per_run: Processes and threads.
        scratch_bytes_per_run: Bytes written: the result, and nothing else.
    """

    memory_bytes_per_run: int
    cpu_seconds_per_run: int
    wall_seconds_per_run: int
    processes_per_run: int
    scratch_bytes_per_run: int

    def part(self, processes: int, *, writes: bool, memory: bool) -> RunLimits:
        """What one of a run's processes may take, so that all together take no more than the run may.

        Args:
            processes: How many the run has. The kernel counts them, and their threads, together as it is.
            writes: Whether this one writes the result; the others write nothing.
            memory: Whether memory is divided too: not where a control group holds all processes to it together.
        """
        return replace(
            self,
            cpu_seconds_per_run=max(1, self.cpu_seconds_per_run // processes),
            memory_bytes_per_run=self.memory_bytes_per_run // (processes if memory else 1),
            scratch_bytes_per_run=self.scratch_bytes_per_run if writes else 0,
        )

    def apply(self, *, address_space: bool) -> None:
        """Sets the kernel's limits for this process and its children; they can be lowered, never raised again.

        Args:
            address_space: Whether memory is limited by the address space, which is exact for one process on a CPU.
                A GPU's driver reserves far more addresses than memory, so runs with one get a limit on private data.

        Raises:
            OSError: The kernel refused.
        """
        for kind, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_CPU, self.cpu_seconds_per_run),
            (resource.RLIMIT_FSIZE, self.scratch_bytes_per_run),
            (resource.RLIMIT_NPROC, self.processes_per_run),
            (resource.RLIMIT_NOFILE, OPEN_FILES),
            (resource.RLIMIT_MSGQUEUE, 0),
            (_memory_kind(address_space), _taken(address_space) + self.memory_bytes_per_run),
        ):
            _, hard = resource.getrlimit(kind)
            at_most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            try:
                resource.setrlimit(kind, (at_most, at_most))
            except ValueError as error:
                raise OSError(f"resource limit {kind}: {error}") from error


def prefer_as_victim() -> None:
    """Tells the kernel to end this process first, not the datasite, when memory runs out."""
    Path("/proc/self/oom_score_adj").write_text("1000")


def give_way(*, own_session: Path = Path("/proc/self/autogroup")) -> None:
    """Leaves the processors to the datasite and its console wherever they want them too: what a run takes is the rest.

    Linux may divide processors between sessions before it looks at niceness (sched(7), "The autogroup feature"), and a
    run is a session of its own; so the session is told as well, where there is such a division.

    Args:
        own_session: Where this process' session is told. The kernel takes ten a second from a whole machine.

    Raises:
        OSError: The session could not be told; the process itself is nice all the same.
    """
    os.nice(NICENESS)
    for tries_left in reversed(range(_TRIES if own_session.exists() else 0)):
        try:
            own_session.write_text(str(NICENESS))
            return
        except BlockingIOError:
            if not tries_left:
                raise
            time.sleep(_TRY_SECONDS)


def peak_memory_mb(pid: int) -> int:
    """Most memory that a process of this machine held so far, in MB; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        if found := _PEAK.search(Path(f"/proc/{pid}/status").read_text()):
            return int(found[1]) // 1024
    return 0


def _memory_kind(address_space: bool) -> int:
    return resource.RLIMIT_AS if address_space else resource.RLIMIT_DATA


def _taken(address_space: bool) -> int:
    """Bytes that the imported libraries take already."""
    field = "VmSize:" if address_space else "VmData:"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status does not tell {field}")
