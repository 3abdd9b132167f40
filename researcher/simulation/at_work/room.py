"""Memory in which noted operations are done again: where each result lies, while it is needed. All of a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from researcher.simulation.at_work.operations import Done, makes_its_memory, memory_of

_ALIGNED = 64  # bytes, as torch aligns its memory


class Room:
    """Memory in which recordings are done again, all in the same, one after the other, so that it stays in the cache.

    Attributes:
        size_bytes: Of which what is used alone takes memory.
    """

    def __init__(self, size_bytes: int) -> None:
        """Takes nothing yet.

        Args:
            size_bytes: At most.
        """
        self.size_bytes = size_bytes
        whole = np.empty(size_bytes + _ALIGNED, dtype=np.uint8)  # so much numpy takes in large pages
        self._memory = torch.from_numpy(whole[-whole.ctypes.data % _ALIGNED :][:size_bytes])

    def moved(self, done: Sequence[Done], found: Sequence[torch.Tensor]) -> Moved | None:
        """Places for what operations make, in which nothing lies that is still needed; None where there is no room.

        Args:
            done: The operations, in order.
            found: What is needed after the last, of any shape.
        """
        written = {memory_of(one) for each in done if each.writes for one in each.made}
        loose = _loose(done, found)
        begin, end, sizes = dict[int, int](), dict[int, int](), dict[int, int]()
        for number, one in enumerate(done):
            stays = one.is_view or one.writes or (one.constant is not None and memory_of(one.made[0]) not in written)
            for tensor in () if stays else one.made:
                if memory_of(tensor) not in loose:
                    begin[memory_of(tensor)], sizes[memory_of(tensor)] = number, tensor.untyped_storage().nbytes()
            end.update((memory_of(tensor), number) for tensor in (*one.given, *one.made))
        end.update((memory_of(tensor), len(done)) for tensor in found)
        places = dict[int, int]()
        for memory in sorted(sizes, key=lambda memory: -sizes[memory]):
            beside = [one for one in places if begin[one] <= end[memory] and begin[memory] <= end[one]]
            place = 0
            for other in sorted(beside, key=lambda one: places[one]):
                if place + sizes[memory] <= places[other]:
                    break
                place = max(place, -(-(places[other] + sizes[other]) // _ALIGNED) * _ALIGNED)
            places[memory] = place
            if place + sizes[memory] > self.size_bytes:
                return None
        return Moved(self._memory, places, loose)


@dataclass(frozen=True, eq=False)
class Moved:
    """Where what operations made lies when they are done again.

    Attributes:
        memory: Of a room.
        places: Memory that was taken → where its bytes begin; what has none stays where it was.
        loose: Memory that was taken → the one tensor that stands for it, and may be given other memory.
    """

    memory: torch.Tensor
    places: Mapping[int, int]
    loose: Mapping[int, torch.Tensor]

    def tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor there, of the same shape."""
        if memory_of(tensor) in self.loose:
            return self.loose[memory_of(tensor)]
        place = self.places.get(memory_of(tensor))
        if place is None:
            return tensor
        first = place // tensor.element_size() + tensor.storage_offset()
        return self.memory.view(tensor.dtype).as_strided(tensor.shape, tensor.stride(), first)

    def value(self, value: Any) -> Any:
        """A value with its tensors there."""
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        return [self.value(one) for one in value] if isinstance(value, list) else value

    def done(self, done: Done) -> Done:
        """An operation there; a view's, which is not done again, as it is."""
        if done.is_view:
            return done
        kwargs = {name: self.value(value) for name, value in done.kwargs.items()}
        return replace(done, args=self.value(done.args), kwargs=kwargs, results=self.value(done.results))


def _loose(done: Sequence[Done], found: Sequence[torch.Tensor]) -> dict[int, torch.Tensor]:
    """What operations make that write to no given memory, and all others read as it was made: it need not be copied."""
    loose = {memory_of(tensor): tensor for one in done if makes_its_memory(one) for tensor in one.made}
    uses = [tensor for one in done if not one.is_view for tensor in (*one.given, *one.made)]
    for tensor in (*uses, *found):
        made = loose.get(memory_of(tensor))
        if made is not None and _geometry(made) != _geometry(tensor):
            del loose[memory_of(tensor)]
    return loose


def _geometry(tensor: torch.Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.dtype
