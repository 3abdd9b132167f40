"""Windows, borders and one axis of places: written with the operators of maps, of slices and of picks by an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812

from researcher.captures.composed.parts import PARTS
from researcher.captures.layer_translations import LAYERS
from researcher.captures.move_translations import MOVES
from researcher.captures.translated import (
    WHERE_THE_LARGEST_IS,
    Call,
    Like,
    Translate,
    Untold,
    Untranslatable,
    pair,
    shape_of,
)
from researcher.captures.writer import Operand, Ref, spelled

_APART = "it works over the pictures of a batch. Each picture must be treated alike"


def _pad(call: Call) -> Operand:
    return MOVES["pad"](call) if call.arguments.get("mode", "constant") == "constant" else _mirrored(call)


def _mirrored_as(mode: str) -> Translate:
    def translate(call: Call) -> Ref:
        given = {**call.arguments, "pad": call.arguments["padding"], "mode": mode}
        return _mirrored(Call(call.writer, given, call.like))

    return translate


def _mirrored(call: Call) -> Ref:
    """Padding with the picture's own numbers: reflected, repeated at the border, or from the other side.

    Each padded axis is picked anew by an index, which torch's own padding of 0, 1, 2, ... tells.
    """
    value, sides, mode = call.value("self"), list(call.plain("pad")), call.plain("mode")
    for place in range(len(sides) // 2):
        axis, (before, after) = len(value.shape) - 1 - place, sides[2 * place : 2 * place + 2]
        if not before and not after:
            continue
        if axis == value.batch:
            raise Untranslatable(_APART)
        numbers = torch.arange(value.shape[axis], dtype=torch.float64)[None, None]
        index = F.pad(numbers, (before, after), mode=mode)[0, 0].long()
        value = call.add("take", value, index, like=_with(value, axis, len(index)), axis=axis)
    return value


def _with(value: Ref, axis: int, size: int) -> Like:
    return [size if number == axis else own for number, own in enumerate(value.shape)], value.batch


def _shaped(call: Call, value: Ref, like: Like) -> Ref:
    return value if shape_of(value) == like else call.add("reshape", value, like=like, shape=spelled(*like))


def _flat(like: Like) -> Like:
    """Places along one axis as maps of one row."""
    return [*like[0][:-1], 1, like[0][-1]], like[1]


def _of_one_row(name: str | Translate, **settings: Callable[[list[int]], list[int]]) -> Translate:
    """A layer of places along one axis, as the same layer of maps of one row.

    Args:
        name: Of the layer of maps, as torch calls it; or its translation.
        settings: How a setting of one axis becomes one of two, by its name.
    """

    def translate(call: Call) -> Operand:
        given, value = dict(call.arguments), call.value("input" if "input" in call.arguments else "self")
        if len(value.shape) != 3:
            raise Untranslatable("it is given no batch of channels along one axis of places. Give it three axes")
        first = "input" if "input" in given else "self"
        given[first] = _shaped(call, value, _flat(shape_of(value)))
        if "weight" in given:
            weight = call.value("weight")
            given["weight"] = _shaped(call, weight, ([*weight.shape[:2], 1, weight.shape[2]], None))
        for setting, widened in settings.items():
            if setting in given and not isinstance(given[setting], str) and given[setting] not in (None, []):
                plain = call.plain(setting)
                given[setting] = widened([plain] if isinstance(plain, int) else list(plain))
        layer = LAYERS[name] if isinstance(name, str) else name
        found = layer(Call(call.writer, given, _flat(call.like)))
        return _shaped(call, found, call.like)

    return translate


def _one_and(plain: list[int]) -> list[int]:
    return [1, *plain]


def _none_and(plain: list[int]) -> list[int]:
    return [0, *plain]


def _adaptive_max(call: Call) -> list[Operand]:
    """The largest number of windows that do not overlap: of all places, or where the size is divided evenly."""
    value, like = call.value("self"), call.parts[0]
    places = list(range(len(like[0]) - len(call.plain("output_size")), len(like[0])))
    have, want = ([shape[axis] for axis in places] for shape in (value.shape, like[0]))
    if all(size == 1 for size in want):
        found = call.add("largest", value, like=like, axes=places, keep=True)
    elif len(places) == 2 and not any(size % new for size, new in zip(have, want, strict=True)):
        kernel = [size // new for size, new in zip(have, want, strict=True)]
        settings = {"kernel": kernel, "stride": kernel, "padding": [0, 0], "dilation": [1, 1], "ceil": False}
        found = call.add("max_pool2d", value, like=like, **settings)
    else:
        raise Untranslatable(
            f"it makes {have} places {want}, in windows of different sizes. Give it a size that divides theirs"
        )
    return [found, Untold(WHERE_THE_LARGEST_IS)]


def _unfold(call: Call) -> Ref:
    """Windows along an axis, each on a new last axis."""
    value = call.value("self")
    axis, size, step = call.axis(call.plain("dimension"), value), call.plain("size"), call.plain("step")
    if axis == value.batch:
        raise Untranslatable(_APART)
    shape, batch = call.like
    count, last = shape[axis], len(shape) - 1
    if size == step:  # windows beside each other
        if value.shape[axis] != count * size:
            value = call.add(
                "slice", value, like=_with(value, axis, count * size), axis=axis, start=0, stop=count * size, step=1
            )
        places = [*value.shape[:axis], count, size, *value.shape[axis + 1 :]]
        moved = batch if batch is None or batch < axis else batch + 1
        apart = _shaped(call, value, (places, moved))
        order = [number for number in range(len(places)) if number != axis + 1] + [axis + 1]
        return apart if order == sorted(order) else call.add("permute", apart, axes=order)
    parts = []
    for place in range(size):
        stop = place + step * (count - 1) + 1
        part = call.add("slice", value, like=_with(value, axis, count), axis=axis, start=place, stop=stop, step=step)
        parts.append(_shaped(call, part, ([*part.shape, 1], batch)))
    return call.add("concatenate", *parts, axis=last)


def _laid_out(call: Call) -> Ref:
    """Windows beside each other, each a column, put in their places."""
    value = call.value("self")
    kernel, size = pair(call.plain("kernel_size")), pair(call.plain("output_size"))
    beside = pair(call.plain("stride")) == kernel and pair(call.plain("padding")) == [0, 0]
    if not beside or pair(call.plain("dilation")) != [1, 1] or len(value.shape) != 3:
        raise Untranslatable("it adds up windows that overlap. Let stride be kernel_size, without padding or dilation")
    if value.batch != 0:
        raise Untranslatable(_APART)
    rows, channels = value.shape[0], value.shape[1] // (kernel[0] * kernel[1])
    counts = [own // step for own, step in zip(size, kernel, strict=True)]
    if [count * step for count, step in zip(counts, kernel, strict=True)] != size:
        raise Untranslatable("its windows leave a rest. Give it a size that kernel_size divides")
    apart = _shaped(call, value, ([rows, channels, *kernel, *counts], 0))
    axes = [0, 1, 4, 2, 5, 3]
    return _shaped(
        call, call.add("permute", apart, like=([apart.shape[axis] for axis in axes], 0), axes=axes), call.like
    )


def _differences(call: Call) -> Ref:
    """Of neighbours along an axis."""
    value = call.writer.read(call.floats("self"))
    axis = call.axis(call.plain("dim"), value)
    if axis == value.batch:
        raise Untranslatable(_APART)
    beside = [call.writer.read(call.floats(n)) for n in ("prepend", "append") if call.arguments[n] is not None]
    if beside:
        parts = [*beside[: int(call.arguments["prepend"] is not None)], value]
        parts += beside[len(parts) - 1 :]
        batch = call.like[1]
        sizes = [sum(one.shape[axis] for one in parts) if n == axis else own for n, own in enumerate(value.shape)]
        if any(one.batch != batch for one in parts):
            raise Untranslatable(
                "it puts a constant beside values of pictures. Expand it over them before, as zeros_like"
            )
        value = call.add("concatenate", *parts, like=(sizes, batch), axis=axis)
    for _ in range(call.plain("n")):
        size = value.shape[axis] - 1
        like: Like = [size if n == axis else own for n, own in enumerate(value.shape)], value.batch
        after, before = (
            call.add("slice", value, like=like, axis=axis, start=start, stop=start + size, step=1) for start in (1, 0)
        )
        value = call.add("subtract", after, before, like=like)
    return value


def _channel_shuffle(call: Call) -> Ref:
    value, groups = call.value("self"), call.plain("groups")
    rows, channels, *places = value.shape
    if value.batch == 1 or channels % groups:
        raise Untranslatable(_APART)
    apart = _shaped(call, value, ([rows, groups, channels // groups, *places], value.batch))
    axes = [0, 2, 1, *range(3, len(apart.shape))]
    like = [apart.shape[axis] for axis in axes], value.batch
    return _shaped(call, call.add("permute", apart, like=like, axes=axes), call.like)


def _transposed_convolution(call: Call) -> Ref:
    """A convolution of the numbers with zeros between them, with the weight turned round."""
    value, weight = call.value("input"), call.value("weight")
    stride, dilation, padding, more = (
        pair(call.plain(name)) for name in ("stride", "dilation", "padding", "output_padding")
    )
    if len(value.shape) != 4 or value.batch != 0:
        raise Untranslatable("it is given no batch of maps. Give it four axes, the pictures first")
    value = with_zeros_between(call, value, stride)
    reach = [step * (size - 1) for step, size in zip(dilation, weight.shape[2:], strict=True)]
    before = [far - side for far, side in zip(reach, padding, strict=True)]
    if min(before) < 0:
        raise Untranslatable("its padding is more than its kernel reaches. Use less")
    after = [own + end for own, end in zip(before, more, strict=True)]
    shape = [
        *value.shape[:2],
        *(sum(sizes) for sizes in zip(value.shape[2:], before, after, strict=True)),
    ]
    if any(before) or any(after):
        value = call.add("pad", value, like=(shape, 0), before=[0, 0, *before], after=[0, 0, *after], number=0.0)
    given = {
        **{"input": value, "weight": _turned_round(call, weight, call.plain("groups")), "stride": [1, 1]},
        **{"padding": [0, 0], "dilation": dilation, "groups": call.plain("groups"), "bias": call.arguments["bias"]},
    }
    found: Ref = PARTS["conv2d"](Call(call.writer, given, call.like))
    return found


def with_zeros_between(call: Call, value: Ref, stride: Sequence[int]) -> Ref:
    """Maps whose numbers lie as far apart as a stride says."""
    for axis, step in ((2, stride[0]), (3, stride[1])):
        if step > 1:  # of five axes at most, as exporters ask for
            lead, size, behind = value.shape[:axis], value.shape[axis], value.shape[axis + 1 :]
            apart = _shaped(call, value, ([*lead, size, 1, *behind], 0))
            after = [step - 1 if number == axis + 1 else 0 for number in range(5)]
            wide = [*lead, size, step, *behind], 0
            wider = call.add("pad", apart, like=wide, before=[0] * 5, after=after, number=0.0)
            value = _shaped(call, wider, ([*lead, size * step, *behind], 0))
            stop = size * step - step + 1
            value = call.add("slice", value, like=_with(value, axis, stop), axis=axis, start=0, stop=stop, step=1)
    return value


def _turned_round(call: Call, weight: Ref, groups: int) -> Ref:
    """(inputs, outputs / groups, ...) → (outputs, inputs / groups, ...), its places from the last to the first."""
    inputs, outputs, *kernel = weight.shape
    flipped = call.add("flip", weight, like=shape_of(weight), axes=[2, 3])
    apart = _shaped(call, flipped, ([groups, inputs // groups, outputs, *kernel], None))
    like = [groups, outputs, inputs // groups, *kernel], None
    moved = call.add("permute", apart, like=like, axes=[0, 2, 1, 3, 4])
    return _shaped(call, moved, ([groups * outputs, inputs // groups, *kernel], None))


WINDOWS: dict[str, Translate] = {
    "adaptive_avg_pool1d": _of_one_row("adaptive_avg_pool2d"),
    "adaptive_max_pool1d": _adaptive_max,
    "adaptive_max_pool2d": _adaptive_max,
    "avg_pool1d": _of_one_row("avg_pool2d", kernel_size=_one_and, stride=_one_and, padding=_none_and),
    "channel_shuffle": _channel_shuffle,
    "col2im": _laid_out,
    "conv1d": _of_one_row("conv2d", stride=_one_and, padding=_none_and, dilation=_one_and),
    "conv_transpose1d": _of_one_row(
        _transposed_convolution, stride=_one_and, padding=_none_and, output_padding=_none_and, dilation=_one_and
    ),
    "conv_transpose2d": _transposed_convolution,
    "diff": _differences,
    "max_pool1d": _of_one_row(
        "max_pool2d", kernel_size=_one_and, stride=_one_and, padding=_none_and, dilation=_one_and
    ),
    "pad": _pad,
    "reflection_pad2d": _mirrored_as("reflect"),
    "replication_pad2d": _mirrored_as("replicate"),
    "unfold": _unfold,
}
"""Translations by the names of torch's operators."""
