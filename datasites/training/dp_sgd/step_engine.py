"""An engine of private gradients as a run uses it: one model, device and precision. Its sums stay in the process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from datasites.training.dp_sgd.engine_contract import ClippedGradients
from datasites.training.dp_sgd.loader import Batch
from datasites.training.dp_sgd.memory import memory_is_told_of
from datasites.training.dp_sgd.weighted_sums import without_autocast

# Not the memory-efficient one, whose way back adds in an order of chance: seen with float32 on an H200.
_ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH]


@dataclass(frozen=True)
class StepEngine:
    """Gives an engine whole batches, all with the same kernels.

    Attributes:
        engine: Computes.
        device: Where, as torch names it.
        precision: Of the model, a plan's `run.precision`.
    """

    engine: ClippedGradients
    device: str
    precision: str

    def clipped_sum(self, batch: Batch) -> list[torch.Tensor]:
        """Returns the sum over the counted places: see `ClippedGradients.clipped_sum`.

        Raises:
            OutOfMemory: Memory did not hold the batch.
        """
        with self._same_kernels(), memory_is_told_of():
            return self.engine.clipped_sum(batch.inputs, batch.labels, batch.counted)

    def norms_and_sum(self, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Returns norms and sum from one pass: see `ClippedGradients.norms_and_sum`.

        Raises:
            OutOfMemory: Memory did not hold the batch.
        """
        with self._same_kernels(), memory_is_told_of():
            return self.engine.norms_and_sum(batch.inputs, batch.labels, batch.counted)

    def norms(self, batch: Batch) -> torch.Tensor:
        """Each place's gradient norm: see `ClippedGradients.norms`.

        Raises:
            OutOfMemory: Memory did not hold the batch.
        """
        with self._same_kernels(), memory_is_told_of():
            return self.engine.norms(batch.inputs, batch.labels, len(batch.labels) // len(batch.counted))

    @contextlib.contextmanager
    def _same_kernels(self) -> Iterator[None]:
        """No kernel is chosen by trying which is fastest, and none that adds in an order of chance."""
        kind, cudnn = torch.device(self.device).type, torch.backends.cudnn
        before = cudnn.benchmark, cudnn.deterministic
        cudnn.benchmark, cudnn.deterministic = False, True
        half = self.precision == "bfloat16"
        try:
            with torch.autocast(kind, torch.bfloat16) if half else without_autocast(kind), sdpa_kernel(_ATTENTION):
                yield
        finally:
            cudnn.benchmark, cudnn.deterministic = before
