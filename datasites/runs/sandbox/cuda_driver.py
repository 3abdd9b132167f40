"""NVIDIA's driver, asked without torch: how many GPUs this process sees, and in its own words why there are none."""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

LIBRARY = "libcuda.so.1"
_loaded: dict[str, ctypes.CDLL] = {}


@dataclass(frozen=True)
class DriversAnswer:
    """What the driver said.

    Attributes:
        gpus: How many it shows this process.
        error: Its number for what went wrong, 0 where nothing did, -1 where its library could not be asked.
        name: What it calls that.
    """

    gpus: int
    error: int = 0
    name: str = ""

    @property
    def told(self) -> str:
        """In a few words."""
        if self.gpus:
            return f"{self.gpus} seen"
        return f"error {self.error}, {self.name}" if self.error else "no error, and no GPU"


def load(library: str = LIBRARY) -> bool:
    """Loads the driver's library, which sets nothing up yet; a process that is closed in may not be able to.

    Returns:
        Whether it is there.
    """
    if library in _loaded:
        return True
    with contextlib.suppress(OSError):
        _loaded[library] = ctypes.CDLL(library)
    return library in _loaded


def place() -> Path | None:
    """Where the library that was loaded lies, beside others that it loads when it needs them; None without one."""
    if not _loaded:
        return None
    for line in Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines():
        path = line.split(maxsplit=5)[-1]
        if path.startswith("/") and os.path.basename(path).startswith("libcuda.so"):  # noqa: PTH119 - one of thousands
            return Path(path)
    return None


def ask(library: str = LIBRARY) -> DriversAnswer:
    """Sets the driver up in this process, if it is not yet, and asks it for its GPUs."""
    if not load(library):
        return DriversAnswer(0, -1, f"{library} could not be loaded")
    driver, count = _loaded[library], ctypes.c_int(0)
    error = int(driver.cuInit(0)) or int(driver.cuDeviceGetCount(ctypes.byref(count)))
    if not error:
        return DriversAnswer(max(0, count.value))
    name = ctypes.c_char_p()
    with contextlib.suppress(AttributeError):
        driver.cuGetErrorName(error, ctypes.byref(name))
    return DriversAnswer(0, error, (name.value or b"without a name").decode("ascii", "replace"))
