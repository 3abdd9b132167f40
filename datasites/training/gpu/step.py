"""Work of a GPU that is recorded once and then launched again as a whole, as a CUDA graph.

A step's thousands of launches take longer to say than to do. What is recorded reads and writes the same memory each
time; so whoever launches it again puts there what is new: pictures, weights, keys.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from typing import Protocol

import torch

Work = Callable[[], None]


def has_gpu() -> bool:
    """Whether this process sees a GPU that this torch computes on.

    It sees one that is too old for it too, on which all that is launched fails: such a one counts as none.
    """
    if not torch.cuda.is_available():
        return False
    (major, minor), built = torch.cuda.get_device_capability(0), torch.cuda.get_arch_list()
    for architecture in built:
        kind, _, number = architecture.partition("_")
        digits = "".join(filter(str.isdigit, number))
        own = int(digits[:-1]), int(digits[-1])
        # Machine code is for one generation and what came later in it; what is translated on the way, for all later.
        if own <= (major, minor) and (kind == "compute" or own[0] == major):
            return True
    return not built  # of which nothing is known, as AMD's


class Graph(Protocol):
    """What records launches, as `torch.cuda.CUDAGraph`."""

    def capture_begin(self) -> None:
        """From here on what is launched is recorded and not carried out."""

    def capture_end(self) -> None:
        """Ends the recording."""

    def replay(self) -> None:
        """Launches what was recorded."""


class Recorder:
    """Records work on the current GPU.

    Args:
        told: Told the name of what is done in a slower way than there is for it.
        graph: Makes what one recording is held in.
    """

    def __init__(
        self, told: Callable[[str], None] = lambda name: None, graph: Callable[[], Graph] = torch.cuda.CUDAGraph
    ) -> None:
        self._told = told
        self._graph = graph
        self.slower: dict[str, str] = {}
        """What is done in a slower way than there is for it, by name, and why."""

    def record(self, name: str, work: Work) -> Work:
        """Returns what does the same work: by a recording where that is possible, or else `work` itself.

        Nothing is carried out here.

        Args:
            name: For those who are told that it could not be recorded.
            work: Was done before on this device, of the same shapes, so that nothing is left to be set up. Waits for
                nothing on the device, and reads and writes the same memory each time.
        """
        graph = self._graph()
        try:
            _fill(graph, work)
        except RuntimeError as error:
            self.is_slower(name, str(error).partition("\n")[0])
            return work
        return graph.replay

    def is_slower(self, name: str, why: str) -> None:
        """Keeps that something is done in a slower way, and tells of it.

        Args:
            name: What.
            why: In the device's or the library's words, which are kept here and told to nobody.
        """
        self.slower[name] = why
        self._told(name)


def _fill(graph: Graph, work: Work) -> None:
    """Records on a stream of its own, as CUDA asks for, in memory that the recording keeps."""
    if not torch.cuda.is_available():
        return _between(graph, work)
    torch.cuda.synchronize()
    gc.collect()
    torch.cuda.empty_cache()  # the recording gets memory of its own: what earlier passes left is not held beside it
    side, current = torch.cuda.Stream(), torch.cuda.current_stream()
    side.wait_stream(current)
    with torch.cuda.stream(side):
        _between(graph, work)
    current.wait_stream(side)
    return None


def _between(graph: Graph, work: Work) -> None:
    graph.capture_begin()
    try:
        work()
    except BaseException:
        with contextlib.suppress(RuntimeError):  # of a recording that failed: why is known already
            graph.capture_end()
        raise
    graph.capture_end()
