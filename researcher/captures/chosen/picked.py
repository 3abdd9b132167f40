"""Picks by places that are made of pictures: each is a comparison with every place, a choice, and a sum."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from researcher.captures.chosen.ranked import FAR, along, numbered, shaped, turned
from researcher.captures.composed.compared import compared, filling
from researcher.captures.composed.rows import spread
from researcher.captures.layer_translations import LAYERS
from researcher.captures.move_translations import MOVES
from researcher.captures.translated import Call, Later, Like, Repeated, Translate, Untranslatable, pair, shape_of
from researcher.captures.writer import Operand, Ref

_TWICE = "its index may name a place twice. Give it places of topk, sort or argmax, or use scatter_add"
_SIZES = "its index is of another shape than its value. Let both have the same lengths along the other axes"
_WINDOWS = (
    "it puts numbers where the largest of each window was, whose windows overlap or have borders. Let kernel_size and "
    "stride of the pooling be the same, without padding, and output_size the size before it"
)

_FIRST = "it is given no batch of maps. Give it four axes, the pictures first"


def _index(call: Call, value: Ref, index: Ref) -> int:
    """The axis along which an index names places."""
    axis = call.axis(call.plain("dim"), value)
    if axis == value.batch or axis == index.batch:
        raise Untranslatable("it picks by index over the pictures. Each picture must be treated alike")
    same = len(index.shape) == len(value.shape) and value.batch in (None, index.batch)
    if not same or any(
        one != other for number, (one, other) in enumerate(zip(index.shape, value.shape, strict=True)) if number != axis
    ):
        raise Untranslatable(_SIZES)
    return axis


def _gather(call: Call) -> Ref:
    """At each place of an index the number that it names along an axis."""
    value, given = call.writer.read(call.floats("self")), call.arguments["index"]
    if isinstance(given, Repeated):
        axis = call.axis(call.plain("dim"), value)
        if axis != value.batch and (along_one := _along_one(given.one, axis)) is not None:
            return _taken(call, value, along_one, axis)
        given = spread(call.writer, replace(given, one=given.one.float()))
    index = given if isinstance(given, Ref) else call.writer.read(call.floats("index"))
    axis = _index(call, value, index)
    size, last = value.shape[axis], len(value.shape)
    wide: Like = [*index.shape, size], index.batch
    named = compared(call, along(call, index), numbered(last, size, last + 1), "equal", wide)
    chosen = call.add("choose", named, turned(call, value, axis), torch.zeros(()), like=wide)
    return call.add("sum", chosen, like=shape_of(index), axes=[last], keep=False)


def _along_one(index: torch.Tensor, axis: int) -> torch.Tensor | None:
    """An index along its axis, where it is the same at all places of the others."""
    first = index.movedim(axis, 0).reshape(index.shape[axis], -1)
    return first[:, 0] if bool((first == first[:, :1]).all()) else None


def _taken(call: Call, value: Ref, index: torch.Tensor, axis: int) -> Ref:
    """Numbers at the same places for all pictures, and, of other axes, as many as are asked for."""
    shape, batch = call.like
    for other, size in enumerate(shape):
        if other not in (axis, value.batch) and size != value.shape[other]:
            like = [size if one == other else own for one, own in enumerate(value.shape)], value.batch
            value = call.add("slice", value, like=like, axis=other, start=0, stop=size, step=1)
    if batch != value.batch or [n for a, n in enumerate(shape) if a != axis] != [
        n for a, n in enumerate(value.shape) if a != axis
    ]:
        raise Untranslatable(_SIZES)
    return call.add("take", value, index, axis=axis)


def _scattered(added: bool) -> Translate:
    """Numbers put, or added, at the places along an axis that an index names."""

    def translate(call: Call) -> Ref:
        value = call.writer.read(call.floats("self"))
        if call.arguments.get("reduce") is not None:
            raise Untranslatable("it joins numbers in a way of its own. Use scatter or scatter_add")
        index = call.writer.read(call.floats("index"))
        axis = _index(call, value, index)
        size, last, source = index.shape[axis], len(value.shape), call.arguments.get("src")
        if not (added or size == 1 or index.distinct == axis or source is None):
            raise Untranslatable(_TWICE)
        wide: Like = [*value.shape, size], value.batch if index.batch is None else index.batch
        places = numbered(axis, value.shape[axis], last + 1)
        named = compared(call, turned(call, index, axis), places, "equal", wide)
        if source is None:
            numbers, kept = filling(call, "value"), None
        else:
            source_of = call.writer.read(call.floats("src"))
            if source_of.shape != index.shape:
                raise Untranslatable(_SIZES)
            picked = call.add("choose", named, turned(call, source_of, axis), torch.zeros(()), like=wide)
            numbers, kept = call.add("sum", picked, axes=[last], keep=False), None
        if added:
            return call.add("add", value, numbers)
        kept = call.add("largest", named, axes=[last], keep=False)
        return call.add("choose", kept, numbers, value)

    return translate


def _one_hot(call: Call) -> Ref:
    value, count = call.value("self"), call.plain("num_classes")
    found = compared(call, along(call, value), numbered(0, count, 1), "equal")
    found.truth = False
    return found


def rows_named(call: Call, table: Ref, index: Ref, like: Like) -> Ref:
    """Rows of a table that is the same for all pictures, by places that are made of them: a linear layer of ones."""
    rows, width = table.shape[0], math.prod(table.shape[1:])
    named = compared(call, along(call, index), numbered(0, rows, 1), "equal", ([*index.shape, rows], index.batch))
    flat = shaped(call, table, [rows, width], None)
    weight = call.add("permute", flat, like=([width, rows], None), axes=[1, 0])
    found = call.add("linear", named, weight, like=([*index.shape, width], index.batch))
    return shaped(call, found, *like)


def _embedding(call: Call) -> Operand:
    index, weight = call.arguments["indices"], call.value("weight")
    if not isinstance(index, Ref) or index.batch is None or weight.batch is not None:
        return MOVES["embedding"](call)
    if call.plain("padding_idx") >= 0 or call.plain("scale_grad_by_freq"):
        return MOVES["embedding"](call)
    return rows_named(call, weight, index, call.like)


def _indexed(call: Call) -> Operand:
    """`table[places]`."""
    value, indices = call.value("self"), call.arguments["indices"]
    one = indices[0] if len(indices) == 1 else None
    if isinstance(one, Ref) and not one.truth and one.batch is not None and value.batch is None:
        return rows_named(call, value, _from_the_front(call, one, value.shape[0]), call.like)
    return MOVES["index"](call)


def _from_the_front(call: Call, index: Ref, size: int) -> Ref:
    """Places of which some may be counted from the end, as -1; not so what an order gave."""
    if index.distinct is not None:
        return index
    below = compared(call, torch.zeros(()), index, "greater", shape_of(index))
    return call.add("choose", below, call.affine(index, 1, size, like=shape_of(index)), index, like=shape_of(index))


def _pooled(call: Call) -> list[Operand]:
    """The largest number of each window and, of windows beside each other, where in the map it is."""
    found: list[Operand] = LAYERS["max_pool2d_with_indices"](call)
    kernel, value = pair(call.plain("kernel_size")), call.value("self")
    alike = pair(call.plain("stride") or kernel) == kernel and len(value.shape) == 4
    if alike and not any(pair(call.plain("padding"))) and pair(call.plain("dilation")) == [1, 1]:
        rows, columns = (size // step for size, step in zip(value.shape[2:], kernel, strict=True))
        if [rows, columns] == call.parts[0][0][2:]:
            found[1] = Later(lambda: _places_in_windows(call, value, found[0], kernel))
    return found


def _places_in_windows(call: Call, value: Ref, largest: Ref, kernel: list[int]) -> Ref:
    *lead, rows, columns = largest.shape
    for axis, size in ((2, rows * kernel[0]), (3, columns * kernel[1])):
        if value.shape[axis] != size:
            shape = [size if number == axis else own for number, own in enumerate(value.shape)]
            value = call.add("slice", value, like=(shape, value.batch), axis=axis, start=0, stop=size, step=1)
    if value.batch != 0:
        raise Untranslatable(_FIRST)
    maps = math.prod(lead)
    apart = shaped(call, value, [maps, rows, kernel[0], columns, kernel[1]], 0)
    beside = shaped(call, largest, [maps, rows, 1, columns, 1], 0)
    at = compared(call, apart, beside, "equal", shape_of(apart))
    whole = call.value("self").shape[2:]
    places = _in_windows((rows, columns), kernel, whole[1])
    first = call.add("choose", at, places, FAR, like=shape_of(apart))
    found = call.add("smallest", first, like=([maps, rows, columns], 0), axes=[2, 4], keep=False)
    found = shaped(call, found, largest.shape, 0)
    found.windows = (*kernel, *whole)
    return found


def _in_windows(counts: tuple[int, int], kernel: list[int], width: int) -> torch.Tensor:
    """A map's places, (rows, kernel's rows, columns, kernel's columns), counted line by line."""
    high, wide = (torch.arange(count * size).float() for count, size in zip(counts, kernel, strict=True))
    return (high[:, None] * width + wide).view(counts[0], kernel[0], counts[1], kernel[1])


