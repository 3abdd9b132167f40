"""Steps of made-up hospitals, by recordings of what batches of one shape are computed by. Nothing here is private."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from datasites.training.dp_sgd.engine_contract import Inputs
from datasites.training.dp_sgd.loader import Batch
from datasites.training.dp_sgd.memory import memory_is_told_of
from datasites.training.local_round import AddGradients
from datasites.training.losses import Loss
from researcher.simulation.at_work.recording import Recording
from researcher.simulation.at_work.room import Room

_MOST_BYTES = 1 << 25  # of recordings: larger models take long beside what they save

Computes = Callable[..., Sequence[torch.Tensor]]


@dataclass(eq=False)
class _Known:
    """A recording for tensors of one shape.

    Attributes:
        recording: None where there is none, as it could not be made or was found to be wrong.
        tensors: That it reads.
        is_tried: Whether it was seen to find what is computed without it.
    """

    recording: Recording | None
    tensors: tuple[torch.Tensor, ...]
    is_tried: bool = False


class Recorded:
    """Computes something of tensors, and records it for each shape that they come in.

    The first time of a shape is recorded. The second time it is done both ways, of other pictures and weights, and
    where the results are not the same to the last bit, the shape is computed without a recording for good.

    Args:
        compute: Of tensors and settings. Of the same ones and the same weights it finds the same.
    """

    def __init__(self, compute: Computes) -> None:
        self._compute = compute
        self._known: dict[Hashable, _Known] = {}
        self._room = Room(_MOST_BYTES)

    def __call__(self, *tensors: torch.Tensor, settings: tuple[Hashable, ...] = ()) -> Sequence[torch.Tensor]:
        """Returns what was computed, in memory that later calls may overwrite.

        Args:
            tensors: On the processor, of any shape.
            settings: Passed on behind them.

        Raises:
            OutOfMemory: Memory did not hold it.
        """
        key = (settings, *((one.shape, one.stride(), one.dtype) for one in tensors))
        known = self._known.get(key)
        if known is None:
            return self._first(key, tensors, settings)
        recording = known.recording
        if recording is None:
            return self._compute(*tensors, *settings)
        for own, given in zip(known.tensors, tensors, strict=True):
            own.copy_(given)
        with memory_is_told_of():
            found = recording.again()
        if known.is_tried:
            return found
        wanted = self._compute(*tensors, *settings)
        if all(map(_same, found, wanted)):
            known.is_tried = True
        else:
            known.recording = None
        return wanted

    def _first(
        self, key: Hashable, tensors: tuple[torch.Tensor, ...], settings: tuple[Hashable, ...]
    ) -> Sequence[torch.Tensor]:
        own = tuple(one.clone() for one in tensors)
        recording = Recording(lambda: self._compute(*own, *settings), self._room)
        self._known[key] = _Known(None, ()) if recording.why_not else _Known(recording, own)
        return recording.found


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are the same to the last bit."""
    found, wanted = (each.detach().contiguous().view(-1).view(torch.uint8) for each in (one, other))
    return one.dtype == other.dtype and torch.equal(found, wanted)


class DrawnAlone:
    """Sums of a step's batches without their empty places, which a hospital computes so that no time tells of a draw.

    What a drawn picture adds hangs on no other place, but for rounding; and a simulation protects nobody.

    Args:
        clipped_sum: An engine's, of the rounds' model; see `StepEngine.clipped_sum`.
    """

    def __init__(self, clipped_sum: Callable[[Batch], list[torch.Tensor]]) -> None:
        def compute(*tensors: torch.Tensor) -> list[torch.Tensor]:
            *inputs, labels, counted = tensors
            return clipped_sum(Batch(_given(inputs), labels, counted))

        self._sum = Recorded(compute)

    def __call__(self, batches: Iterable[Batch]) -> list[torch.Tensor]:
        """Returns the sums, each of its parameter's shape, as `CalledSums` adds them to the last bit.

        They are good until they are asked for again.
        """
        sums: list[torch.Tensor] = []
        for number, batch in enumerate(map(drawn, batches)):
            if number == 1:  # the next may be written to the same memory
                sums = [one.to(torch.float64, copy=True) for one in sums]
            parts = self._sum(*_parts(batch.inputs), batch.labels, batch.counted)
            sums = [total.add_(part) for total, part in zip(sums, parts, strict=True)] if sums else list(parts)
        return sums


def drawn(batch: Batch) -> Batch:
    """A batch's taken places; the batch as it is where all are taken.

    Args:
        batch: Of which none, some or all are.
    """
    taken = batch.counted
    if taken.all():
        return batch

    places = taken.nonzero().squeeze(1)

    def of(rows: torch.Tensor) -> torch.Tensor:
        by_view = rows.view(-1, len(taken), *rows.shape[1:])
        return by_view.index_select(1, places).flatten(0, 1)

    return Batch(_given([of(rows) for rows in _parts(batch.inputs)]), of(batch.labels), taken[taken])


def recorded_gradients(model: nn.Module, loss: Loss) -> AddGradients:
    """Returns what adds gradients without privacy, recorded.

    Args:
        model: Of the rounds.
        loss: Of the plan.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def compute(*given: Any) -> Sequence[torch.Tensor]:
        *inputs, labels, pictures = given
        mean = loss(model(_given(inputs)), labels) / pictures
        return torch.autograd.grad(mean, trained, allow_unused=True, materialize_grads=True)

    recorded = Recorded(compute)

    def add(inputs: Inputs, labels: torch.Tensor, pictures: int) -> None:
        found = recorded(*_parts(inputs), labels, settings=(pictures,))
        gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
        torch._foreach_add_(gradients, list[torch.Tensor](found))

    return add


def _parts(inputs: Inputs) -> tuple[torch.Tensor, ...]:
    return inputs if isinstance(inputs, tuple) else (inputs,)


def _given(parts: Sequence[torch.Tensor]) -> Inputs:
    """What the model takes: a single tensor, or several."""
    return tuple(parts) if len(parts) > 1 else parts[0]
