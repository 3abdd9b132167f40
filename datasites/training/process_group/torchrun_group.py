"""A process group whose processes `torchrun` started. What they tell each other stays on the hospital's own machines.

For training as a library. Runs of a datasite have no sockets, and take `shared_memory_team` instead.
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
class TorchrunGroup:
    """One process of a process group that speaks by torch.distributed. See `process_group.ProcessGroup`.

    Attributes:
        rank: From 0; the first draws, adds noise and takes the steps.
        size: Number of processes.
        device: Where this one computes and what it sends with.
    """

    rank: int
    size: int
    device: str

    @classmethod
    def join(cls) -> TorchrunGroup:
        """The processes that `torchrun` started: NCCL where each has a GPU of its own, else gloo on CPUs.

        Raises:
            RuntimeError: This process was not started by torchrun.
        """
        on_gpus = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", 1)) and torch.cuda.is_available()
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

    def samples(self, drawn: Callable[[], Iterator[np.ndarray]], *, steps: int) -> Iterator[np.ndarray]:
        """See `ProcessGroup.samples`."""
        samples = drawn() if self.is_first else None
        for _ in range(steps):
            sample = torch.from_numpy(next(samples)) if samples is not None else torch.empty(0, 0, dtype=torch.int64)
            shape = torch.tensor(sample.shape, device=self.device)
            dist.broadcast(shape, src=0)
            told = sample.to(self.device) if self.is_first else sample.new_empty(*shape.tolist()).to(self.device)
            dist.broadcast(told, src=0)
            yield told.cpu().numpy()

    def reduce(self, sums: list[torch.Tensor]) -> list[torch.Tensor]:
        """See `ProcessGroup.reduce`."""
        together = torch.cat([part.reshape(-1) for part in sums])
        dist.reduce(together, dst=0)
        parts = together.split([part.numel() for part in sums])
        for whole, part in zip(sums, parts, strict=True):
            whole.copy_(part.view(whole.shape))
        return sums

    def all_reduce_min(self, number: float) -> float:
        """See `ProcessGroup.all_reduce_min`."""
        told = torch.tensor([number], dtype=torch.float64, device=self.device)
        dist.all_reduce(told, dist.ReduceOp.MIN)
        return told.item()

    def broadcast(self, model: nn.Module) -> None:
        """See `ProcessGroup.broadcast`."""
        for parameter in model.parameters():
            dist.broadcast(parameter.data, src=0)
