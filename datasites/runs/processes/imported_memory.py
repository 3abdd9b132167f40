"""Memory of what the fork server has imported, gathered into huge pages: a fork copies an entry for each page.

Some 400 MB lie there, 100,000 pages whose entries each run's two forks would copy and give up again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from datasites.runs.sandbox import kernel

_HUGE_PAGE_BYTES = 2 << 20
_OWN = "rw-p"  # memory that is written and shared with nobody
_MAPS = Path("/proc/self/maps")


def put_into_huge_pages() -> None:
    """Asks the kernel to gather this process's own memory into huge pages; where it does not, all stays as it is.

    A child that writes to one gets a copy of 4 KiB of it, as it would of a small page.
    """
    for begin, end in _own_ranges():
        begin += -begin % _HUGE_PAGE_BYTES
        end -= end % _HUGE_PAGE_BYTES
        if begin < end:
            with contextlib.suppress(OSError):  # an older kernel, or one without huge pages, or nothing lies there
                kernel.gather_pages(begin, end - begin)


def _own_ranges() -> Iterator[tuple[int, int]]:
    """Where memory lies that no file stands for, as (begin, end), addresses."""
    with contextlib.suppress(OSError):
        for line in _MAPS.read_text().splitlines():
            addresses, access, _, _, _, *name = line.split()
            if access == _OWN and name in ([], ["[heap]"]):
                begin, end = addresses.split("-")
                yield int(begin, 16), int(end, 16)
