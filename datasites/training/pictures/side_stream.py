"""A stream beside the one that computes, and memory that a GPU reads by itself: batches come while others are trained.

What passes through is private, and stays in the run's process and its GPU.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from typing import Protocol, cast

import torch

_LOOKS_EVERY_SECONDS = 0.0002
Progress = Callable[[int, int], None]
"""Told (steps done, steps in the round)."""


class Mark(Protocol):
    """A place in what a device was told to do."""

    def synchronize(self) -> None:
        """Returns once the device has come there; the other threads go on meanwhile."""

    def query(self) -> bool:
        """Whether the device has come there."""


class Streams(Protocol):
    """What a device is told beside what it computes."""

    pinned: bool

    def beside(self) -> AbstractContextManager[object]:
        """What is launched within is done beside what is computed."""

    def told(self) -> Mark:
        """A mark behind all that was launched beside so far."""

    def used(self) -> Mark:
        """A mark behind all that the computing stream was told so far."""

    def wait_for(self, mark: Mark) -> None:
        """Lets what is computed from here on come after the mark. Nobody waits here."""


class SideStream:
    """A stream of a GPU beside the current one, whose few and small launches go first.

    Args:
        device: As torch names it.
    """

    pinned = True

    def __init__(self, device: str) -> None:
        self._side = _beside(device)
        self._computing = torch.cuda.current_stream(device)

    def beside(self) -> AbstractContextManager[object]:
        """See `Streams.beside`."""
        return torch.cuda.stream(self._side)

    def told(self) -> Mark:
        """See `Streams.told`."""
        return _DeviceMark(self._side)

    def used(self) -> Mark:
        """See `Streams.used`."""
        return _DeviceMark(self._computing)

    def wait_for(self, mark: Mark) -> None:
        """See `Streams.wait_for`."""
        self._computing.wait_event(cast("_DeviceMark", mark).event)


@cache
def _beside(device: str) -> torch.cuda.Stream:
    """One for all rounds of the process: what one round's batches lay in serves the next, and no other stream."""
    return torch.cuda.Stream(device, priority=-1)


class _DeviceMark:
    """An event that is looked at now and then: a wait for it takes no processor from those that work.

    A blocking event would do the same, but asks more of the driver than a run that is closed in is known to get.
    """

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self.event = stream.record_event()

    def query(self) -> bool:
        return bool(self.event.query())

    def synchronize(self) -> None:
        while not self.query():
            time.sleep(_LOOKS_EVERY_SECONDS)


class Staging:
    """Memory of the host in which a batch waits to be read by the device; the next batch comes into the same.

    Args:
        pinned: Whether the device reads it by itself.
    """

    def __init__(self, *, pinned: bool) -> None:
        self._pinned = pinned
        self._whole: dict[str, torch.Tensor] = {}
        self.parts: dict[str, torch.Tensor] = {}
        """What the batch at hand consists of, by name."""
        self.read: Mark | None = None
        """Behind the device's reading of the batch at hand."""

    def begin(self) -> None:
        """Waits until the device has read the batch at hand, of which nothing is left then."""
        if self.read is not None:
            self.read.synchronize()
        self.parts, self.read = {}, None

    def place(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """A part of the next batch, to be written to: what stands in it is of any batch before.

        Args:
            name: Of the part.
            shape: Of the part; may change from batch to batch.
            dtype: Of the part; always the same.
        """
        size = math.prod(shape)
        if name not in self._whole or len(self._whole[name]) < size:
            self._whole[name] = self._empty(size, dtype)
        self.parts[name] = self._whole[name][:size].view(shape)
        return self.parts[name]

    def _empty(self, size: int, dtype: torch.dtype) -> torch.Tensor:
        if self._pinned:
            with contextlib.suppress(RuntimeError):  # a machine may lock no more memory: any other serves, more slowly
                return torch.empty(size, dtype=dtype, pin_memory=True)
            self._pinned = False
        return torch.empty(size, dtype=dtype)


@contextlib.contextmanager
def told_behind(progress: Progress, mark: Callable[[], Mark]) -> Iterator[Progress]:
    """Lets progress be told behind what was launched before it, in order; waits at the end alone, for what is left.

    Args:
        progress: Told by the thread that launches.
        mark: A mark behind all that was launched so far.
    """
    launched: deque[tuple[Mark, int, int]] = deque()

    def tell(done: int, total: int) -> None:
        launched.append((mark(), done, total))
        while launched and launched[0][0].query():
            progress(*launched.popleft()[1:])

    yield tell
    for behind, done, total in launched:
        behind.synchronize()
        progress(done, total)


class GraphBesideThreads:
    """A CUDA graph that can be recorded while other threads copy: those launch nothing on the stream that is recorded.

    By default CUDA gives up a recording when any thread asks for memory meanwhile.
    """

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def capture_begin(self) -> None:
        """See `gpu.step.Graph`."""
        self._graph.capture_begin(capture_error_mode="thread_local")

    def capture_end(self) -> None:
        """See `gpu.step.Graph`."""
        self._graph.capture_end()

    def replay(self) -> None:
        """See `gpu.step.Graph`."""
        self._graph.replay()
