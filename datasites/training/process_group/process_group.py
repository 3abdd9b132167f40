"""Processes of one hospital, one for each GPU, that take each step together. Nothing they tell each other leaves.

The mechanism stays one: the first process draws every step's sample and adds its noise, once, to the sum over all
processes. The others compute their share of that sum and know nothing else. So epsilon and the distribution of the
result are those of one device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn


class ProcessGroup(Protocol):
    """Which of a round's processes this one is, and what it tells the others."""

    @property
    def rank(self) -> int:
        """From 0."""

    @property
    def size(self) -> int:
        """Number of processes."""

    @property
    def device(self) -> str | None:
        """The GPU that this process takes, as torch names it; None: the one that it sees."""

    @property
    def is_first(self) -> bool:
        """Whether this process draws, adds noise and takes the steps."""

    def samples(self, drawn: Callable[[], Iterator[np.ndarray]], *, steps: int) -> Iterator[np.ndarray]:
        """Yields each step's sample, the same in every process: which of its batches each computes follows from it.

        A step's sample may be asked for before the step before it is taken, in all processes or in none.

        Args:
            drawn: Draws the samples, int64, (B, columns) each; called in the first process alone.
            steps: Number of samples.
        """

    def reduce(self, sums: list[torch.Tensor]) -> list[torch.Tensor]:
        """Adds up the processes' sums. The first process gets the total; the others must not use what they get.

        Args:
            sums: float64, one of each trained parameter's shape, clipped and not yet noised; may be changed.

        Returns:
            The total in the first process, of the same shapes.
        """

    def all_reduce_min(self, number: float) -> float:
        """Returns the least of the processes' numbers, in every process.

        Args:
            number: This process's; nothing of the pictures may be in it.
        """

    def broadcast(self, model: nn.Module) -> None:
        """Gives every process the parameters of the first one.

        Args:
            model: The same model in all processes; its parameters are replaced in all but the first.
        """


@dataclass(frozen=True)
class SingleProcess:
    """One process that does it all."""

    rank: int = 0
    size: int = 1
    device: str | None = None
    is_first: bool = True

    def samples(self, drawn: Callable[[], Iterator[np.ndarray]], *, steps: int) -> Iterator[np.ndarray]:
        """See `ProcessGroup.samples`."""
        return drawn()

    def reduce(self, sums: list[torch.Tensor]) -> list[torch.Tensor]:
        """See `ProcessGroup.reduce`."""
        return sums

    def all_reduce_min(self, number: float) -> float:
        """See `ProcessGroup.all_reduce_min`."""
        return number

    def broadcast(self, model: nn.Module) -> None:
        """See `ProcessGroup.broadcast`."""


SINGLE_PROCESS = SingleProcess()
"""The one process of a round that is not shared."""
