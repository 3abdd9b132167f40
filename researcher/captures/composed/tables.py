"""Resizing, sampling and other moves whose weights are constants: tables that each picture is multiplied by, or picked.

A table is what torch itself makes of numbers that are 1 at one place and 0 elsewhere, so it is its very function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from researcher.captures.chosen.ranked import shaped
from researcher.captures.composed.windows import WINDOWS, with_zeros_between
from researcher.captures.layer_translations import LAYERS
from researcher.captures.move_translations import MOVES
from researcher.captures.translated import (
    WHERE_THE_LARGEST_IS,
    Call,
    Like,
    Repeated,
    Translate,
    Untold,
    Untranslatable,
    pair,
    shape_of,
)
from researcher.captures.writer import Operand, Ref

_APART = "it works over the pictures of a batch. Each picture must be treated alike"
_OWN_PLACES = "it moves each picture's pixels by numbers of its own. Give all pictures the same places, or leave it out"


def mapped(call: Call, value: Ref, axis: int, table: torch.Tensor) -> Ref:
    """Each line along an axis times a table of shape (new length, old length); one that only picks picks."""
    shape, batch = shape_of(value)
    if axis == batch:
        raise Untranslatable(_APART)
    like: Like = [len(table) if number == axis else size for number, size in enumerate(shape)], batch
    if bool(((table == 0) | (table == 1)).all()) and bool((table.sum(1) == 1).all()):
        index = table.argmax(1)
        return (
            value
            if like[0] == shape and index.tolist() == list(range(len(index)))
            else _taken(call, value, axis, index, like)
        )
    order = [number for number in range(len(shape)) if number != axis] + [axis]
    turned = _turned(call, value, order)
    made_like: Like = [*turned.shape[:-1], len(table)], turned.batch
    if batch is None:  # a parameter, as a table of positions in another size
        flat = shaped(call, turned, [math.prod(turned.shape[:-1]), turned.shape[-1]], None)
        made = call.add("matmul", flat, table.float().t().contiguous(), like=([flat.shape[0], len(table)], None))
        made = shaped(call, made, *made_like)
    else:
        made = call.add("linear", turned, table.float(), like=made_like)
    return _turned(call, made, [order.index(number) for number in range(len(shape))])


def _taken(call: Call, value: Ref, axis: int, index: torch.Tensor, like: Like) -> Ref:
    return call.add("take", value, index, like=like, axis=axis)


def _turned(call: Call, value: Ref, axes: Sequence[int]) -> Ref:
    if list(axes) == list(range(len(axes))):
        return value
    batch = None if value.batch is None else list(axes).index(value.batch)
    return call.add("permute", value, like=([value.shape[axis] for axis in axes], batch), axes=list(axes))


def _resized(name: str, *settings: str) -> Translate:
    """Resizing axis by axis, as one of torch's functions does it for the rows of a map."""

    def translate(call: Call) -> Operand:
        value = call.value("input" if "input" in call.arguments else "self")
        sizes, factors = call.like[0][2:], call.arguments.get("scale_factors") or [None] * 2
        plain = LAYERS.get(name)
        whole = all(f is None or old * f == new for old, new, f in zip(value.shape[2:], sizes, factors, strict=False))
        if plain is not None and whole and len(sizes) == 2:
            return plain(call)
        function: Any = getattr(torch.ops.aten, name).default
        given = [call.arguments.get(one) for one in settings]
        for place, (size, factor) in enumerate(zip(sizes, factors, strict=False)):
            old = value.shape[2 + place]
            if (old, factor) != (size, None):
                unit = torch.eye(old, dtype=torch.float64)[None, None]
                value = mapped(call, value, 2 + place, function(unit, [size, old], *given, factor, None)[0, 0])
        return value

    return translate


def _sampled(call: Call) -> Ref:
    """Numbers between pixels, at places that are the same for all pictures: the pixels beside each, weighed."""
    value, grid = call.value("input"), call.arguments["grid"]
    if not isinstance(grid, Repeated) or grid.batch != 0 or len(grid.one) != 1 or len(value.shape) != 4:
        raise Untranslatable(_OWN_PLACES)
    kind, border, corners = (call.plain(name) for name in ("interpolation_mode", "padding_mode", "align_corners"))
    if kind == 2:
        raise Untranslatable("it samples by cubes of sixteen pixels. Use mode='bilinear'")
    rows, columns, channels, batch = *value.shape[2:], value.shape[1], value.batch
    places = grid.one[0].double()
    beside = [_beside(places[..., one], size, kind, border, bool(corners)) for one, size in ((1, rows), (0, columns))]
    index = torch.stack([row * columns + column for row, _ in beside[0] for column, _ in beside[1]])
    weights = torch.stack([high * wide for _, high in beside[0] for _, wide in beside[1]])
    flat = shaped(call, value, [value.shape[0], channels, rows * columns], batch)
    wide: Like = [value.shape[0], channels, *index.shape], batch
    picked = call.add("take", flat, index, like=wide, axis=2)
    return call.add("sum", call.add("multiply", picked, weights.float(), like=wide), axes=[2], keep=False)


