"""Convolutions with a kernel of each picture's own: of its windows, a product of matrices.

They are written as one convolution of all pictures' channels in as many groups, which would let no picture meet another
either; but a graph's weights are the same for all pictures.
"""

from __future__ import annotations

import math

import torch

from researcher.captures.chosen.ranked import shaped
from researcher.captures.composed.parts import PARTS
from researcher.captures.copy_translations import COPIES
from researcher.captures.translated import Call, Like, Translate, Untranslatable, pair
from researcher.captures.writer import Operand, Ref

_OTHERWISE = (
    "its kernels are other than so many for each picture. Let the pictures' channels be one axis, x.view(1, -1, h, w), "
    "and groups the number of pictures, or weigh the results of several convolutions instead"
)


def _convolution(call: Call) -> Operand:
    groups = call.arguments["groups"]
    if not isinstance(groups, torch.SymInt):
        return PARTS["conv2d"](call)
    value, weight, padding = call.value("input"), call.value("weight"), call.plain("padding")
    (shape, batch), taps = call.like, weight.shape[2:]
    own = int(groups.node.expr.subs(dict.fromkeys(groups.node.expr.free_symbols, 1)))
    alike = value.batch == batch == 1 and weight.batch == 0 and value.shape[0] == 1 and not isinstance(padding, str)
    if not alike or own * weight.shape[1] != value.shape[1]:
        raise Untranslatable(_OTHERWISE)
    maps = shaped(call, value, value.shape, 0)
    inside, places = weight.shape[1] * math.prod(taps), math.prod(shape[2:])
    outputs = weight.shape[0] // own
    form = {"kernel_size": list(taps), "dilation": pair(call.plain("dilation")), "padding": pair(padding)}
    wide: Like = [1, own * inside, places], 0
    arguments = {"self": maps, **form, "stride": pair(call.plain("stride"))}
    windows: Ref = COPIES["im2col"](Call(call.writer, arguments, wide))
    windows = shaped(call, windows, [1, own, inside, places], 0)
    kernels = shaped(call, weight, [1, own, outputs, inside], 0)
    like: Like = [1, own, outputs, places], 0
    found = call.add("matmul", kernels, windows, like=like)
    if call.arguments["bias"] is not None:
        found = call.add("add", found, shaped(call, call.value("bias"), [1, own, outputs, 1], 0), like=like)
    return shaped(call, found, shape, batch)


OWN_KERNELS: dict[str, Translate] = {"conv2d": _convolution}
"""Translations by the names of torch's operators."""
