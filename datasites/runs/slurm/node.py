"""The node of a run, looked at there before the run has a process: which GPUs Slurm gave it, and what memory.

Slurm's own numbers of GPUs are places in its configuration, so they are not believed: a GPU is the run's if the node
lets its step open it, and there are as many as were asked for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from datasites.runs.gpus import Gpu, find_gpus
from datasites.runs.sandbox.confinement import OF_GPUS, Confinement, draw_uid, missing_pieces

MIB = 1 << 20
# Beside what a run may take: its libraries, in the process that forks it and in the run, which share them.
LIBRARY_BYTES = 1 << 30
_CGROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def memory_mib(memory_bytes_per_run: int) -> int:
    """What a run's step is given, in MiB, for a run that may take so many bytes beyond its libraries."""
    return -(-(memory_bytes_per_run + LIBRARY_BYTES) // MIB)


def settled(confinement: Confinement) -> Confinement:
    """How a run is closed in on this node: with the GPUs that it has here, and an account that is nobody's here.

    Raises:
        SandboxMissing: It has other GPUs than it was to have, or nothing limits the memory of a run with GPUs.
    """
    gpus = own_gpus(find_gpus())
    failed = {}
    if confinement.gpus and len(gpus) != len(confinement.gpus):
        failed["device rules"] = (
            f"the step was to have {len(confinement.gpus)} GPUs and can open {len(gpus)}; Slurm's cgroup.conf needs "
            "ConstrainDevices=yes"
        )
    if confinement.gpus and confinement.required:
        at_most = memory_mib(confinement.limits.memory_bytes_per_run) * MIB
        limit = memory_limit()
        if limit is None or limit > at_most:
            told = "none" if limit is None else f"{limit >> 20} MiB"
            failed[OF_GPUS] = (
                f"the step's limit on memory is {told}, and {at_most >> 20} MiB were asked for; Slurm's cgroup.conf "
                "needs ConstrainRAMSpace=yes and AllowedRAMSpace=100"
            )
    if failed:
        raise missing_pieces(failed)
    return replace(confinement, gpus=gpus if confinement.gpus else (), uid=draw_uid())


def own_gpus(present: Iterable[Gpu], devices: Path = Path("/dev")) -> tuple[Gpu, ...]:
    """Those of the node's GPUs that this process may open."""
    return tuple(gpu for gpu in present if _opens(devices / f"nvidia{gpu.minor}"))


def memory_limit(*, own: Path = _OWN, root: Path = _CGROUPS) -> int | None:
    """The least limit on memory of the control groups that this process is in, in bytes; None if there is none.

    Both versions of control groups are known. Where the groups are not readable there is none.
    """
    least: int | None = None
    with contextlib.suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if controllers == "":
                found = _limits(root, place, "memory.max")
            elif "memory" in controllers.split(","):
                found = _limits(root / "memory", place, "memory.limit_in_bytes")
            else:
                continue
            least = min((one for one in (*found, least) if one is not None), default=None)
    return least


def _limits(root: Path, place: str, name: str) -> list[int]:
    """The limits of a group and of those above it. The first version tells a huge number for none."""
    found, folder = [], root / place.strip("/")
    for group in (folder, *folder.parents):
        if not group.is_relative_to(root):
            break
        with contextlib.suppress(OSError, ValueError):  # the root group has no such file; "max" is none
            value = int((group / name).read_text())
            if value < 1 << 60:
                found.append(value)
    return found


def _opens(device: Path) -> bool:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True
