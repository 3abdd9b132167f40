"""Translations of operators that move numbers: reshaping, slicing, joining, picking by a constant index."""

from __future__ import annotations

import math

import torch

from researcher.captures.translated import Call, Like, Repeated, Translate, Untranslatable
from researcher.captures.writer import Operand, Ref, spelled


def _reshape(call: Call) -> Ref:
    value = call.value("self")
    return value if (list(value.shape), value.batch) == call.like else _to(call, value, call.like)


def _to(call: Call, value: Ref, like: Like) -> Ref:
    return call.add("reshape", value, like=like, shape=spelled(*like))


def _permute(call: Call) -> Ref:
    value = call.value("self")
    return call.add("permute", value, axes=call.axes(call.plain("dims"), value))


def _transpose(call: Call) -> Ref:
    value = call.value("self")
    names = ("dim0", "dim1") if "dim0" in call.arguments else ("axis0", "axis1")
    one, other = (call.axis(call.plain(name), value) for name in names)
    return _exchanged(call, value, one, other)


def _turned(call: Call) -> Ref:
    value = call.value("self")
    return _exchanged(call, value, len(value.shape) - 2, len(value.shape) - 1)


def _exchanged(call: Call, value: Ref, one: int, other: int) -> Ref:
    axes = list(range(len(value.shape)))
    axes[one], axes[other] = axes[other], axes[one]
    return call.add("permute", value, axes=axes)


def _movedim(call: Call) -> Ref:
    value = call.value("self")
    source, target = (call.axes(call.plain(name), value) for name in ("source", "destination"))
    left = iter(axis for axis in range(len(value.shape)) if axis not in source)
    moved = dict(zip(target, source, strict=True))
    return call.add("permute", value, axes=[moved[a] if a in moved else next(left) for a in range(len(value.shape))])


def _expand(call: Call) -> Ref:
    return call.add("expand", call.value("self"), shape=spelled(*call.like))


def _cat(call: Call) -> Ref:
    values = [call.writer.read(one) for one in call.arguments["tensors"]]
    return call.add("concatenate", *values, axis=call.plain("dim") % len(call.like[0]))


def _stack(call: Call) -> Ref:
    shape, batch = call.like
    axis = call.plain("dim") % len(shape)
    each = [1 if number == axis else size for number, size in enumerate(shape)]
    values = [_to(call, call.writer.read(one), (each, batch)) for one in call.arguments["tensors"]]
    return call.add("concatenate", *values, axis=axis)


