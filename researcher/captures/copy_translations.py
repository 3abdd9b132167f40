"""Translations of operators that copy a picture's numbers: repeated, turned, or in windows that overlap.

Each is written as operators that have rules of their own, so the proof sees where the pictures go.
"""

from __future__ import annotations

from collections.abc import Sequence

from researcher.captures.translated import Call, Like, Translate, Untranslatable, pair, shape_of
from researcher.captures.writer import Ref, spelled

_PICTURES = "it repeats the pictures of a batch. Repeat along another axis"


def _repeat(call: Call) -> Ref:
    """Whole axes again and again: with a new axis before each, expanded, and the two made one."""
    value, (shape, batch) = call.value("self"), call.like
    more = len(shape) - len(value.shape)
    own = [1] * more + list(value.shape)
    place = None if value.batch is None else value.batch + more
    for axis in (place, batch):
        if axis is not None and (place not in (None, batch) or own[axis] not in (1, shape[axis])):
            raise Untranslatable(_PICTURES)
    times = [1 if axis == batch else new // max(1, old) for axis, (new, old) in enumerate(zip(shape, own, strict=True))]
    apart: list[int] = []
    expanded: list[int] = []
    places: list[int] = []  # of each axis, among those apart
    for axis, (size, count) in enumerate(zip(own, times, strict=True)):
        if count > 1 and size > 1:
            apart.append(1)
            expanded.append(count)
        places.append(len(apart))
        apart.append(size)
        expanded.append(shape[axis] if size == 1 or axis == batch else size)
    moved = None if place is None else places[place]
    wide = expanded, None if batch is None else places[batch]
    return _shaped(call, _expanded(call, _shaped(call, value, (apart, moved)), wide), call.like)


def _repeat_interleave(call: Call) -> Ref:
    """Each number again and again, before the next."""
    value, count = call.value("self"), call.plain("repeats")
    if call.arguments["dim"] is None:
        raise Untranslatable(_PICTURES)
    axis = call.axis(call.plain("dim"), value)
    places = [*value.shape[: axis + 1], 1, *value.shape[axis + 1 :]]
    batch = value.batch if value.batch is None or value.batch <= axis else value.batch + 1
    wide = [*places[: axis + 1], count, *places[axis + 2 :]]
    return _shaped(call, _expanded(call, _shaped(call, value, (places, batch)), (wide, batch)), call.like)


def _shaped(call: Call, value: Ref, like: Like) -> Ref:
    return value if shape_of(value) == like else call.add("reshape", value, like=like, shape=spelled(*like))


def _expanded(call: Call, value: Ref, like: Like) -> Ref:
    return value if shape_of(value) == like else call.add("expand", value, like=like, shape=spelled(*like))


def _rot90(call: Call) -> Ref:
    value = call.value("self")
    one, other = call.axes(call.plain("dims"), value)
    turns = call.plain("k") % 4
    flipped = {0: [], 1: [other], 2: [one, other], 3: [one]}[turns]
    if flipped:
        value = call.add("flip", value, like=shape_of(value), axes=flipped)
    if turns % 2 == 0:
        return value
    axes = list(range(len(value.shape)))
    axes[one], axes[other] = other, one
    return call.add("permute", value, axes=axes)


def _im2col(call: Call) -> Ref:
    """Windows beside each other: a slice for each place in a window, put together."""
    value = call.value("self")
    if len(value.shape) != 4:
        raise Untranslatable("it takes windows of something that is no batch of pictures. Give it four axes")
    kernel, dilation, padding, stride = (
        pair(call.plain(name)) for name in ("kernel_size", "dilation", "padding", "stride")
    )
    if any(padding):
        shape = [*value.shape[:2], *(size + 2 * side for size, side in zip(value.shape[2:], padding, strict=True))]
        sides = [0, 0, *padding]
        value = call.add("pad", value, like=(shape, value.batch), before=sides, after=sides, number=0.0)
    parts = [
        _every(call, one, 3, column * dilation[1], stride[1], kernel[1], dilation[1])
        for row in range(kernel[0])
        for one in [_every(call, value, 2, row * dilation[0], stride[0], kernel[0], dilation[0])]
        for column in range(kernel[1])
    ]
    rows, channels, height, width = parts[0].shape
    taps, batch = len(parts), value.batch
    beside = parts[0]
    if taps > 1:
        beside = call.add("concatenate", *parts, like=([rows, taps * channels, height, width], batch), axis=1)
    apart = _shaped(call, beside, ([rows, taps, channels, height * width], batch))
    turned = call.add("permute", apart, like=([rows, channels, taps, height * width], batch), axes=[0, 2, 1, 3])
    return _shaped(call, turned, call.like)


def _every(call: Call, value: Ref, axis: int, start: int, step: int, taps: int, dilation: int) -> Ref:
    """What one place of all windows sees along an axis."""
    positions = (value.shape[axis] - dilation * (taps - 1) - 1) // step + 1
    stop = start + step * (positions - 1) + 1
    if axis == value.batch:
        raise Untranslatable("its windows reach over the pictures of a batch. Each picture must be treated alike")
    if (start, stop, step) == (0, value.shape[axis], 1):
        return value
    shape = _with(value.shape, axis, positions)
    return call.add("slice", value, like=(shape, value.batch), axis=axis, start=start, stop=stop, step=step)


def _with(shape: Sequence[int], axis: int, size: int) -> list[int]:
    return [size if number == axis else own for number, own in enumerate(shape)]


COPIES: dict[str, Translate] = {
    "im2col": _im2col,
    "repeat": _repeat,
    "repeat_interleave": _repeat_interleave,
    "rot90": _rot90,
    "tile": _repeat,
}
"""Translations by the names of torch's operators."""
