"""The kernel that makes per-picture weight gradients in registers, tile by tile, and measures, writes or adds them.

A layer's gradient of one picture is the sum over positions of a patch of its input times the gradient of an output:
`acc`, a tile of rows (tap, channel) and columns (output), added up in float32. What is done with `acc` is a choice at
compile time, so what is measured and what is summed have the same bits.

Pictures follow each other in one loop: loads for the next one are under way while one is multiplied. Where operands
are halves and a picture has few positions, its three products lie behind each other as positions, so that fewer of the
positions that a tensor core takes at once are empty.
"""

from __future__ import annotations

import os

import triton
import triton.language as tl

NORM, WRITE, SUM = 0, 1, 2
# Triton's interpreter multiplies no bfloat16 numbers; products of such are exact in float32.
_INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")
_VARY = [  # by layer: kernels are not compiled anew for them
    "pictures", "per", "views", "depth", "height", "width", "wide", "high", "places", "stride_z", "stride_y",
    "stride_x", "padding_z", "padding_y", "padding_x", "dilation_z", "dilation_y", "dilation_x", "taps_y", "taps_x",
    "taps", "channel_tiles", "column_tiles", "blocks",
]  # fmt: skip


@triton.jit
def _patches(
    x: tl.tensor,
    t: tl.tensor,
    t_ok: tl.tensor,
    low: tl.tensor,
    c: tl.tensor,
    tap: tl.tensor,
    c_ok: tl.tensor,
    channels: tl.tensor,
    layer: tl.tensor,
    kind: tl.constexpr,
    deep: tl.constexpr,
) -> tl.tensor:
    """Patches at positions t of one picture, (steps, rows); zero where they leave the picture. `low` is added to it."""
    depth, height, width, wide, high, stride_z, stride_y, stride_x, padding_z, padding_y, padding_x = layer
    tap_z, tap_y, tap_x = tap
    x = x + low[:, None]
    if kind == 0:
        return tl.load(x + t[:, None] * channels + c[None, :], mask=t_ok[:, None] & c_ok[None, :], other=0.0)
    line = t // wide
    ix = t % wide * stride_x - padding_x
    iy = line * stride_y - padding_y
    iz = line * 0
    if deep:
        iy = line % high * stride_y - padding_y
        iz = line // high * stride_z - padding_z
    if kind == 1:
        ix = ix + tap_x
        iy = iy + tap_y
        ok = t_ok & (iy >= 0) & (iy < height) & (ix >= 0) & (ix < width)
        if deep:
            iz = iz + tap_z
            ok = ok & (iz >= 0) & (iz < depth)
            iy = iz * height + iy
        pixel = iy * width + ix
        return tl.load(x + pixel[:, None] * channels + c[None, :], mask=ok[:, None] & c_ok[None, :], other=0.0)
    jx = ix[:, None] + tap_x[None, :]
    jy = iy[:, None] + tap_y[None, :]
    good = t_ok[:, None] & c_ok[None, :] & (jy >= 0) & (jy < height) & (jx >= 0) & (jx < width)
    if deep:
        jz = iz[:, None] + tap_z[None, :]
        good = good & (jz >= 0) & (jz < depth)
        jy = jz * height + jy
    return tl.load(x + (jy * width + jx) * channels + c[None, :], mask=good, other=0.0)


@triton.jit
def _gradients(
    g: tl.tensor, t: tl.tensor, t_ok: tl.tensor, low: tl.tensor, n: tl.tensor, n_ok: tl.tensor, outputs: tl.tensor
) -> tl.tensor:
    """Gradients of outputs at positions t of one picture, (steps, columns). `low` is added to its place."""
    g = g + low[:, None]
    return tl.load(g + t[:, None] * outputs + n[None, :], mask=t_ok[:, None] & n_ok[None, :], other=0.0)


@triton.jit
def _multiplied(a: tl.tensor, v: tl.tensor, acc: tl.tensor) -> tl.tensor:
    if _INTERPRETED:
        a, v = a.to(tl.float32), v.to(tl.float32)
    return tl.dot(tl.trans(a), v, acc)


