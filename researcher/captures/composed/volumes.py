"""Layers of volumes, whose places lie along three axes: written with the operators of maps.

A convolution is one of maps that hold, for each depth of the result, all depths that its windows see as channels.
Pooling and resizing go over height and width, and then over depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from researcher.captures.composed.parts import convolved_below_each_other
from researcher.captures.composed.windows import WINDOWS
from researcher.captures.layer_translations import LAYERS, UNEVEN
from researcher.captures.translated import WHERE_THE_LARGEST_IS, Call, Like, Translate, Untold, Untranslatable, shape_of
from researcher.captures.writer import Operand, Ref, spelled

_FIRST = "it is given no batch of volumes. Give it five axes, the pictures first"


def _three(value: Any) -> list[int]:
    return [value] * 3 if isinstance(value, int) else list(value) * (3 // len(value))


def _volume(value: Ref) -> Ref:
    if len(value.shape) != 5 or value.batch != 0:
        raise Untranslatable(_FIRST)
    return value


def _shaped(call: Call, value: Ref, shape: Sequence[int]) -> Ref:
    wanted: Like = list(shape), 0
    return value if shape_of(value) == wanted else call.add("reshape", value, like=wanted, shape=spelled(*wanted))


def _convolution(call: Call) -> Ref:
    value, weight = _volume(call.value("input")), call.value("weight")
    stride, dilation, padding = _three(call.plain("stride")), _three(call.plain("dilation")), call.plain("padding")
    reach = [step * (size - 1) for step, size in zip(dilation, weight.shape[2:], strict=True)]
    if padding == "same":
        before, after = [far // 2 for far in reach], [far - far // 2 for far in reach]
    else:
        before = after = [0, 0, 0] if padding == "valid" else _three(padding)
    if before != after:  # by a node of its own
        value, before = _padded(call, value, before, after), [0, 0, 0]
    return convolved(call, value, weight, (stride, before, dilation), call.plain("groups"))


def convolved(
    call: Call, value: Ref, weight: Ref, settings: tuple[list[int], list[int], list[int]], groups: int
) -> Ref:
    """A convolution of volumes.

    Args:
        call: Whose bias is added, and whose result it is.
        value: (k B, channels, depth, height, width).
        weight: (outputs, channels / groups, *kernel).
        settings: Stride, padding and dilation, each of three numbers.
        groups: Of channels.
    """
    stride, padding, dilation = settings
    value = _padded(call, value, [padding[0], 0, 0], [padding[0], 0, 0])
    rows, outputs, depth, *size = call.like[0]
    seen, kernel = _seen(call, value, groups, (weight.shape[2], stride[0], dilation[0], depth)), weight.shape[2]
    channels = seen.shape[1]
    form = [outputs, channels // groups, *weight.shape[3:]]
    if kernel > 1:
        turned = [outputs, kernel, weight.shape[1], *weight.shape[3:]]
        weight = call.add("permute", weight, like=(turned, None), axes=[0, 2, 1, 3, 4])
    weight = call.add("reshape", weight, like=(form, None), shape=form)
    if rows > 1:  # several volumes of a picture: their depths one after the other
        shape = [rows, depth, channels, *seen.shape[3:]]
        seen = call.add("permute", seen, like=(shape, 0), axes=[0, 2, 1, 3, 4])
        seen = _shaped(call, seen, [1, rows * depth, channels, *shape[3:]])
        shape = [1, channels, rows * depth, *shape[3:]]
        seen = call.add("permute", seen, like=(shape, 0), axes=[0, 2, 1, 3, 4])
    own = {"stride": stride[1:], "padding": padding[1:], "dilation": dilation[1:], "groups": groups}
    if rows * depth == 1:
        biases = [] if call.arguments["bias"] is None else [call.value("bias")]
        maps = _shaped(call, seen, [1, channels, *seen.shape[3:]])
        made = call.add("conv2d", maps, weight, *biases, like=([1, outputs, *size], 0), **own)
        return _shaped(call, made, call.like[0])
    made = convolved_below_each_other(call, seen, weight, size, own)
    if rows == 1:
        return made
    made = call.add("permute", made, like=([1, rows * depth, outputs, *size], 0), axes=[0, 2, 1, 3, 4])
    made = _shaped(call, made, [rows, depth, outputs, *size])
    return call.add("permute", made, like=([rows, outputs, depth, *size], 0), axes=[0, 2, 1, 3, 4])


def _seen(call: Call, value: Ref, groups: int, along: tuple[int, int, int, int]) -> Ref:
    """What each depth of a result is made of, in its channels: of each group all of the first depth, and so on.

    Args:
        call: Whose it is.
        value: (k B, channels, depth, height, width).
        groups: Of channels.
        along: Of the depths: the kernel's size, stride and dilation, and how many the result has.
    """
    kernel, stride, dilation, depth = along
    rows, channels, _, *size = value.shape
    parts = []
    for place in range(kernel):
        start = place * dilation
        stop = start + stride * (depth - 1) + 1
        part, like = value, ([rows, channels, depth, *size], 0)
        if (start, stop, stride) != (0, value.shape[2], 1):
            part = call.add("slice", value, like=like, axis=2, start=start, stop=stop, step=stride)
        parts.append(_shaped(call, part, [rows, groups, channels // groups, depth, math.prod(size)]))
    wide = [rows, groups, kernel * channels // groups, depth, math.prod(size)], 0
    joined = parts[0] if kernel == 1 else call.add("concatenate", *parts, like=wide, axis=2)
    return _shaped(call, joined, [rows, kernel * channels, depth, *size])


def _padded(call: Call, value: Ref, before: list[int], after: list[int]) -> Ref:
    """Zeros before and after the three axes of places."""
    if not any(before) and not any(after):
        return value
    shape = [sum(sizes) for sizes in zip(value.shape, [0, 0, *before], [0, 0, *after], strict=True)]
    return call.add("pad", value, like=(shape, 0), before=[0, 0, *before], after=[0, 0, *after], number=0.0)


def _transposed_convolution(call: Call) -> Ref:
    """A convolution of the numbers with zeros between them, with the weight turned round."""
    value, weight, groups = _volume(call.value("input")), call.value("weight"), call.plain("groups")
    stride, dilation, padding, more = (
        _three(call.plain(name)) for name in ("stride", "dilation", "padding", "output_padding")
    )
    for axis, step in zip((2, 3, 4), stride, strict=True):
        if step > 1:
            lead, length, behind = list(value.shape[:axis]), value.shape[axis], list(value.shape[axis + 1 :])
            first, last = math.prod(lead[1:]), math.prod(behind)  # of five axes at most, as exporters ask for
            apart = _shaped(call, value, [lead[0], first, length, 1, last])
            wide = [lead[0], first, length, step, last], 0
            apart = call.add("pad", apart, like=wide, before=[0] * 5, after=[0, 0, 0, step - 1, 0], number=0.0)
            apart, stop = _shaped(call, apart, [*lead, length * step, *behind]), (length - 1) * step + 1
            cut = [*lead, stop, *behind], 0
            value = call.add("slice", apart, like=cut, axis=axis, start=0, stop=stop, step=1)
    reach = [step * (size - 1) for step, size in zip(dilation, weight.shape[2:], strict=True)]
    before = [far - side for far, side in zip(reach, padding, strict=True)]
    if min(before) < 0:
        raise Untranslatable("its padding is more than its kernel reaches. Use less")
    value = _padded(call, value, before, [own + end for own, end in zip(before, more, strict=True)])
    inputs, outputs, *kernel = weight.shape
    flipped = call.add("flip", weight, like=shape_of(weight), axes=[2, 3, 4])
    form = [groups, inputs // groups, outputs, math.prod(kernel)]
    flipped = call.add("reshape", flipped, like=(form, None), shape=form)
    turned = [groups, outputs, inputs // groups, math.prod(kernel)]
    flipped = call.add("permute", flipped, like=(turned, None), axes=[0, 2, 1, 3])
    form = [groups * outputs, inputs // groups, *kernel]
    flipped = call.add("reshape", flipped, like=(form, None), shape=form)
    return convolved(call, value, flipped, ([1, 1, 1], [0, 0, 0], dilation), groups)


def _over_all(name: str, **settings: Callable[[list[int]], tuple[list[int], list[int]]]) -> Translate:
    """A layer over height and width, and then over depth, by that layer of maps.

    Args:
        name: Of the layer of maps, as torch calls it.
        settings: How a setting of three numbers becomes two of two, of height and width and of depth, by its name.
    """

    def translate(call: Call) -> Ref:
        given, first = dict(call.arguments), "input" if "input" in call.arguments else "self"
        value, like = _volume(call.value(first)), call.parts[0] if call.parts else call.like
        (rows, channels, depth, *_), (_, _, high, *size) = value.shape, like[0]
        for old, factor, new in zip(value.shape[2:], given.pop("scale_factors", None) or [], like[0][2:], strict=False):
            if old * factor != new:
                raise Untranslatable(UNEVEN)
        maps, over = dict(given), dict(given)
        for setting, apart in settings.items():
            if setting in given and given[setting] not in (None, []):
                maps[setting], over[setting] = apart(_three(call.plain(setting)))
        maps[first] = _shaped(call, value, [rows, channels * depth, *value.shape[3:]])
        made = LAYERS[name](Call(call.writer, maps, ([rows, channels * depth, *size], 0)))
        over[first] = _shaped(call, made, [rows, channels, depth, math.prod(size)])
        made = LAYERS[name](Call(call.writer, over, ([rows, channels, high, math.prod(size)], 0)))
        return _shaped(call, made, [rows, channels, high, *size])

    return translate


def _with_one(three: list[int]) -> tuple[list[int], list[int]]:
    return three[1:], [three[0], 1]


def _with_none(three: list[int]) -> tuple[list[int], list[int]]:
    return three[1:], [three[0], 0]


def _largest_and_places(translate: Translate) -> Translate:
    return lambda call: [translate(call), Untold(WHERE_THE_LARGEST_IS)]


def _adaptive_largest(call: Call) -> list[Operand]:
    value, like = _volume(call.value("self")), call.parts[0]
    rows, channels, depth, *_ = value.shape
    high, *size = call.plain("output_size")
    flat = _shaped(call, value, [rows, channels * depth, *value.shape[3:]])
    given: dict[str, Operand] = {"self": flat, "output_size": size}
    parts: Like = [rows, channels * depth, *size], 0
    made = WINDOWS["adaptive_max_pool2d"](Call(call.writer, given, None, [parts]))[0]
    deep = _shaped(call, made, [rows, channels, depth, math.prod(size)])
    given = {"self": deep, "output_size": [high, math.prod(size)]}
    parts = [rows, channels, high, math.prod(size)], 0
    made = WINDOWS["adaptive_max_pool2d"](Call(call.writer, given, None, [parts]))[0]
    return [_shaped(call, made, like[0]), Untold(WHERE_THE_LARGEST_IS)]


_POOLED = {"kernel_size": _with_one, "stride": _with_one, "padding": _with_none}
_LARGEST = _over_all("max_pool2d", **_POOLED, dilation=_with_one)
VOLUMES: dict[str, Translate] = {
    "adaptive_avg_pool3d": _over_all("adaptive_avg_pool2d"),
    "adaptive_max_pool3d": _adaptive_largest,
    "avg_pool3d": _over_all("avg_pool2d", **_POOLED),
    "conv3d": _convolution,
    "conv_transpose3d": _transposed_convolution,
    "max_pool3d": _LARGEST,
    "max_pool3d_with_indices": _largest_and_places(_LARGEST),
    "upsample_nearest3d": _over_all("upsample_nearest2d"),
    "upsample_trilinear3d": _over_all("upsample_bilinear2d"),
}
"""Translations by the names of torch's operators."""
