"""The number of pictures computed on at once: as many as fit. A choice of speed, made before any picture is read."""

from __future__ import annotations

import contextlib
import ctypes
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from datasites.training.dp_sgd.engine_contract import Inputs
from datasites.training.pictures.reports import empty_inputs
from policies.errors import OutOfMemory
from policies.plans.training import TrainingPlan

# Inputs, outputs and their gradients beside each other, and what a convolution needs to work in.
_TIMES_FORWARD = 3
_SHARE_OF_FREE = 0.6
_AHEAD_BYTES = 1 << 28  # of a GPU's memory, for batches that lie ready
_FEWEST_AHEAD, _MOST_AHEAD = 2, 32
_WHILE_CHANGED = 3  # batches' memory, beside those two that are tried beforehand, that changing one takes
# glibc's names in malloc.h: blocks taken from the system one by one, and free memory above which some is given back.
_MMAP_MAX, _TRIM_THRESHOLD = -4, -1


def pictures_that_fit(
    model: nn.Module, images: Inputs, *, most: int, views: int = 1, copies_of_weights: int = 0
) -> int:
    """Returns how many pictures, from 1 to `most`, a pass over the model has room for in free memory.

    Args:
        model: The model, on the device that counts.
        images: One batch of inputs; only its shape is read.
        most: The plan's limit.
        views: Of each picture.
        copies_of_weights: Gradients as large as the model that an engine holds for each picture.
    """
    device = next(model.parameters()).device
    each = _TIMES_FORWARD * bytes_of_forward(model, images)
    each = views * (each + copies_of_weights * sum(4 * p.numel() for p in model.parameters() if p.requires_grad))
    free = free_bytes(device)
    return most if free is None else max(1, min(most, int(_SHARE_OF_FREE * free / max(each, 1))))


def bytes_of_forward(model: nn.Module, images: Inputs) -> int:
    """Bytes that a forward pass makes for each picture; found by running the model without numbers.

    On a processor it runs on two empty pictures: without numbers torch imports its compiler, as long as itself.

    Raises:
        OutOfMemory: The processor's memory does not hold two pictures.
    """
    parts = images if isinstance(images, tuple) else (images,)
    weights = [*model.named_parameters(), *model.named_buffers()]
    on_processor = all(tensor.device.type == "cpu" for _, tensor in weights)
    device = "cpu" if on_processor else "meta"
    empty = tuple(torch.zeros(2, *part.shape[1:], dtype=part.dtype, device=device) for part in parts)
    tensors = {} if on_processor else {name: torch.empty_like(tensor, device="meta") for name, tensor in weights}
    counter = _Counter()
    # Attention as it takes most, as it is where there are no numbers.
    with torch.no_grad(), memory_is_told_of(), sdpa_kernel(SDPBackend.MATH), counter:
        torch.func.functional_call(model, tensors, (empty if isinstance(images, tuple) else empty[0],))
    return counter.bytes // 2


def keep_freed_memory() -> None:
    """Tells the C library to keep the memory that a step frees for the next one, where it is glibc.

    It would give large blocks back to the system at once, which then hands them out again page by page: up to a third
    of a step's time. For processes that train and end.
    """
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    tell(_MMAP_MAX, 0)
    tell(_TRIM_THRESHOLD, -1)


def free_bytes(device: torch.device) -> int | None:
    """Free memory where `device` computes, or None where this process is not told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    known = [value for value in (_available(), _below_the_limit()) if value is not None]
    return min(known) if known else None


def is_out_of_memory(error: Exception) -> bool:
    """Whether the processor's or the GPU's memory was too small; torch has a class of its own for the latter alone."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextlib.contextmanager
def memory_is_told_of() -> Iterator[None]:
    """Lets want of memory be told as such, whoever says it.

    Raises:
        OutOfMemory: In place of what the processor or the GPU said.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            "The hospital's memory did not hold a part of a step. Set a smaller physical_batch_size."
        ) from None


def batches_ahead(plan: TrainingPlan, places: int) -> int:
    """How many batches of a training plan lie ready on a GPU beside the one that is in use.

    Args:
        plan: Says what a batch's pictures are.
        places: Of a batch, at most.
    """
    return max(_FEWEST_AHEAD, min(_MOST_AHEAD, _AHEAD_BYTES // _batch_bytes(plan, places)))


def room_for_batches_ahead(plan: TrainingPlan, places: int, device: str) -> torch.Tensor:
    """Takes as much of a GPU's memory as the batches that will lie ready there take, beside two that are tried.

    Args:
        plan: As `batches_ahead`.
        places: Likewise, of each batch.
        device: As torch names it; on a processor no batch lies ready, and nothing is taken.

    Returns:
        uint8, (bytes,), to be let go when all else was tried beside it.

    Raises:
        OutOfMemory: Memory does not hold them.
    """
    size = (batches_ahead(plan, places) + _WHILE_CHANGED) * _batch_bytes(plan, places)
    with memory_is_told_of():
        return torch.empty(size if device.startswith("cuda") else 0, dtype=torch.uint8, device=device)


def _batch_bytes(plan: TrainingPlan, places: int) -> int:
    empty = empty_inputs(plan.model, places * plan.pictures_per_patient * plan.augmentation_multiplicity)
    return sum(part.numel() * part.element_size() for part in (empty if isinstance(empty, tuple) else (empty,)))


class _Counter(TorchDispatchMode):
    """Adds up the sizes of all that functions return; views count as well, which errs to the safe side."""

    bytes = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to skip its compiler torch would import it."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, tuple | list) else (found,):
            if isinstance(tensor, torch.Tensor):
                self.bytes += tensor.numel() * tensor.element_size()
        return found


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _below_the_limit() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    try:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return None
    return None if limit == resource.RLIM_INFINITY else max(0, limit - taken)
