"""Processes of one hospital, one for each GPU, that take each step together. Nothing they tell each other leaves.

The mechanism stays one: the first process draws every step's sample and adds its noise, once, to the sum over all
processes. The others compute their share of that sum and know nothing else. So epsilon and the distribution of the
result are those of one device.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Team:
    """Which of a round's processes this one is.

    Attributes:
        rank: From 0; the first draws, adds noise and takes the steps.
        size: Number of processes.
        device: Where this one computes and what it sends with; None leaves that to the plan.
    """

    rank: int = 0
    size: int = 1
    device: str | None = None

    @classmethod
    def of_torchrun(cls) -> Team:
        """The processes that `torchrun` started: NCCL where there are GPUs, one for each process, else gloo.

        Raises:
            RuntimeError: This process was not started by torchrun.
        """
        on_gpus = torch.cuda.is_available()
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if on_gpus else "cpu"
        if on_gpus:
            torch.cuda.set_device(device)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if on_gpus else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @property
    def is_first(self) -> bool:
        """Whether this process draws, adds noise and takes the steps."""
        return self.rank == 0

    def shares(self, drawn: Callable[[], Iterator[np.ndarray]], *, steps: int) -> Iterator[np.ndarray]:
        """Yields this process's share of each step's sample.

        Guarantees:
            The samples are those of `drawn` in the first process; each of their pictures is in one process's share.

        Args:
            drawn: Draws the steps' samples, int64, (B,) each; called in the first process alone.
            steps: Number of samples.
        """
        if self.size == 1:
            yield from drawn()
            return
        samples = drawn() if self.is_first else None
        for _ in range(steps):
            sample = torch.from_numpy(next(samples)) if samples is not None else torch.empty(0, dtype=torch.int64)
            length = torch.tensor([len(sample)], device=self.device)
            dist.broadcast(length, src=0)
            told = (
                sample.to(self.device) if self.is_first else torch.empty(int(length), dtype=torch.int64).to(self.device)
            )
            dist.broadcast(told, src=0)
            yield told.cpu().numpy()[self.rank :: self.size]

    def total(self, sums: list[torch.Tensor]) -> list[torch.Tensor]:
        """Adds up the processes' sums; what the first gets is the total, what the others get is of no use.

        Args:
            sums: float32, one for each parameter, clipped and not yet noised.
        """
        if self.size == 1:
            return sums
        together = torch.cat([part.reshape(-1) for part in sums])
        dist.reduce(together, dst=0)
        parts = together.split([part.numel() for part in sums])
        return [part.view(shape.shape) for part, shape in zip(parts, sums, strict=True)]

    def follow(self, model: nn.Module) -> None:
        """Gives every process the first one's parameters."""
        if self.size > 1:
            for parameter in model.parameters():
                dist.broadcast(parameter.data, src=0)


ALONE = Team()
