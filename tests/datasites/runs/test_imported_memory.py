"""What the fork server has imported is gathered into huge pages, and the kernel may refuse."""

from __future__ import annotations

import mmap
import subprocess
import sys

import pytest
from support.hospitals import ENVIRONMENT

from datasites.runs.processes import imported_memory
from datasites.runs.sandbox import kernel

_FILLED = """
import ctypes, mmap
from pathlib import Path
from datasites.runs.processes import imported_memory
from datasites.runs.sandbox import kernel

MB = 1 << 20
own = mmap.mmap(-1, 16 * MB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for start in range(0, len(own), MB):
    own[start : start + MB] = bytes([start // MB]) * MB
imported_memory.put_into_huge_pages()
same = all(own[start : start + MB] == bytes([start // MB]) * MB for start in range(0, len(own), MB))
told = Path("/proc/self/smaps_rollup").read_text().split("AnonHugePages:")[1].split()[0]
try:
    begin = ctypes.addressof(ctypes.c_char.from_buffer(own))
    begin += -begin % (2 * MB)
    kernel.gather_pages(begin, 2 * MB)
    able = True
except OSError:
    able = False
print(same, able, int(told) // 1024)
"""


def test_own_memory_is_gathered_into_huge_pages_and_keeps_its_bytes() -> None:
    ran = subprocess.run([sys.executable, "-c", _FILLED], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    same, able, megabytes = ran.stdout.split()
    assert same == "True"
    if able == "False":
        pytest.skip("this kernel gathers no pages")
    assert int(megabytes) >= 2  # of 16: how many huge pages are free hangs on what else the machine does


def test_whole_huge_pages_are_asked_for_and_a_kernel_may_refuse_each(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def refuse(address: int, size: int) -> None:
        asked.append((address, size))
        raise OSError(22, "not here")

    monkeypatch.setattr(kernel, "gather_pages", refuse)
    held = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    imported_memory.put_into_huge_pages()
    held.close()
    assert asked
    assert all(address % (2 << 20) == size % (2 << 20) == 0 < size for address, size in asked)
