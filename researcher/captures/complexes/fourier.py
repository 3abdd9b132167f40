"""Fourier transforms of a fixed size: each line of numbers times constant tables of cosines and sines."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from policies.graphs.limits import LIMITS
from researcher.captures.composed.tables import mapped
from researcher.captures.translated import Call, Like, Translate, Untranslatable, shape_of
from researcher.captures.writer import Operand, Pair, Ref

_APART = "it transforms over the pictures of a batch. Name the axes of a picture, as dim=(-2, -1)"
_LONG = "no graph holds its table of cosines and sines. Transform lines of up to about a thousand numbers"
_BYTES = 4  # of a number of a graph
_HALVED = {"rfft", "rfft2", "rfftn", "irfft", "irfft2", "irfftn"}


def _tables(size: int, rows: int, columns: int, sign: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of row times column turns of a circle in `size` parts, float64, (rows, columns).

    Raises:
        Untranslatable: No graph holds as many numbers.
    """
    if rows * columns > LIMITS.constant_bytes // _BYTES:
        raise Untranslatable(_LONG)
    turns = torch.outer(torch.arange(rows), torch.arange(columns)) % size
    angles = turns.double() * (2 * math.pi / size)
    sines = torch.where(2 * turns % size == 0, torch.zeros(()).double(), angles.sin())  # 0 where it is exactly
    return angles.cos(), sign * sines


def _factor(size: int, norm: str, *, inverse: bool) -> float:
    if norm == "ortho":
        return 1 / math.sqrt(size)
    return 1 / size if inverse == (norm == "backward") else 1.0


def _sum(call: Call, first: Ref, second: Ref, sign: int) -> Ref:
    return call.add("add" if sign > 0 else "subtract", first, second, like=shape_of(first))


def _complex_lines(call: Call, value: Operand, axis: int, size: int, norm: str, *, inverse: bool, half: bool) -> Pair:
    """Of each line its transform, or with `half` the first half of it, which says the rest of real numbers."""
    old = value.shape[axis]
    rows = size // 2 + 1 if half else size
    cosines, sines = _tables(size, rows, min(old, size), 1.0 if inverse else -1.0)
    factor = _factor(size, norm, inverse=inverse)
    cosines, sines = (_widened(factor * table, old) for table in (cosines, sines))
    if not isinstance(value, Pair):
        return Pair(mapped(call, value, axis, cosines), mapped(call, value, axis, sines))
    real, imaginary = (call.writer.read(part) for part in value.parts)
    return Pair(
        _sum(call, mapped(call, real, axis, cosines), mapped(call, imaginary, axis, sines), -1),
        _sum(call, mapped(call, real, axis, sines), mapped(call, imaginary, axis, cosines), 1),
    )


def _real_lines(call: Call, value: Operand, axis: int, size: int, norm: str) -> Ref:
    """The real numbers of which each line is the half of a transform."""
    old = value.shape[axis]
    used = min(old, size // 2 + 1)
    cosines, sines = _tables(size, size, used, 1.0)
    twice = torch.tensor([1.0 if 2 * number % size == 0 else 2.0 for number in range(used)], dtype=torch.float64)
    weights = twice * _factor(size, norm, inverse=True)
    cosines, sines = (_widened(table * weights, old) for table in (cosines, sines))
    if not isinstance(value, Pair):
        return mapped(call, value, axis, cosines)
    real, imaginary = (call.writer.read(part) for part in value.parts)
    return _sum(call, mapped(call, real, axis, cosines), mapped(call, imaginary, axis, sines), -1)


def _widened(table: torch.Tensor, columns: int) -> torch.Tensor:
    """With zeros for what a shorter transform leaves out."""
    return torch.nn.functional.pad(table, (0, columns - table.shape[1]))


def _axes_and_sizes(call: Call, name: str, value: Operand) -> tuple[list[int], list[int | None]]:
    """Over which axes a transform goes, and of which length each is, where that is said."""
    axes, several = len(value.shape), name.endswith(("2", "n"))
    dims, sizes = call.plain("dim"), call.plain("s" if several else "n")
    if not several:
        return [dims % axes], [sizes]
    if dims is None:
        dims = list(range(axes)) if sizes is None else list(range(axes - len(sizes), axes))
    dims = [dims] if isinstance(dims, int) else list(dims)
    given: list[int | None] = [None] * len(dims)
    if sizes is not None:
        given = [None if one == -1 else one for one in sizes]
    return [one % axes for one in dims], given


def _transform(name: str) -> Translate:
    inverse = name.startswith("i")

    def translate(call: Call) -> Operand:
        value = call.arguments["self"]
        value = value if isinstance(value, Pair) else call.writer.read(call.floats("self"))
        axes, sizes = _axes_and_sizes(call, name, value)
        if value.batch in axes:
            raise Untranslatable(_APART)
        norm = call.plain("norm") or "backward"
        halved = name in _HALVED
        last = len(axes) - 1
        for place in [last, *range(last)] if not inverse else range(len(axes)):
            old, size = value.shape[axes[place]], sizes[place]
            if halved and inverse and place == last:
                return _real_lines(call, value, axes[place], size or 2 * (old - 1), norm)
            half = halved and place == last
            value = _complex_lines(call, value, axes[place], size or old, norm, inverse=inverse, half=half)
        return value

    return translate


def _shifted(call: Call, value: Ref, back: int) -> Ref:
    given = call.plain("dim")
    axes: Sequence[int] = call.axes(given, value)
    if value.batch in axes:
        raise Untranslatable("it moves the pictures of a batch round. Name the axes of a picture, as dim=(-2, -1)")
    like: Like = shape_of(value)
    shifts = [(value.shape[axis] + back) // 2 % value.shape[axis] for axis in axes]
    return call.add("roll", value, like=like, axes=list(axes), shifts=shifts)


def _shift(back: int) -> Translate:
    """The first number of a line to its middle, or back."""

    def translate(call: Call) -> Ref:
        return _shifted(call, call.value("self"), back)

    return translate


SHIFTS: dict[str, Translate] = {"fft_fftshift": _shift(0), "fft_ifftshift": _shift(1)}
"""Moves that go with transforms, of values that have no imaginary part too."""

_NAMES = ("fft", "fft2", "fftn", "ifft", "ifft2", "ifftn", *sorted(_HALVED))
FOURIER: dict[str, Translate] = {f"fft_{name}": _transform(name) for name in _NAMES}
"""Translations by the names of torch's operators."""