@triton.jit
def _added(
    acc: tl.tensor,
    x: tl.tensor,
    g: tl.tensor,
    b: tl.tensor,
    i: tl.tensor,
    where: tl.tensor,
    layer: tl.tensor,
    kind: tl.constexpr,
    deep: tl.constexpr,
    one: tl.constexpr,
    products: tl.constexpr,
    steps: tl.constexpr,
    tail: tl.constexpr,
) -> tl.tensor:
    """Adds the products of block i of picture b's positions, and of the `tail` behind a block that is the only one."""
    c, tap, c_ok, across, n, n_ok, x_step, g_step, outputs, pictures, blocks, places, low_x, low_g = where
    zero = tl.full((), 0, tl.int64)
    every = tl.arange(0, steps)
    row = b if one else i // blocks * pictures + b
    t = every if one else i % blocks * steps + every
    x += row * x_step
    g += row * g_step
    if products == 2:
        product = t // places  # high times high, low times high, high times low
        t = t % places
        low_a, low_v = (product == 1).to(tl.int64) * low_x, (product == 2).to(tl.int64) * low_g
        a = _patches(x, t, product < 3, low_a, c, tap, c_ok, across, layer, kind, deep)
        return _multiplied(a, _gradients(g, t, product < 3, low_v, n, n_ok, outputs), acc)
    t_ok, none = t < places, every * zero
    a = _patches(x, t, t_ok, none, c, tap, c_ok, across, layer, kind, deep)
    v = _gradients(g, t, t_ok, none, n, n_ok, outputs)
    acc = _multiplied(a, v, acc)
    if products == 1:
        acc = _multiplied(_patches(x + low_x, t, t_ok, none, c, tap, c_ok, across, layer, kind, deep), v, acc)
        acc = _multiplied(a, _gradients(g + low_g, t, t_ok, none, n, n_ok, outputs), acc)
    if tail > 0:
        t = steps + tl.arange(0, tail)
        t_ok, none = t < places, t * zero
        a = _patches(x, t, t_ok, none, c, tap, c_ok, across, layer, kind, deep)
        acc = _multiplied(a, _gradients(g, t, t_ok, none, n, n_ok, outputs), acc)
    return acc


@triton.jit
def _square_norm(acc: tl.tensor) -> tl.tensor:
    """In float32, and where a tile's squares are so small that some are lost there, of numbers enlarged by 2^64.

    A tile without a number above 2^-75 has no square in float32, and counts as nothing.
    """
    norm = tl.sum(acc * acc).to(tl.float64)
    if (norm > 0) & (norm < 8.271806125530277e-25):  # 2^-80: what a sum above it lost is 2^-32 of it
        large = acc * 18446744073709551616.0
        norm = tl.sum(large * large).to(tl.float64) * 2.938735877055719e-39
    return norm


@triton.jit
def _rows(
    tile: tl.tensor,
    own_channels: tl.tensor,
    taps: tl.tensor,
    taps_y: tl.tensor,
    taps_x: tl.tensor,
    channel_tiles: tl.tensor,
    kind: tl.constexpr,
    rows: tl.constexpr,
    narrow: tl.constexpr,
) -> tl.tensor:
    """A tile's rows: which of the gradient's, which channel, whether there is one, and the tap on each axis."""
    every = tl.arange(0, rows)
    if kind == 1:
        tap = tile // channel_tiles
        c = tile % channel_tiles * rows + every
        c_ok = c < own_channels
        m = tap * own_channels + c
    else:
        m = tile * rows + every
        c_ok = m < own_channels * taps
        c = m if kind == 0 else m % narrow
        tap = tile * 0 if kind == 0 else m // narrow
    return m, c, c_ok, tap // taps_x // taps_y, tap // taps_x % taps_y, tap % taps_x


