"""GPUs of the hospital's machine, and who has one: a run sees those it was leased, and no other."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/gpus")
_UUID = re.compile(r"^GPU UUID:\s*(GPU-[0-9a-fA-F-]+)\s*$", re.MULTILINE)
_MINOR = re.compile(r"^Device Minor:\s*(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Gpu:
    """One GPU: the driver's number of its device file, and the identifier that CUDA takes whatever the order is."""

    minor: int
    uuid: str


def find_gpus(driver: Path = DRIVER) -> tuple[Gpu, ...]:
    """The machine's NVIDIA GPUs, as its driver lists them, by device number."""
    found = []
    for file in driver.glob("*/information"):
        minor = _MINOR.search(file.read_text(errors="replace"))
        if minor is None:
            continue
        uuid = _UUID.search(file.read_text(errors="replace"))
        if uuid is None:  # the driver tells question marks for it until the GPU has been in use
            with _in_use(int(minor[1])):
                uuid = _UUID.search(file.read_text(errors="replace"))
        if uuid is not None:
            found.append(Gpu(int(minor[1]), uuid[1]))
    return tuple(sorted(found, key=lambda gpu: gpu.minor))


def pci_folders(
    gpus: Iterable[Gpu], *, driver: Path = DRIVER, devices: Path = Path("/sys/bus/pci/devices")
) -> tuple[Path, ...]:
    """Where the kernel tells of these GPUs as devices on their bus: their models, and the processors that are near."""
    minors, found = {gpu.minor for gpu in gpus}, []
    for file in driver.glob("*/information"):
        minor = _MINOR.search(file.read_text(errors="replace"))
        if minor is not None and int(minor[1]) in minors:
            found.append((devices / file.parent.name).resolve())
    return tuple(sorted(found))


@contextlib.contextmanager
def _in_use(minor: int) -> Iterator[None]:
    """A GPU is in use meanwhile, if it can be."""
    try:
        device = os.open(f"/dev/nvidia{minor}", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.close(device)


class GpuLeases:
    """Which run has which GPUs: at most `share` runs on each, at most `per_run` GPUs for each run. Threads share it.

    Attributes:
        per_run: The most GPUs of a run: no more than the machine has.
        version: Counts the leases that ended.
    """

    def __init__(self, gpus: Iterable[Gpu], *, share: int = 1, per_run: int = 1) -> None:
        self._free = dict.fromkeys(gpus, share) if share else {}
        self._lock = threading.Lock()
        self.per_run = min(per_run, len(self._free))
        self.version = 0

    @property
    def present(self) -> bool:
        """Whether there is any GPU to lease."""
        return bool(self._free)

    def take(self, wanted: int) -> tuple[Gpu, ...] | None:
        """Leases what a run needs, all of it at once: nobody holds a part and waits for the rest.

        Args:
            wanted: How many GPUs the run takes; it gets no more than `per_run`.

        Returns:
            Different GPUs, none on a machine without; None if the run must wait for them.
        """
        with self._lock:
            by_room = sorted(self._free, key=lambda one: (-self._free[one], one.minor))
            taken = tuple(by_room[: min(wanted, self.per_run)])
            if not all(self._free[gpu] for gpu in taken):
                return None
            for gpu in taken:
                self._free[gpu] -= 1
            return taken

    def give_back(self, gpus: Iterable[Gpu]) -> None:
        """Ends a lease."""
        with self._lock:
            for gpu in gpus:
                self._free[gpu] += 1
            self.version += 1
