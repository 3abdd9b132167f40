"""Numbers between pixels, at places of each picture's own: every pixel of a line weighed by how near it is, and added.

A place is a number, not an address: pixels farther than one from it get the weight 0. So it is as exact as reading the
pixels beside the place, has the same gradients, and takes as many products as places times pixels of a line.
"""

from __future__ import annotations

import math

import torch

from researcher.captures.chosen.ranked import along, numbered, shaped
from researcher.captures.chosen.rounded import floor_of
from researcher.captures.composed.compared import compared
from researcher.captures.composed.tables import TABLES
from researcher.captures.translated import Call, Like, Repeated, Translate, Untranslatable, shape_of
from researcher.captures.writer import Operand, Ref

_BILINEAR = (
    "it samples to the nearest pixel, or by cubes of sixteen, at places of each picture's own. Use mode='bilinear'"
)
_MAPS = "it samples something that is no batch of maps with places of its own. Give it four axes, the pictures first"
_KERNELS = (
    "its kernel moves in groups, or in several parts for one input. Let groups of the weight and of the offsets be 1"
)
_BORDER, _REFLECTED = 1, 2


def _weights(call: Call, places: Ref, size: int) -> Ref:
    """How much of each pixel of a line is taken at each place, (..., places, size)."""
    axes = len(places.shape) + 1
    like: Like = [*places.shape, size], places.batch
    apart = call.add("subtract", along(call, places), numbered(axes - 1, size, axes), like=like)
    before = compared(call, apart, torch.zeros(()), "at_least", like)
    near = call.add(
        "choose", before, call.affine(apart, -1, 1, like=like), call.affine(apart, 1, 1, like=like), like=like
    )
    # Asked for so that both are 0 of what is no number, which then spoils what is made of it.
    below = compared(call, torch.tensor(-1.0), apart, "greater", like)
    beyond = call.add("add", below, compared(call, apart, torch.ones(()), "at_least", like), like=like)
    beyond.truth = True
    return call.add("choose", beyond, torch.zeros(()), near, like=like)


def sampled_at(call: Call, maps: Ref, rows: Ref, columns: Ref) -> Ref:
    """Numbers of maps at places, (B, places, channels).

    Args:
        call: Whose nodes they are.
        maps: (B, channels, height, width).
        rows: Of each place its row, counted from 0, (B, places).
        columns: The same of columns.
    """
    count, channels, height, width = maps.shape
    places = rows.shape[1]
    high, wide = _weights(call, rows, height), _weights(call, columns, width)
    if channels < height:
        lines: Like = [count, height, width, channels], 0
        turned = call.add("permute", maps, like=lines, axes=[0, 2, 3, 1])
        flat = shaped(call, turned, [count, height, width * channels], 0)
        found = call.add("matmul", high, flat, like=([count, places, width * channels], 0))
        found = shaped(call, found, [count, places, width, channels], 0)
        beside = shaped(call, wide, [count, places, 1, width], 0)
        found = call.add("matmul", beside, found, like=([count, places, 1, channels], 0))
        return shaped(call, found, [count, places, channels], 0)
    both: Like = [count, places, height, width], 0
    pixels = call.add(
        "multiply",
        shaped(call, high, [count, places, height, 1], 0),
        shaped(call, wide, [count, places, 1, width], 0),
        like=both,
    )
    flat = shaped(call, maps, [count, channels, height * width], 0)
    turned = call.add("permute", flat, like=([count, height * width, channels], 0), axes=[0, 2, 1])
    weights = shaped(call, pixels, [count, places, height * width], 0)
    return call.add("matmul", weights, turned, like=([count, places, channels], 0))


def _sampled(call: Call) -> Operand:
    value, grid = call.value("input"), call.arguments["grid"]
    if isinstance(grid, Repeated | torch.Tensor):
        return TABLES["grid_sampler"](call)
    if len(value.shape) != 4 or value.batch != 0 or grid.batch != 0 or grid.shape[0] != value.shape[0]:
        raise Untranslatable(_MAPS)
    kind, border, corners = (call.plain(name) for name in ("interpolation_mode", "padding_mode", "align_corners"))
    if kind != 0:
        raise Untranslatable(_BILINEAR)
    shape, _ = call.like
    places = math.prod(shape[2:])
    both = [_numbers(call, grid, which, places) for which in (1, 0)]
    at = [_placed(call, one, size, border, bool(corners)) for one, size in zip(both, value.shape[2:], strict=True)]
    found = sampled_at(call, value, *at)
    turned = call.add("permute", found, like=([found.shape[0], found.shape[2], places], 0), axes=[0, 2, 1])
    return shaped(call, turned, *call.like)


def _numbers(call: Call, grid: Ref, which: int, places: int) -> Ref:
    """One of both numbers of each place, (B, places)."""
    axis = len(grid.shape) - 1
    one: Like = [*grid.shape[:-1], 1], grid.batch
    part = call.add("slice", grid, like=one, axis=axis, start=which, stop=which + 1, step=1)
    return shaped(call, part, [grid.shape[0], places], 0)


