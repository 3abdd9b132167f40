"""Layers of parts of pictures, patches or frames that are rows of their own: with the pictures first, one row each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from researcher.captures.layer_translations import LAYERS, padded, scaled
from researcher.captures.translated import Call, Like, Translate, pair, shape_of
from researcher.captures.writer import Ref, spelled


def _in_parts(value: Ref) -> bool:
    return value.batch == 0 and value.shape[0] != 1


def _convolution(call: Call) -> Ref:
    """A picture's maps below each other."""
    if not _in_parts(call.value("input")):
        return _plain("conv2d", call)
    weight, padding = call.value("weight"), call.plain("padding")
    value, stride, dilation = call.value("input"), pair(call.plain("stride")), pair(call.plain("dilation"))
    if isinstance(padding, str):
        value, padding = padded(call, value, weight, dilation, padding)
    settings = {"stride": stride, "padding": pair(padding), "dilation": dilation, "groups": call.plain("groups")}
    turned = _turned(call, _shaped(call, value, ([1, *value.shape], 0)))
    made = convolved_below_each_other(call, turned, weight, call.like[0][2:], settings)
    return _shaped(call, _turned(call, made), call.like)


def convolved_below_each_other(
    call: Call, turned: Ref, weight: Ref, size: Sequence[int], settings: Mapping[str, Any]
) -> Ref:
    """A convolution of a picture's maps, below each other with so many zeros between that no window sees two.

    What sees two is cut off.

    Args:
        call: Whose bias is added.
        turned: The maps, (B, channels, count, height, width).
        weight: (outputs, channels / groups, kernel's height, its width).
        size: Height and width of what each map gives.
        settings: Stride, padding, dilation, each of two numbers, and groups.

    Returns:
        (B, outputs, count, *size).
    """
    _, channels, count, height, width = turned.shape
    stride, dilation, (above, beside) = settings["stride"], settings["dilation"], settings["padding"]
    reach = dilation[0] * (weight.shape[2] - 1)
    rows = -(-(height + 2 * above) // stride[0]) * stride[0]  # of a map, a whole number of steps
    wide = [1, channels, count, rows, width + 2 * beside]
    before, after = [0, 0, 0, above, beside], [0, 0, 0, rows - height - above, beside]
    value = call.add("pad", turned, like=(wide, 0), before=before, after=after, number=0.0)
    value = _shaped(call, value, ([1, channels, count * rows, wide[4]], 0))
    if reach:
        like = [1, channels, count * rows + reach, wide[4]], 0
        value = call.add("pad", value, like=like, before=[0] * 4, after=[0, 0, reach, 0], number=0.0)
    (out_height, out_width), outputs = size, weight.shape[0]
    inputs = [value, weight, *([] if call.arguments["bias"] is None else [call.value("bias")])]
    steps, own = rows // stride[0], {**settings, "padding": [0, 0]}
    made = call.add("conv2d", *inputs, like=([1, outputs, count * steps, out_width], 0), **own)
    made = _shaped(call, made, ([1, outputs, count, steps, out_width], 0))
    if out_height != steps:
        like = [1, outputs, count, out_height, out_width], 0
        made = call.add("slice", made, like=like, axis=3, start=0, stop=out_height, step=1)
    return made


def _turned(call: Call, value: Ref) -> Ref:
    """Channels and parts exchanged."""
    shape = list(value.shape)
    shape[1], shape[2] = shape[2], shape[1]
    return call.add("permute", value, like=(shape, 0), axes=[0, 2, 1, 3, 4])


def _group_norm(call: Call) -> Ref:
    """Of each part, in groups along an axis of their own."""
    value = call.value("input")
    if not _in_parts(value):
        return _plain("group_norm", call)
    return _normed(call, value, call.plain("num_groups"))


def _instance_norm(call: Call) -> Ref:
    """Each channel of each part is a group of its own."""
    value = call.value("input")
    if not _in_parts(value) or not call.plain("use_input_stats"):
        return _plain("instance_norm", call)
    return _normed(call, value, value.shape[1])


def _normed(call: Call, value: Ref, groups: int) -> Ref:
    count, channels, *places = value.shape
    apart = _shaped(call, value, ([count, groups, math.prod([channels // groups, *places])], 0))
    normed = call.add("standardise", apart, like=shape_of(apart), axes=[2], eps=float(call.plain("eps")))
    value = _shaped(call, normed, ([count, channels, *places], 0))
    for weight, operator in zip(scaled(call, [channels]), ("multiply", "add"), strict=False):
        value = call.add(operator, value, _along_channels(call, call.writer.read(weight), len(places)))
    return value


def _along_channels(call: Call, weight: Ref, places: int) -> Ref:
    return _shaped(call, weight, ([*weight.shape, *[1] * places], None))


def _plain(name: str, call: Call) -> Ref:
    found: Ref = LAYERS[name](call)
    return found


def _shaped(call: Call, value: Ref, like: tuple[Sequence[int], int | None]) -> Ref:
    wanted: Like = list(like[0]), like[1]
    return value if shape_of(value) == wanted else call.add("reshape", value, like=wanted, shape=spelled(*wanted))


PARTS: dict[str, Translate] = {"conv2d": _convolution, "group_norm": _group_norm, "instance_norm": _instance_norm}
"""Translations by the names of torch's operators."""
