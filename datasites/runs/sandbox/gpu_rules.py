"""Files that a run with a GPU opens beside those of any run: its devices, and what NVIDIA's driver looks at to start.

The driver's library tells no list. It opens what is here, and gives up in part where it cannot; from there on it says
that there is no GPU. Nothing here tells of a patient or of another process.
"""

from __future__ import annotations

from pathlib import Path

from datasites.runs.gpus import Gpu, pci_folders
from datasites.runs.sandbox import cuda_driver

_READ = (
    # The driver's version, settings and GPUs; where its devices are; which modules the kernel has loaded.
    *("/proc/driver/nvidia", "/proc/driver/nvidia-uvm", "/proc/devices", "/proc/modules", "/sys/module/nvidia"),
    *("/sys/module/nvidia_uvm", "/sys/bus/pci/devices", "/usr/share/nvidia", "/etc/nvidia"),
    "/usr/local/nvidia",  # where some machines have the driver's libraries
    # How the machine divides its memory: a few numbers that are the same for every program.
    *("/proc/sys/vm/mmap_min_addr", "/proc/sys/vm/max_map_count", "/proc/sys/vm/overcommit_memory"),
    *("/sys/devices/system/memory/block_size_bytes", "/sys/devices/system/node"),
    # Of this process itself: where its memory lies, what it may use, its name.
    *("/proc/self/maps", "/proc/self/status", "/proc/self/stat", "/proc/self/cmdline"),
)
_DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
# The driver names each of its threads, and ends where it may not. What else lies here is of this process alone; of it
# the kernel lets nobody write to more than names and labels who is closed to debuggers.
_THREADS = Path("/proc/self/task")


def readable(gpus: tuple[Gpu, ...]) -> list[Path]:
    """What a run with these GPUs reads beside what any run does."""
    if not gpus:
        return []
    library = cuda_driver.place()
    return [*map(Path, _READ), *pci_folders(gpus), *([] if library is None else [library.parent])]


def devices(gpus: tuple[Gpu, ...]) -> list[Path]:
    """Device files of a run with these GPUs."""
    shared = _DEVICES if gpus else ()
    return [Path("/dev/null"), *map(Path, shared), *(Path(f"/dev/nvidia{gpu.minor}") for gpu in gpus)]


def named(gpus: tuple[Gpu, ...]) -> list[Path]:
    """Folders whose files a run with these GPUs reads and writes by their names."""
    return [_THREADS] if gpus else []


def opened(gpus: tuple[Gpu, ...]) -> dict[Path, bool]:
    """Every file and folder that the driver is known to open, and whether it writes to it."""
    return {**dict.fromkeys(readable(gpus), False), **dict.fromkeys(devices(gpus), True)}
