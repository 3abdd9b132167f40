"""Memory and pipes that the processes of one run share. Both are theirs alone, and end with the run.

Made before the processes are forked, and before they are closed in: the memory has no name and no file, so that nobody
can open it, and a process that was not forked from its maker cannot come by it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from policies.errors import ProcessGroupBroken

_FAULT = b"!"
_MAX_TEXT_BYTES = 600


@dataclass(frozen=True)
class Line:
    """One process's ends of the two pipes between it and another: each word is a single byte.

    Attributes:
        hears: Open for reading.
        tells: Open for writing.
    """

    hears: int
    tells: int

    def tell(self, word: bytes) -> None:
        """Says a word, of one byte.

        Raises:
            ProcessGroupBroken: The other process has ended.
        """
        try:
            os.write(self.tells, word)
        except BrokenPipeError:
            self.lost()

    def expect(self, word: bytes) -> None:
        """Waits until the other says `word`.

        Raises:
            ProcessGroupBroken: It said something else, or ended; then with what it said last.
        """
        heard = os.read(self.hears, 1)
        if heard in (_FAULT, b""):
            self.lost()
        if heard != word:
            _break("it was at another place")

    def give_up(self, why: str) -> None:
        """Says why this process ends. It has to end then: the other reads until it does."""
        with contextlib.suppress(OSError):
            os.write(self.tells, _FAULT + why.encode("ascii", "replace")[:_MAX_TEXT_BYTES])

    def lost(self) -> NoReturn:
        """Raises what the other process said last, once it has ended or is about to.

        Raises:
            ProcessGroupBroken: With what it said last.
        """
        said = b""
        while len(said) < _MAX_TEXT_BYTES and (more := os.read(self.hears, _MAX_TEXT_BYTES)):
            said += more
        _break(said.removeprefix(_FAULT).decode("ascii", "replace"))


def _break(why: str) -> NoReturn:
    raise ProcessGroupBroken(
        "One of the run's processes ended before the others; nothing left the hospital. Ask for the round again.",
        private=why,
    )


def expect_of_all(lines: Sequence[Line], word: bytes) -> None:
    """Waits until each of some processes has said `word`; one that ends meanwhile is noticed at once, whichever it is.

    Raises:
        ProcessGroupBroken: One said something else, or ended.
    """
    lines_by_end = {line.hears: line for line in lines}
    silent, ends = set(lines_by_end), select.poll()
    for end in silent:
        ends.register(end, select.POLLIN)
    while silent:
        for end, _ in ends.poll():
            if end not in silent:
                lines_by_end[end].lost()
            lines_by_end[end].expect(word)
            silent.remove(end)
            ends.modify(end, 0)  # from here on it is told when the other end is closed, and nothing else


class GroupMemory:
    """The memory and pipes of a process group whose processes are still to be forked.

    The memory holds two samples, of a step and of the next, which may be told before the step is taken; and, for each
    process, one row of numbers: the first's parameters, the others' sums. Pages that are never written take no room.

    Attributes:
        size: Number of processes.
        numbers: float64, (size, parameters): a row for each process.
    """

    def __init__(self, size: int, *, parameters: int, sample: int) -> None:
        """Makes both.

        Args:
            size: Number of processes, at least 2.
            parameters: Most numbers that the model has.
            sample: Most numbers that a sample has.
        """
        start = 8 * 2 * (2 + sample)
        self._map = mmap.mmap(-1, start + 8 * size * parameters)  # anonymous, shared with what is forked
        self.size = size
        self._samples: NDArray[np.int64] = np.ndarray((2, 2 + sample), dtype=np.int64, buffer=self._map)
        self.numbers: NDArray[np.float64] = np.ndarray(
            (size, parameters), dtype=np.float64, buffer=self._map, offset=start
        )
        self._lines: list[tuple[int, Line]] = []  # whose it is, and the line
        for rank in range(1, size):
            down, up = os.pipe(), os.pipe()
            self._lines += [(0, Line(up[0], down[1])), (rank, Line(down[0], up[1]))]

    def lines(self, rank: int) -> tuple[Line, ...]:
        """Keeps the pipes of one process and closes all others, so that a process that ends is noticed.

        Args:
            rank: Which process this one is; the first has a line to each other, those have one to the first.
        """
        for holder, line in self._lines:
            if holder != rank:
                os.close(line.hears)
                os.close(line.tells)
        return tuple(line for holder, line in self._lines if holder == rank)

    def write_sample(self, sample: np.ndarray, step: int) -> None:
        """Leaves a step's sample for the others, int64, (B, columns), in place of that of the step before the last."""
        place = self._samples[step % 2]
        place[2 : 2 + sample.size] = sample.ravel()
        place[:2] = sample.shape

    def read_sample(self, step: int) -> np.ndarray:
        """The sample that the first process left for a step, int64, (B, columns)."""
        place = self._samples[step % 2]
        return place[2 : 2 + place[:2].prod()].reshape(place[:2]).copy()
