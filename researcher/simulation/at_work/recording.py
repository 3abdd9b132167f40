"""Torch operations of a processor that are done once and recorded, and then done again in memory that they have.

A step of a small model takes longer to say than to compute: which layer has which rule, what is the gradient of what,
where a result lies. Of all that a recording has the result, a list of operations and their tensors. Made-up hospitals
alone are trained so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from researcher.simulation.at_work.operations import (
    COPIES,
    EMPTY,
    TOO_MUCH,
    Done,
    Record,
    form_with_out,
    memory_of,
    needed,
)
from researcher.simulation.at_work.room import Moved, Room

_aten = torch.ops.aten
_MOST_TIMES = 4  # as much memory as a room has is taken while operations are noted, and let go


class Recording:
    """Operations that were done, in a list.

    Attributes:
        found: What was returned.
        why_not: Why it cannot be done again; empty where it can.
    """

    def __init__(self, do: Callable[[], Sequence[torch.Tensor]], room: Room) -> None:
        """Does what is to be recorded.

        Args:
            do: Reads the same memory each time that it is called, and writes none that it did not make; what it
                returns may have any shape.
            room: Where it is done again.
        """
        record = Record(_MOST_TIMES * room.size_bytes)
        with record:
            self.found = [one.detach() for one in do()]
        self.why_not = record.why_not
        self._calls: list[Callable[[], object]] = []
        self._again: list[torch.Tensor] = []
        if not self.why_not:
            done = needed(record.done, self.found)
            moved = room.moved(done, self.found)
            if moved is None:
                self.why_not = TOO_MUCH
            else:
                self._again = [moved.tensor(one) for one in self.found]
                self._calls = list(_calls(done, moved))

    def again(self) -> list[torch.Tensor]:
        """Does it again, of what the memory that it reads holds now.

        Returns:
            What it finds, each of the shape that it had, in memory that lies in the room or is taken anew.
        """
        with torch.no_grad():
            for call in self._calls:
                call()
        return self._again


def _calls(done: Sequence[Done], moved: Moved) -> Iterator[Callable[[], object]]:
    """What does the operations again, each writing to where its results lie then."""
    for before in done:
        name, one = before.operation._schema.name, moved.done(before)
        if one.writes:
            yield partial(one.operation, *one.args, **one.kwargs)
        elif before.is_view or name in EMPTY:
            continue
        elif one.constant is not None:
            if memory_of(before.made[0]) in moved.places:
                yield partial(_aten.copy_.default, one.made[0], one.constant)
        elif name in COPIES:
            yield partial(_aten.copy_.default, one.made[0], one.args[0])
        else:
            yield _into_its_results(one, moved)


def _into_its_results(done: Done, moved: Moved) -> Callable[[], object]:
    """Does an operation again, by its form that writes where it is told, if there is one that makes no copy for it."""
    form = form_with_out(done)
    if form is not None:
        return partial(form[0], *done.args, **done.kwargs, **dict(zip(form[1], done.made, strict=True)))
    loose = {id(one) for one in moved.loose.values()}

    def again() -> None:
        found = done.operation(*done.args, **done.kwargs)
        for memory, one in zip(done.results, found if isinstance(found, list | tuple) else [found], strict=True):
            if memory is None:
                continue
            if id(memory) in loose:
                memory.data = one
            else:
                memory.copy_(one)

    return again