def _placed(call: Call, value: Ref, size: int, border: int, corners: bool) -> Ref:
    """Places from -1 to 1 as pixels of a line, counted from 0, as torch computes them."""

    def scaled(one: Ref, factor: float, offset: float) -> Ref:
        return call.affine(one, factor, offset, like=shape_of(one))

    at = scaled(value, 1, 1)
    at = scaled(scaled(at, 0.5, 0), size - 1, 0) if corners else scaled(scaled(at, size, -1), 0.5, 0)
    if border == _REFLECTED:
        at = _reflected(call, at, 0.0 if corners else -0.5, float(size - 1 if corners else size))
    if border in (_BORDER, _REFLECTED):
        at = call.add("clamp", at, like=shape_of(at), low=0.0, high=float(size - 1))
    return at


def _reflected(call: Call, at: Ref, low: float, span: float) -> Ref:
    """Beyond both ends of a line back into it, again and again."""
    like = shape_of(at)
    if not span:
        return call.affine(at, 0, 0, like=like)
    far = call.add("absolute", call.affine(at, 1, -low, like=like), like=like)
    turns = floor_of(call, call.add("divide", far, torch.tensor(span), like=like))
    rest = call.add("subtract", far, call.affine(turns, span, 0, like=like), like=like)
    half = call.affine(turns, 0.5, 0, like=like)
    odd = compared(call, half, floor_of(call, half), "greater", like)
    found = call.add("choose", odd, call.affine(rest, -1, span, like=like), rest, like=like)
    return call.affine(found, 1, low, like=like)


def _affine_grid(call: Call) -> Ref:
    """Places that are turned and moved: torch's own places of no motion, times a matrix of each picture."""
    theta, shape = call.value("theta"), call.like[0]
    if len(shape) != 4 or theta.batch != 0:
        raise Untranslatable(_MAPS)
    rows, columns = shape[1:3]
    still = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    corners = bool(call.plain("align_corners"))
    flat = torch.nn.functional.affine_grid(still, [1, 1, rows, columns], align_corners=corners).view(-1, 2)
    base = torch.cat([flat, torch.ones(len(flat), 1)], 1)
    count, places = theta.shape[0], rows * columns
    made = call.add("linear", theta, base, like=([count, 2, places], 0))
    return shaped(call, call.add("permute", made, like=([count, places, 2], 0), axes=[0, 2, 1]), *call.like)


def _deformed(call: Call) -> Ref:
    """A convolution whose kernel reads beside its places: samples of each place and tap, weighed, times the weight."""
    value, weight, offset = (call.value(name) for name in ("input", "weight", "offset"))
    numbers = [int(call.plain(one)) for one in ("stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w")]
    if int(call.plain("groups")) != 1 or int(call.plain("offset_groups")) != 1 or value.batch != 0:
        raise Untranslatable(_KERNELS)
    (count, channels, _, _), (outputs, _, high, wide) = value.shape, weight.shape
    rows, columns = call.like[0][2:]
    taps, places = high * wide, rows * columns
    one: Like = [count, taps, places], 0
    both = shaped(call, offset, [count, taps, 2, places], 0)
    at = []
    for which in (0, 1):
        step, pad, apart = numbers[which], numbers[2 + which], numbers[4 + which]
        part = call.add("slice", both, like=([count, taps, 1, places], 0), axis=2, start=which, stop=which + 1, step=1)
        tap = torch.arange(high)[:, None].expand(high, wide) if which == 0 else torch.arange(wide).expand(high, wide)
        line = (
            torch.arange(rows)[:, None].expand(rows, columns)
            if which == 0
            else torch.arange(columns).expand(rows, columns)
        )
        still = (tap.reshape(taps, 1) * apart + line.reshape(1, places) * step - pad).float()
        moved = call.add("add", shaped(call, part, *one), still, like=one)
        at.append(shaped(call, moved, [count, taps * places], 0))
    found = sampled_at(call, value, *at)
    found = shaped(call, found, [count, taps, places, channels], 0)
    if call.plain("use_mask"):
        mask = shaped(call, call.value("mask"), [count, taps, places, 1], 0)
        found = call.add("multiply", found, mask, like=shape_of(found))
    wide_like: Like = [count, places, channels, taps], 0
    turned = call.add("permute", found, like=wide_like, axes=[0, 2, 3, 1])
    flat = shaped(call, turned, [count, places, channels * taps], 0)
    kernel = shaped(call, weight, [outputs, channels * taps], None)
    bias = call.value("bias")
    made = call.add("linear", flat, kernel, bias, like=([count, places, outputs], 0))
    return shaped(call, call.add("permute", made, like=([count, outputs, places], 0), axes=[0, 2, 1]), *call.like)


SAMPLED: dict[str, Translate] = {
    "affine_grid_generator": _affine_grid,
    "deform_conv2d": _deformed,
    "grid_sampler": _sampled,
}
"""Translations by the names of torch's operators."""