def _unpooled(call: Call) -> Ref:
    """Numbers where the largest of each window was, and zeros elsewhere."""
    value, index = call.value("self"), call.arguments["indices"]
    size = call.plain("output_size")
    windows = index.windows if isinstance(index, Ref) else None
    if windows is None or list(size[-2:]) != list(windows[2:]) or value.shape != index.shape:
        raise Untranslatable(_WINDOWS)
    if value.batch != 0 or index.batch != 0:
        raise Untranslatable(_FIRST)
    kernel, (*lead, rows, columns) = list(windows[:2]), value.shape
    wide = [math.prod(lead), rows, 1, columns, 1]
    places = _in_windows((rows, columns), kernel, windows[3])
    like: Like = [wide[0], rows, kernel[0], columns, kernel[1]], 0
    at = compared(call, shaped(call, index, wide, 0), places, "equal", like)
    chosen = call.add("choose", at, shaped(call, value, wide, 0), torch.zeros(()), like=like)
    found = shaped(call, chosen, [*lead, rows * kernel[0], columns * kernel[1]], value.batch)
    after = [0, 0, *(new - old for new, old in zip(size[-2:], found.shape[2:], strict=True))]
    return call.add("pad", found, before=[0] * 4, after=after, number=0.0) if any(after) else found


def _steps(call: Call) -> Ref:
    """How many of some bounds, which stand in their order, are below each number."""
    value, bounds = call.value("self"), call.arguments["boundaries" if "boundaries" in call.arguments else ""]
    if not isinstance(bounds, torch.Tensor) or bounds.dim() != 1:
        raise Untranslatable("its boundaries must be a constant of one axis")
    operator = "at_least" if call.plain("right") else "greater"
    wide: Like = [*value.shape, len(bounds)], value.batch
    above = compared(call, along(call, value), bounds.to(torch.float32), operator, wide)
    return call.add("sum", above, axes=[len(value.shape)], keep=False)


PICKED: dict[str, Translate] = {
    "bucketize": _steps,
    "embedding": _embedding,
    "gather": _gather,
    "index": _indexed,
    "max_pool2d_with_indices": _pooled,
    "max_unpool2d": _unpooled,
    "one_hot": _one_hot,
    "scatter": _scattered(added=False),
    "scatter_add": _scattered(added=True),
}
"""Translations by the names of torch's operators."""