def _beside(
    places: torch.Tensor, size: int, kind: int, border: int, corners: bool
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Which pixels along an axis lie beside places from -1 to 1, and how much of each is taken."""
    at = (places + 1) / 2 * (size - 1) if corners else ((places + 1) * size - 1) / 2
    if border == 2:
        low, span = (0.0, size - 1.0) if corners else (-0.5, float(size))
        far = (at - low).abs()
        turns = torch.div(far, max(span, 1e-12), rounding_mode="floor")
        rest = far - turns * span
        at = torch.where(turns % 2 == 0, rest, span - rest) + low if span else torch.zeros_like(at)
    if border:
        at = at.clamp(0, size - 1)
    first = at.round() if kind == 1 else at.floor()
    beside = [(first, torch.ones_like(at))] if kind == 1 else [(first, 1 + first - at), (first + 1, at - first)]
    inside = [((one >= 0) & (one < size)).double() for one, _ in beside]
    return [(one.clamp(0, size - 1).long(), own * part) for (one, own), part in zip(beside, inside, strict=True)]


def _adaptive_max(name: str) -> Translate:
    """The largest number of windows: first of lines, then of columns; where sizes divide, as one pooling."""

    def translate(call: Call) -> Operand:
        try:
            return WINDOWS[name](call)
        except Untranslatable:
            value, (like, _) = call.value("self"), call.parts[0]
        if name.endswith("1d"):
            value = shaped(call, value, [*value.shape[:-1], 1, value.shape[-1]], value.batch)
        for axis, count in ((len(value.shape) - 2, like[-2]), (len(value.shape) - 1, like[-1])):
            if not (name.endswith("1d") and axis == len(value.shape) - 2):
                value = _largest_of_windows(call, value, axis, count)
        return [shaped(call, value, *call.parts[0]), Untold(WHERE_THE_LARGEST_IS)]

    return translate


def _largest_of_windows(call: Call, value: Ref, axis: int, count: int) -> Ref:
    size, parts = value.shape[axis], []
    for place in range(count):
        start, stop = place * size // count, -(-(place + 1) * size // count)
        own = [stop - start if number == axis else one for number, one in enumerate(value.shape)]
        part = call.add("slice", value, like=(own, value.batch), axis=axis, start=start, stop=stop, step=1)
        kernel = [stop - start, 1] if axis == len(own) - 2 else [1, stop - start]
        like: Like = [1 if number == axis else one for number, one in enumerate(own)], value.batch
        settings = {"kernel": kernel, "stride": kernel, "padding": [0, 0], "dilation": [1, 1], "ceil": False}
        parts.append(call.add("max_pool2d", part, like=like, **settings))
    shape = [count if number == axis else one for number, one in enumerate(value.shape)]
    return call.add("concatenate", *parts, like=(shape, value.batch), axis=axis) if count > 1 else parts[0]


def _added_up(call: Call) -> Operand:
    """Windows put in their places; where they overlap, what lies on one place is added up."""
    try:
        return WINDOWS["col2im"](call)
    except Untranslatable:
        value = call.value("self")
    if value.batch != 0 or len(value.shape) != 3:
        raise Untranslatable(_APART)
    kernel, size, padding, stride, dilation = (
        pair(call.plain(name)) for name in ("kernel_size", "output_size", "padding", "stride", "dilation")
    )
    sides = [own + 2 * side for own, side in zip(size, padding, strict=True)]
    reach = [step * (taps - 1) + 1 for step, taps in zip(dilation, kernel, strict=True)]
    counts = [(own - far) // step + 1 for own, far, step in zip(sides, reach, stride, strict=True)]
    rows, channels, taps = value.shape[0], value.shape[1] // math.prod(kernel), math.prod(kernel)
    apart = shaped(call, value, [rows, channels, taps, *counts], 0)
    total = None
    for tap in range(taps):
        one: Like = [rows, channels, 1, *counts], 0
        part = call.add("slice", apart, like=one, axis=2, start=tap, stop=tap + 1, step=1)
        part = with_zeros_between(call, shaped(call, part, [rows, channels, *counts], 0), stride)
        before = [step * place for step, place in zip(dilation, divmod(tap, kernel[1]), strict=True)]
        after = [own - first - old for own, first, old in zip(sides, before, part.shape[2:], strict=True)]
        like: Like = [rows, channels, *sides], 0
        part = call.add("pad", part, like=like, before=[0, 0, *before], after=[0, 0, *after], number=0.0)
        total = part if total is None else call.add("add", total, part, like=like)
    for axis, (own, side) in enumerate(zip(size, padding, strict=True)):
        if side and total is not None:
            shape = [own if number == 2 + axis else old for number, old in enumerate(total.shape)]
            total = call.add("slice", total, like=(shape, 0), axis=2 + axis, start=side, stop=side + own, step=1)
    return total


def _of_channels(call: Call) -> Ref:
    """Means along one axis of three, as over neighbouring channels."""
    value, kernel = call.value("self"), list(call.plain("kernel_size"))
    stride, size = list(call.plain("stride") or kernel), value.shape[2]
    if kernel[1:] != [1, 1] or stride[1:] != [1, 1] or any(call.plain("padding")) or call.plain("ceil_mode"):
        raise Untranslatable("it has no rule: a picture has no depth. Use AvgPool2d")
    flat = shaped(call, value, [*value.shape[:3], math.prod(value.shape[3:])], value.batch)
    like: Like = [*value.shape[:2], (size - kernel[0]) // stride[0] + 1, flat.shape[3]], value.batch
    form = {"kernel": [kernel[0], 1], "stride": [stride[0], 1], "padding": [0, 0], "ceil": False, "count_padding": True}
    return shaped(call, call.add("average_pool2d", flat, like=like, **form), *call.like)


def _diagonal(call: Call) -> Ref:
    value = call.value("self")
    one, other = call.axis(call.plain("dim1"), value), call.axis(call.plain("dim2"), value)
    if value.batch in (one, other):
        raise Untranslatable(_APART)
    order = [axis for axis in range(len(value.shape)) if axis not in (one, other)] + [one, other]
    turned = _turned(call, value, order)
    rows, columns = turned.shape[-2:]
    index = torch.arange(rows * columns).view(rows, columns).diagonal(call.plain("offset"))
    flat = shaped(call, turned, [*turned.shape[:-2], rows * columns], turned.batch)
    return call.add("take", flat, index.clone(), axis=len(flat.shape) - 1)


def _on_diagonal(call: Call) -> Ref:
    value = call.value("self")
    if call.plain("offset") or {call.plain("dim1"), call.plain("dim2")} != {-2, -1}:
        raise Untranslatable("it makes diagonals of other axes. Multiply by torch.eye")
    return call.add("multiply", shaped(call, value, [*value.shape, 1], value.batch), torch.eye(value.shape[-1]))


def _added_at(call: Call) -> Ref:
    """What stands along an axis, added at the places that a constant names."""
    value, source, index = call.value("self"), call.value("source"), call.arguments["index"]
    axis = call.axis(call.plain("dim"), value)
    if not isinstance(index, torch.Tensor):
        return MOVES["index_select"](call)  # refuses
    table = torch.zeros(value.shape[axis], len(index), dtype=torch.float64)
    table[index, torch.arange(len(index))] = float(call.plain("alpha"))
    return call.add("add", value, mapped(call, source, axis, table))


TABLES: dict[str, Translate] = {
    "_upsample_bicubic2d_aa": _resized("_upsample_bicubic2d_aa", "align_corners"),
    "_upsample_bilinear2d_aa": _resized("_upsample_bilinear2d_aa", "align_corners"),
    "_upsample_nearest_exact1d": _resized("_upsample_nearest_exact2d"),
    "_upsample_nearest_exact2d": _resized("_upsample_nearest_exact2d"),
    "adaptive_max_pool1d": _adaptive_max("adaptive_max_pool1d"),
    "adaptive_max_pool2d": _adaptive_max("adaptive_max_pool2d"),
    "avg_pool3d": _of_channels,
    "col2im": _added_up,
    "diag_embed": _on_diagonal,
    "diagonal": _diagonal,
    "grid_sampler": _sampled,
    "index_add": _added_at,
    "upsample_bicubic2d": _resized("upsample_bicubic2d", "align_corners"),
    "upsample_bilinear2d": _resized("upsample_bilinear2d", "align_corners"),
    "upsample_linear1d": _resized("upsample_bilinear2d", "align_corners"),
    "upsample_nearest1d": _resized("upsample_nearest2d"),
    "upsample_nearest2d": _resized("upsample_nearest2d"),
}
"""Translations by the names of torch's operators."""