# fmt: off
@triton.jit(do_not_specialize=_VARY)
def products(
    x: tl.tensor, g: tl.tensor, factors: tl.tensor, squares: tl.tensor, out: tl.tensor, channels: tl.tensor,
    outputs: tl.tensor, own_channels: tl.tensor, own_outputs: tl.tensor,
    pictures: tl.tensor, per: tl.tensor, views: tl.tensor, depth: tl.tensor, height: tl.tensor, width: tl.tensor,
    wide: tl.tensor, high: tl.tensor, places: tl.tensor, stride_z: tl.tensor, stride_y: tl.tensor, stride_x: tl.tensor,
    padding_z: tl.tensor, padding_y: tl.tensor, padding_x: tl.tensor, dilation_z: tl.tensor, dilation_y: tl.tensor,
    dilation_x: tl.tensor, taps_y: tl.tensor, taps_x: tl.tensor, taps: tl.tensor, channel_tiles: tl.tensor,
    column_tiles: tl.tensor, blocks: tl.tensor, mode: tl.constexpr, kind: tl.constexpr, deep: tl.constexpr,
    one: tl.constexpr, products: tl.constexpr, rows: tl.constexpr, columns: tl.constexpr, steps: tl.constexpr,
    tail: tl.constexpr, narrow: tl.constexpr,
) -> None:
    # fmt: on
    """One tile of a part of the pictures' gradients. `Products` says what the arguments are."""
    zero = tl.full((), 0, tl.int64)
    tile, part, group = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    tile_m = tile // column_tiles
    m, c, c_ok, z, y, x_tap = _rows(tile_m, own_channels, taps, taps_y, taps_x, channel_tiles, kind, rows, narrow)
    tap = (z * dilation_z, y * dilation_y, x_tap * dilation_x)
    n = tile % column_tiles * columns + tl.arange(0, columns)
    n_ok = n < own_outputs
    n = group * own_outputs + n
    c = group * own_channels + c
    across = narrow if kind == 2 else channels  # known to the compiler, few are read at once
    layer = (depth, height, width, wide, high, stride_z, stride_y, stride_x, padding_z, padding_y, padding_x)
    x_step = (zero + depth) * height * width * across
    g_step = (zero + places) * outputs
    low_x = x_step * views * pictures  # to the second halves; no argument, by which kernels would hang on the batch
    low_g = g_step * views * pictures
    size = (zero + own_channels) * taps * outputs
    to = out + m[:, None] * outputs + n[None, :]
    ok = c_ok[:, None] & n_ok[None, :]
    inner = 1 if one else views * blocks
    first = part * per
    count = tl.minimum(first + per, pictures) - first
    where = (c, tap, c_ok, across, n, n_ok, x_step, g_step, outputs, pictures, blocks, places, low_x, low_g)
    acc = tl.zeros((rows, columns), dtype=tl.float32)
    total = tl.zeros((rows, columns), dtype=tl.float32)
    if mode == 1:  # a loop in a loop: what stores a tile takes the memory that held what was loaded
        for b in range(first, first + count):
            acc = tl.zeros((rows, columns), dtype=tl.float32)
            for i in range(0, inner):
                acc = _added(acc, x, g, b, i, where, layer, kind, deep, one, products, steps, tail)
            tl.store(squares + (group * tl.num_programs(0) + tile + zero) * pictures + b, _square_norm(acc))
            tl.store(to + (zero + b) * size, acc, mask=ok)
    else:
        for k in range(0, count * inner):
            b = first + k if one else first + k // inner
            i = 0 if one else k % inner
            acc = _added(acc, x, g, b, i, where, layer, kind, deep, one, products, steps, tail)
            if one or i == inner - 1:
                if mode == 2:
                    factor = tl.load(factors + b)
                    total = tl.where(factor > 0, total + factor * acc, total)
                else:
                    tl.store(squares + (group * tl.num_programs(0) + tile + zero) * pictures + b, _square_norm(acc))
                acc = tl.zeros((rows, columns), dtype=tl.float32)
    if mode == 2:
        tl.store(to + (zero + part) * size, total, mask=ok)
