"""Processes that share memory, for runs that are closed in. Nothing they tell each other leaves.

Inside the sandbox there are no sockets, no files and no new processes, so neither torchrun nor NCCL can work there.
Samples, sums and parameters pass through memory that was shared before; pipes say whose turn it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from datasites.training.process_group.group_memory import GroupMemory, expect_of_all
from policies.errors import ProcessGroupBroken

_READY, _SAMPLE, _NUMBER, _SUMS, _PARAMETERS = b"r", b"s", b"n", b"g", b"p"


class SharedMemoryGroup:
    """One of the processes that share a `GroupMemory`. See `process_group.ProcessGroup`.

    Guarantees:
        Epsilon and the distribution of the result are those of one device: the first process alone draws the samples,
        adds noise, once, to the sum over all, and takes the steps. A process that ends early ends the round with an
        error; a total without its part is never made. The memory is the processes' own and ends with the last.

    Args:
        memory: Made before the fork.
        rank: Which process this one is, from 0.
    """

    device = None  # each sees one GPU, its own

    def __init__(self, memory: GroupMemory, rank: int) -> None:
        self.rank, self.size = rank, memory.size
        self._memory, self._lines = memory, memory.lines(rank)

    @property
    def is_first(self) -> bool:
        """Whether this process draws, adds noise and takes the steps."""
        return self.rank == 0

    def barrier(self) -> None:
        """Returns once all processes have come here.

        Raises:
            ProcessGroupBroken: One of them ended; with what it said.
        """
        if self.is_first:
            self._expect(_READY)
            self._tell(_READY)
        else:
            self._tell(_READY)
            self._expect(_READY)

    def give_up(self, why: str) -> None:
        """Tells the first process why this one ends, which it has to do then.

        Args:
            why: For the hospital's log: nothing of the pictures.
        """
        for line in self._lines:
            line.give_up(why)

    def samples(self, drawn: Callable[[], Iterator[np.ndarray]], *, steps: int) -> Iterator[np.ndarray]:
        """See `ProcessGroup.samples`. The memory has room for those of two steps: the others have read a step's sample
        when they give their sums of the step before it.

        Raises:
            ProcessGroupBroken: Another process has ended.
        """
        samples = drawn() if self.is_first else None
        for step in range(steps):
            if samples is not None:
                sample = next(samples)
                self._memory.write_sample(sample, step)
                self._tell(_SAMPLE)
            else:
                self._expect(_SAMPLE)
                sample = self._memory.read_sample(step)
            yield sample

    def all_reduce_min(self, number: float) -> float:
        """See `ProcessGroup.all_reduce_min`.

        Raises:
            ProcessGroupBroken: Another process has ended.
        """
        numbers = self._memory.numbers[:, 0]
        numbers[self.rank] = number
        if self.is_first:
            self._expect(_NUMBER)
            numbers[0] = numbers.min()
            self._tell(_NUMBER)
            self._expect(_NUMBER)  # all have read it before it is written over
        else:
            self._tell(_NUMBER)
            self._expect(_NUMBER)
        least = float(numbers[0])
        if not self.is_first:
            self._tell(_NUMBER)
        return least

    @torch.no_grad()
    def reduce(self, sums: list[torch.Tensor]) -> list[torch.Tensor]:
        """See `ProcessGroup.reduce`. Parts are added in the order of the processes: nothing hangs on who was faster.

        Raises:
            ProcessGroupBroken: Another process has ended.
        """
        if not self.is_first:
            for place, part in zip(self._places(self.rank, sums), sums, strict=True):
                place.copy_(part)
            self._tell(_SUMS)
            return sums
        self._expect(_SUMS)
        for rank in range(1, self.size):
            for place, part in zip(self._places(rank, sums), sums, strict=True):
                part.add_(place.to(part.device))
        return sums

    @torch.no_grad()
    def broadcast(self, model: nn.Module) -> None:
        """See `ProcessGroup.broadcast`.

        Raises:
            ProcessGroupBroken: Another process has ended.
        """
        parameters = [parameter.data for parameter in model.parameters()]
        if not self.is_first:
            self._expect(_PARAMETERS)
        for place, parameter in zip(self._places(0, parameters), parameters, strict=True):
            if self.is_first:
                place.copy_(parameter)
            else:
                parameter.copy_(place)
        if self.is_first:
            self._tell(_PARAMETERS)

    def _places(self, rank: int, like: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Where a process's numbers lie in the shared memory, one place for each tensor and of its shape."""
        row = torch.from_numpy(self._memory.numbers[rank])
        needed = sum(tensor.numel() for tensor in like)
        if needed > len(row):
            raise ProcessGroupBroken(
                "The model does not fit into the memory that the run's processes share. Ask the hospital.",
                private=f"{needed} numbers, room for {len(row)}",
            )
        parts = row[:needed].split([tensor.numel() for tensor in like])
        return [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]

    def _tell(self, word: bytes) -> None:
        for line in self._lines:
            line.tell(word)

    def _expect(self, word: bytes) -> None:
        expect_of_all(self._lines, word)
