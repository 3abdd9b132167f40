"""Lengths and sums of pictures' gradients that are written out. Both stay in the process: they are not noised yet.

The numbers are float32, and no faster format is taken for float32 behind its name. What is made of them is float64:
squares of float32 numbers leave float32 on both sides, and a sum over many pictures keeps too little of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from datasites.training.gpu import readiness

# Pictures whose gradients are added in float32; above them everything is float64.
TOGETHER = 64
# Pictures that were added up, summed over the parts that join them in float32: 2^-23 of this is 2^-13 C.
_MOST_JOINED = 1024
# Numbers that are copied at once, so that the copy stays in the processor's cache.
_BLOCK = 1 << 17
_BLOCK_ON_A_GPU = 1 << 27  # where each launch costs, and nothing is cached
_LEAST_WIDTH = 1024  # numbers of a row that are read in one go: fewer, and rows that lie far apart are read in bits
_WHOLE = {4: torch.int32, 8: torch.int64}  # as many bits as a number of so many bytes
# Where torch can be told, or tells itself, to multiply float32 numbers in fewer bits (TF32, bfloat16).
_BACKENDS: tuple[Any, ...] = (
    torch.backends.cudnn.conv,  # type: ignore[attr-defined]
    torch.backends.cuda.matmul,
    torch.backends.mkldnn.conv,  # type: ignore[attr-defined]
    torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
)


@contextmanager
def full_precision(device: str) -> Iterator[None]:
    """Products in the precision of their factors: no autocast, no TF32. For norms and sums; as before afterwards.

    Args:
        device: The kind of device, as torch names it.
    """
    before = [(backend, backend.fp32_precision) for backend in _BACKENDS]
    other = [(backend, precision) for backend, precision in before if precision != "ieee"]  # telling torch takes time
    try:
        for backend, _ in other:
            backend.fp32_precision = "ieee"
        with without_autocast(device):
            yield
    finally:
        for backend, precision in other:
            backend.fp32_precision = precision


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Switches autocast off on a kind of device; where it is off, as in most runs, nothing is switched.

    Args:
        device: As torch names it.
    """
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def square_norms(gradients: torch.Tensor) -> torch.Tensor:
    """Each picture's squared gradient norm.

    Guarantees:
        No square of a float32 number underflows or overflows: the result is exact to a few units in the last place of
        float64, whatever the gradient.

    Args:
        gradients: float32, (B, *shape).

    Returns:
        float64, (B,).
    """
    rows = gradients.flatten(1)
    if _has_kernels(rows):
        from datasites.training.gpu import rows as kernels

        return kernels.square_norms(rows)
    block, total = _block(rows), rows.new_zeros(len(rows), dtype=torch.float64)
    width = max(_LEAST_WIDTH, block // max(1, len(rows)))  # the same for all rows, so that each is added up alike
    together = max(1, block // max(1, min(width, rows.shape[1])))
    for some, sums in zip(pieces(rows, together), pieces(total, together), strict=True):
        for part in pieces(some, width, dim=1):
            sums.add_(part.to(torch.float64, copy=True).square_().sum(dim=1))
    return total


def weighted_sum(gradients: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """The sum of the gradients, each times its factor.

    Guarantees:
        A picture whose factor is 0 adds exactly nothing, also where its gradient is not finite.

    Args:
        gradients: float32, (B, *shape).
        factors: float64, (B,); 0, or at least the smallest normal float32.

    Returns:
        float64, of `shape`.
    """
    rows, weights = gradients.flatten(1), factors.to(gradients.dtype)
    if _has_kernels(rows):
        from datasites.training.gpu import rows as kernels

        return kernels.weighted_sum(rows, weights).view(gradients.shape[1:])
    total = rows.new_zeros(rows.shape[1], dtype=torch.float64)
    width = max(1, _block(rows) // max(1, min(len(rows), TOGETHER)))
    together = TOGETHER * max(1, width // max(1, rows.shape[1]))
    memory = rows.new_empty(min(together, len(rows)) * min(width, rows.shape[1]))
    for part, own in zip(pieces(rows, together), pieces(weights, together), strict=True):
        kept = kept_bits(own, rows.dtype)
        for sums, numbers in zip(pieces(total, width), pieces(part, width, dim=1), strict=True):
            add_in_groups(sums, own[:, None], only_kept(numbers, kept, memory))
    return total.view(gradients.shape[1:])


def add_in_groups(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """Adds the product of two matrices to `total`: pictures in float32, `TOGETHER` at a time, and these in float64.

    A few such groups, as many as `parts_together` says, are joined in float32 too.

    Args:
        total: float64, (p, d), or (d,) where p is 1.
        left: float32, (B, p).
        right: float32, (B, d).
    """
    rest, found = len(left) % TOGETHER, []
    whole = len(left) - rest
    if whole > TOGETHER:
        groups = (rows[:whole].unflatten(0, (-1, TOGETHER)) for rows in (left, right))
        parts = torch.bmm(next(groups).transpose(1, 2), next(groups))
        dtype = parts.dtype if len(parts) <= parts_together(TOGETHER) else torch.float64
        found.append(parts.sum(dim=0, dtype=dtype))
    elif whole:
        found.append(left[:whole].t() @ right[:whole])
    if rest:
        found.append(left[whole:].t() @ right[whole:])
    for one in found:
        total.add_(one.view(total.shape))


def pieces(numbers: torch.Tensor, size: int, dim: int = 0) -> Sequence[torch.Tensor]:
    """Numbers, (n, ...), cut as by `torch.split`; one that stays whole is not: a cut takes as long as a small layer."""
    return (numbers,) if numbers.shape[dim] <= size else numbers.split(size, dim)


def parts_together(pictures: int) -> int:
    """How many parts of a sum, each over at most `pictures`, are added in float32, which moves it by at most 2^-13 C.

    With the j-th part the sum is at most j * pictures bounds C long, and rounds by 2^-24 of that, with one picture
    more and without.
    """
    return max(n for n in range(1, TOGETHER + 1) if pictures * (n * (n + 1) // 2 - 1) <= _MOST_JOINED)


class JoinedParts:
    """Adds up parts of a clipped sum: as many in float32 as `parts_together` says, and these in float64.

    Args:
        pictures: How many a part is the sum over, at most.
    """

    def __init__(self, pictures: int) -> None:
        self._most = parts_together(pictures)
        self._number = 0
        self._joined = self._total = torch.zeros(())

    def add(self, part: torch.Tensor) -> None:
        """Adds a part in the sum's shape, float32 or float64 as the model is, whose memory is the sum's from now on."""
        if self._number % self._most:
            self._joined.add_(part)
        else:
            self._total, self._joined = self.sum().to(torch.float64, memory_format=torch.contiguous_format), part
        self._number += 1

    def sum(self) -> torch.Tensor:
        """Returns what was added, in its shape, contiguous; without a part, a zero.

        It is float64 where that was needed; what was joined in float32 stays that, to the last bit the same number.
        """
        return self._total.add_(self._joined) if self._number > self._most else self._joined.contiguous()


def _has_kernels(rows: torch.Tensor) -> bool:
    return readiness.kernels_run_on(rows.device) and rows.dtype == torch.float32 and rows.numel() > 0


def _block(rows: torch.Tensor) -> int:
    return _BLOCK_ON_A_GPU if rows.is_cuda else _BLOCK


def only_weighted(rows: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """The rows, (B, ...), with zeros in place of those whose factor, (B,), is 0: 0 times NaN is NaN.

    All bits of a number are kept or none, which takes a fifth of the time of choosing one of two numbers.
    """
    return only_kept(rows, kept_bits(factors, rows.dtype))


def kept_bits(factors: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The bits of a picture's numbers that count: all, or none where its factor is 0. For `only_kept`.

    Args:
        factors: (B,).
        dtype: Of the numbers.

    Returns:
        Whole numbers, (B,).
    """
    return -(factors != 0).to(_WHOLE[dtype.itemsize])


def only_kept(rows: torch.Tensor, kept: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
    """As `only_weighted`, by what `kept_bits` gives.

    Args:
        rows: (B, ...), of the precision that `kept` was made for.
        kept: (B,).
        memory: (N,), of that precision, where to write them, if they have at most N numbers: memory that was just
            used lies in the processor's cache. None: in memory of their own.
    """
    out = None if memory is None else memory[: rows.numel()].view(rows.shape).view(kept.dtype)
    shape = (-1, *[1] * (rows.dim() - 1))
    return torch.bitwise_and(rows.view(kept.dtype), kept.view(shape), out=out).view(rows.dtype)
