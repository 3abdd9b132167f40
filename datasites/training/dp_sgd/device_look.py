"""A look at a run's device, kept for later runs of the same kind: nothing of any picture or weights is in it.

A look tries made-up pictures on made-up weights, so it finds the same in every run of one plan on one device. Who
keeps it says for which runs it counts; a run compares the device once more, and looks itself where anything differs.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

_PAGE_BYTES = 4096
_MAXRSS_BYTES = 1024  # Linux tells it in KiB


@dataclass(frozen=True)
class DeviceLook:
    """A look that was passed.

    Attributes:
        places: Of a batch, with which it was passed.
        memory_bytes: That it took, at most.
        device: What computed, as `device_text` says.
    """

    places: int
    memory_bytes: int
    device: str

    def to_text(self) -> str:
        """A line of ASCII."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> DeviceLook | None:
        """What `to_text` wrote; None where nothing was kept."""
        return cls(**json.loads(text)) if text else None


@dataclass(frozen=True)
class KeptLook:
    """The look that a run is given, and where it tells its own.

    Attributes:
        found: `DeviceLook.to_text` of an earlier run of the same kind, or empty.
        tell: Told the run's own look, as text, once it was passed.
    """

    found: str = ""
    tell: Callable[[str], object] = lambda found: None

    def holds(self, device: str, places: int) -> bool:
        """Whether what was found counts here: the same device and batches, and memory for as much as it took.

        Guarantees:
            Where it says so, as much memory as the look took was written to a moment ago: want of it shows before
            a picture is read, as it does in a look.

        Args:
            device: As torch names it.
            places: Of a batch, as the plan and the declared size ask for at most the places that were found.
        """
        kept = DeviceLook.from_text(self.found)
        return (
            kept is not None
            and kept.device == device_text(device)
            and kept.places == places
            and _can_take(kept.memory_bytes)
        )

    @property
    def places(self) -> int | None:
        """Of a batch, as an earlier run found them."""
        kept = DeviceLook.from_text(self.found)
        return None if kept is None else kept.places


NOTHING_KEPT = KeptLook()


def device_text(device: str) -> str:
    """What the bits of a gradient may hang on beside plan and batch: device, threads, library, instructions."""
    instructions = torch.backends.cpu.get_cpu_capability()
    return f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {instructions}"


def most_memory() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES


def _can_take(size: int) -> bool:
    """Takes so much memory, writes to each page, and gives it back: to this process, whose next step it serves."""
    try:
        np.empty(size, np.uint8)[::_PAGE_BYTES] = 0
    except MemoryError:
        return False
    return True