def _part(call: Call, value: Ref, axis: int, start: int, stop: int, step: int = 1) -> Ref:
    """Some of the numbers along an axis."""
    size = value.shape[axis]
    start, stop = (min(max(n + size if n < 0 else n, 0), size) for n in (start, stop))
    if (start, stop, step) == (0, size, 1):
        return value
    if axis == value.batch:
        raise Untranslatable("it takes some of the pictures of a batch. Each picture must be treated alike")
    shape = list(value.shape)
    shape[axis] = -(-(stop - start) // step)
    return call.add("slice", value, like=(shape, value.batch), axis=axis, start=start, stop=stop, step=step)


def _broadcast(call: Call) -> list[Operand]:
    """Values that have one shape already; a constant is left to what computes with it."""
    values = call.arguments["tensors"]
    for value, (shape, _) in zip(values, call.parts, strict=True):
        if isinstance(value, Ref) and list(value.shape) != list(shape):
            raise Untranslatable("it brings values to a common shape. Let them have the same shape before")
    return list(values)


def _select(call: Call) -> Ref:
    value = call.value("self")
    axis, index = call.axis(call.plain("dim"), value), call.plain("index")
    index = index + value.shape[axis] if index < 0 else index
    if axis == value.batch:
        raise Untranslatable("it takes one of the pictures of a batch. Each picture must be treated alike")
    return _to(call, _part(call, value, axis, index, index + 1), call.like)


def _slice(call: Call) -> Ref:
    value = call.value("self")
    axis, start, stop = call.axis(call.plain("dim"), value), call.plain("start"), call.arguments["end"]
    whole = stop is None or isinstance(stop, torch.SymInt) or stop >= 1 << 40
    end = value.shape[axis] if whole else call.plain("end")
    if axis == value.batch and (not whole or start or call.plain("step") != 1):
        raise Untranslatable("it takes some of the pictures of a batch. Each picture must be treated alike")
    return _part(call, value, axis, start or 0, end, call.plain("step"))


def _narrow(call: Call) -> Ref:
    value = call.value("self")
    axis, start = call.axis(call.plain("dim"), value), call.plain("start")
    if axis == value.batch:
        raise Untranslatable("it takes some of the pictures of a batch. Each picture must be treated alike")
    return _part(call, value, axis, start, start + call.plain("length"))


def _unbind(call: Call) -> list[Operand]:
    value = call.value("self")
    axis = call.axis(call.plain("dim"), value)
    if axis == value.batch:
        raise Untranslatable("it takes the pictures of a batch apart. Each picture must be treated alike")
    return [_to(call, _part(call, value, axis, i, i + 1), like) for i, like in enumerate(call.parts)]


def _split(call: Call) -> list[Operand]:
    value = call.value("self")
    axis = call.axis(call.plain("dim"), value)
    if axis == value.batch:
        raise Untranslatable("it takes the pictures of a batch apart. Each picture must be treated alike")
    found, start = [], 0
    for shape, _ in call.parts:
        found.append(_part(call, value, axis, start, start + shape[axis]))
        start += shape[axis]
    return found


def _index(call: Call) -> Ref:
    value, indices = call.value("self"), call.arguments["indices"]
    given = [(axis, one) for axis, one in enumerate(indices) if one is not None]
    for _, one in given:
        if not isinstance(one, torch.Tensor):
            raise Untranslatable(_OF_PICTURES)
    if any(one.dtype == torch.bool for _, one in given):
        if len(given) != 1 or given[0][1].dim() != 1:
            raise Untranslatable("it picks by truth values of several axes. Use one index along one axis")
        given = [(given[0][0], given[0][1].nonzero()[:, 0])]
    first, count = given[0][0], len(given)
    if [axis for axis, _ in given] != list(range(first, first + count)):
        raise Untranslatable("it picks by several indices of axes that are not neighbours. Use one, along one axis")
    if count == 1:
        return _taken(call, value, *given[0])
    sizes = value.shape[first : first + count]
    if value.batch is not None and first <= value.batch < first + count:
        raise Untranslatable("it picks by index over the pictures. Each picture must be treated alike")
    place = sum(
        torch.where(one < 0, one + size, one) * math.prod(sizes[number + 1 :])
        for number, ((_, one), size) in enumerate(zip(given, sizes, strict=True))
    )
    moved = value.batch if value.batch is None or value.batch < first else value.batch - count + 1
    like = [*value.shape[:first], math.prod(sizes), *value.shape[first + count :]], moved
    return _taken(call, _to(call, value, like), first, place)


def _index_select(call: Call) -> Ref:
    value = call.value("self")
    return _taken(call, value, call.axis(call.plain("dim"), value), call.arguments["index"])


def _embedding(call: Call) -> Ref:
    weight, index = call.value("weight"), call.arguments["indices"]
    if call.plain("padding_idx") >= 0 or call.plain("scale_grad_by_freq"):
        raise Untranslatable("its rows have gradients of their own. Leave padding_idx and scale_grad_by_freq out")
    if not isinstance(index, Repeated):
        return _taken(call, weight, 0, index)
    shape, _ = call.like
    looked = _taken(call, weight, 0, index.one, like=(shape, None))
    return call.add("expand", looked, shape=spelled(*call.like))


def _taken(call: Call, value: Ref, axis: int, index: Operand, like: Like | None = None) -> Ref:
    if not isinstance(index, torch.Tensor) or index.dtype not in (torch.int64, torch.int32):
        raise Untranslatable(_OF_PICTURES)
    size = value.shape[axis]
    return call.add("take", value, torch.where(index < 0, index + size, index), like=like, axis=axis)


def _roll(call: Call) -> Ref:
    value, shifts = call.value("self"), call.plain("shifts")
    if not call.plain("dims"):
        raise Untranslatable("it rolls over all axes as one, that of the pictures too. Name the axes")
    axes = call.axes(call.plain("dims"), value)
    pairs = zip([shifts] if isinstance(shifts, int) else shifts, axes, strict=True)
    return call.add("roll", value, axes=axes, shifts=[shift % value.shape[axis] for shift, axis in pairs])


def _flip(call: Call) -> Ref:
    value = call.value("self")
    return call.add("flip", value, axes=call.axes(call.plain("dims"), value))


def _pad(call: Call) -> Ref:
    value, sides, number = call.value("self"), list(call.plain("pad")), call.plain("value")
    axes = len(value.shape)
    before, after = [0] * axes, [0] * axes
    for place in range(len(sides) // 2):
        before[axes - 1 - place], after[axes - 1 - place] = sides[2 * place], sides[2 * place + 1]
    for axis, (one, other) in enumerate(zip(before, after, strict=True)):
        if min(one, other) < 0:
            value = _part(call, value, axis, max(-one, 0), value.shape[axis] - max(-other, 0))
            before[axis], after[axis] = max(one, 0), max(other, 0)
    if not any(before) and not any(after):
        return value
    number = min(max(float(number or 0.0), -_FAR), _FAR)  # infinity where the largest number of windows is taken
    return call.add("pad", value, before=before, after=after, number=number)


def _shuffle(operator: str, factor: str) -> Translate:
    return lambda call: call.add(operator, call.value("self"), factor=call.plain(factor))


_FAR = 1e30
_OF_PICTURES = (
    "its index is computed from the pictures. Choose with torch.where, pick by places of topk, sort or argmax with "
    "torch.gather, or give it a constant of whole numbers"
)
_SHAPES = ("_unsafe_view", "flatten", "reshape", "reshape_as", "squeeze", "unflatten", "unsqueeze", "view", "view_as")
MOVES: dict[str, Translate] = {
    "adjoint": _turned,
    **dict.fromkeys(_SHAPES, _reshape),
    "broadcast_tensors": _broadcast,
    "cat": _cat,
    "chunk": _split,
    "constant_pad_nd": _pad,
    "embedding": _embedding,
    "expand": _expand,
    "expand_as": _expand,
    "flip": _flip,
    "index": _index,
    "index_select": _index_select,
    "mH": _turned,
    "mT": _turned,
    "moveaxis": _movedim,
    "movedim": _movedim,
    "narrow": _narrow,
    "numpy_T": _turned,
    "pad": _pad,
    "permute": _permute,
    "pixel_shuffle": _shuffle("pixel_shuffle", "upscale_factor"),
    "pixel_unshuffle": _shuffle("pixel_unshuffle", "downscale_factor"),
    "roll": _roll,
    "select": _select,
    "slice": _slice,
    "split": _split,
    "split_with_sizes": _split,
    "stack": _stack,
    "swapaxes": _transpose,
    "swapdims": _transpose,
    "t": _turned,
    "tensor_split": _split,
    "transpose": _transpose,
    "unbind": _unbind,
}
"""Translations by the names of torch's operators."""
