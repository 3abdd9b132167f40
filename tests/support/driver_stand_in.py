"""A stand-in for the library of NVIDIA's driver, compiled to want what a test says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


def build(folder: Path, wants: str) -> Path:
    """The library, in a folder of its own; `driver_stand_in.c` says what it can want."""
    library = folder / "libcuda.so.1"
    folder.mkdir(exist_ok=True)
    given = [f'-DWANTS="{wants}"', f"-DBUILT_BY={os.geteuid()}", str(SOURCE), "-lpthread", "-o", str(library)]
    subprocess.run(["cc", "-shared", "-fPIC", *given], check=True, capture_output=True)
    return library
