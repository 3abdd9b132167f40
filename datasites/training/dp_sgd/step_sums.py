"""The sum of a step's clipped gradients over its batches, in this process. It is not noised yet, and stays here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch

from datasites.training.dp_sgd.loader import Batch
from datasites.training.dp_sgd.step_engine import StepEngine
from datasites.training.gpu.step import Recorder

# Of the largest number of a parameter: thousands of additions in float64. Kernels that differ are 2^-24 apart or more.
_ORDER = 2.0**-40

StepSums = Callable[[Iterable[Batch]], list[torch.Tensor]]
"""Adds up the batches' clipped sums, one of each trained parameter's shape: float64, or one batch's as they are."""


class CalledSums:
    """Calls the engine for each batch.

    Args:
        engine: Of the round's model.
    """

    def __init__(self, engine: StepEngine) -> None:
        self.engine = engine

    def __call__(self, batches: Iterable[Batch]) -> list[torch.Tensor]:
        """Returns the sums, one of each trained parameter's shape: of several batches float64."""
        sums: list[torch.Tensor] = []
        for batch in batches:
            parts = self.engine.clipped_sum(batch)
            sums = [total.add_(part) for total, part in zip(in_float64(sums), parts, strict=True)] if sums else parts
        return sums


def in_float64(sums: list[torch.Tensor]) -> list[torch.Tensor]:
    """The same numbers, of any shapes, in float64: to add others to."""
    return [part.to(torch.float64) for part in sums]


class RecordedSums:
    """Launches a recording of the engine's pass for each batch, after the batch was copied to where it reads.

    Guarantees:
        Of the batch that it was made with, it returns what `CalledSums` returns, but for the order in which a GPU adds
        float64 numbers; where that does not hold, or the pass cannot be recorded, it calls the engine. Each batch is
        copied whole: none meets what another left. What is added up begins with zeros in each step.

    Args:
        engine: Of the round's model.
        recorder: Records.
        batch: Made up, of the shape of all batches that follow.

    Raises:
        OutOfMemory: Memory does not hold the recording.
    """

    NAME = "the pass over a batch"

    def __init__(self, engine: StepEngine, recorder: Recorder, batch: Batch) -> None:
        self.engine = engine
        self._batch = Batch(
            tuple(part.clone() for part in batch.inputs) if isinstance(batch.inputs, tuple) else batch.inputs.clone(),
            batch.labels.clone(),
            batch.counted.clone(),
        )
        called = [part.cpu() for part in engine.clipped_sum(self._batch)]  # only compares: no room of the device
        self._flat = torch.zeros(sum(part.numel() for part in called), dtype=torch.float64, device=engine.device)
        parts = self._flat.split([part.numel() for part in called])
        self._sums = [part.view(one.shape) for part, one in zip(parts, called, strict=True)]
        self._launch = recorder.record(self.NAME, self._add)
        if not all(_alike(found.cpu(), part) for found, part in zip(self([batch]), called, strict=True)):
            recorder.is_slower(self.NAME, "The recording gave other numbers than the pass.")
            self._launch = self._add

    def __call__(self, batches: Iterable[Batch]) -> list[torch.Tensor]:
        """Returns the sums, float64, one of each trained parameter's shape, in the same memory in every step.

        Raises:
            ValueError: A batch has another shape than the one that it was made with.
        """
        self._flat.zero_()
        for batch in batches:
            for own, given in zip(_tensors(self._batch), _tensors(batch), strict=True):
                if own.shape != given.shape:  # torch would copy one place to all
                    raise ValueError("A batch has another shape than the one that was recorded.")
                own.copy_(given)
            self._launch()
        return self._sums

    def _add(self) -> None:
        torch._foreach_add_(self._sums, self.engine.clipped_sum(self._batch))


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two sums differ by no more than the order of additions, as where several of a batch's rows meet."""
    return bool(((one - other).abs().max() <= _ORDER * other.abs().max()).item()) if one.numel() else True


def _tensors(batch: Batch) -> Iterator[torch.Tensor]:
    yield from batch.inputs if isinstance(batch.inputs, tuple) else (batch.inputs,)
    yield batch.labels
    yield batch.counted
