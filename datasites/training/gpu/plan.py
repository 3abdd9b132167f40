"""Tiles of a layer's per-picture products, by shapes alone: the same for their norms and their sum."""

from __future__ import annotations

import math
from dataclasses import dataclass

POINT, TAPS, GATHER = 0, 1, 2  # how rows lie: one tap; tiles within a tap; tiles across taps
# How operands are multiplied: as they are; in halves, each product of such by itself; such products as positions that
# lie behind each other.
WHOLE, APART, BEHIND = 0, 1, 2
_LEAST = 16  # numbers on a side that a tensor core takes
_MOST_TILE = 128
_MOST_STEPS = 64  # positions that are loaded at once
_WORTH_IT = 0.75  # of the positions that products apart take, which is when they are put behind each other
_PER_PROGRAM = 32  # blocks of positions that one program takes norms of, at most
PROCESSORS = 132  # of an H100 or H200; a choice of speed
TOGETHER = 64  # pictures that are added in float32, as in `dp_sgd.weighted_sums`


@dataclass(frozen=True)
class Geometry:
    """Of one layer's products, all over three axes of positions of which the first ones may be 1.

    Attributes:
        pictures: B.
        views: V.
        channels: C, of the inputs.
        outputs: O.
        groups: Of the channels.
        size: Of the inputs, on each axis, like those that follow.
        positions: Of the outputs.
        kernel: Taps.
        stride: As torch takes it.
        padding: Likewise.
        dilation: Likewise.
    """

    pictures: int
    views: int
    channels: int
    outputs: int
    groups: int
    size: tuple[int, int, int]
    positions: tuple[int, int, int]
    kernel: tuple[int, int, int] = (1, 1, 1)
    stride: tuple[int, int, int] = (1, 1, 1)
    padding: tuple[int, int, int] = (0, 0, 0)
    dilation: tuple[int, int, int] = (1, 1, 1)

    @property
    def taps(self) -> int:
        """Of the kernel, over all axes."""
        return math.prod(self.kernel)

    @property
    def pixels(self) -> int:
        """Of the inputs, over all axes."""
        return math.prod(self.size)

    @property
    def is_deep(self) -> bool:
        """Whether patches meet more on the first axis than one plane."""
        return self.size[0] > 1 or self.kernel[0] > 1 or self.padding[0] > 0

    @property
    def places(self) -> int:
        """T, positions of one view of a picture."""
        return math.prod(self.positions)

    @property
    def numbers(self) -> int:
        """Of the weight."""
        return self.taps * self.channels // self.groups * self.outputs


@dataclass(frozen=True)
class Plan:
    """Tiles and programs of one layer.

    What decides the bits of a product, `kind` to `warps`, is one choice for both passes: that the norm is that of what
    is summed rests on it.

    Attributes:
        kind: `POINT`, `TAPS` or `GATHER`.
        products: `WHOLE`, `APART` or `BEHIND`.
        rows: Of a tile, among taps and channels.
        columns: Of a tile, among outputs.
        steps: Positions that are multiplied at once.
        blocks: Such steps, of a picture in one view.
        tail: Positions that follow a single block and are multiplied beside it; 0 where there are none.
        warps: Of a program.
        stages: Loads that are under way.
        row_tiles: Tiles of one group's rows.
        column_tiles: Tiles of one group's columns.
        per_norm: Pictures of a program that takes norms.
        per_sum: Pictures of a program that adds up.
    """

    kind: int
    products: int
    rows: int
    columns: int
    steps: int
    blocks: int
    tail: int
    warps: int
    stages: int
    row_tiles: int
    column_tiles: int
    per_norm: int
    per_sum: int

    @property
    def tiles(self) -> int:
        """Of one group's gradient."""
        return self.row_tiles * self.column_tiles


def plan_of(geometry: Geometry, *, halves: int) -> Plan:
    """Returns the tiles of a layer.

    Args:
        geometry: Of the layer.
        halves: 1 where operands are bfloat16, 2 where each is a pair of such.
    """
    channels, outputs = geometry.channels // geometry.groups, geometry.outputs // geometry.groups
    kind = _kind(geometry, channels)
    rows = min(_MOST_TILE, _power(channels * geometry.taps if kind == GATHER else channels))
    if kind == TAPS and channels % rows and channels > _MOST_TILE // 2:
        rows = _MOST_TILE // 2
    columns = min(_MOST_TILE, _power(outputs))
    if kind == GATHER and columns < _MOST_TILE:  # as in a first layer, of many positions: measured at .35 to .5
        rows = min(_MOST_TILE // 2, rows)
    row_tiles = -(-channels // rows) * geometry.taps if kind == TAPS else -(-channels * geometry.taps // rows)
    products, steps, blocks = _positions(geometry.places, halves)
    tail = _tail(geometry.places) if products == WHOLE and geometry.views == 1 else 0
    blocks = 1 if tail else blocks
    column_tiles = -(-outputs // columns)
    tiles = row_tiles * column_tiles * geometry.groups
    pictures = geometry.pictures
    most = max(1, _PER_PROGRAM // (geometry.views * blocks))
    per_norm = max(1, min(pictures, tiles * pictures // (PROCESSORS * 8), most))
    splits = max(1, min(pictures, PROCESSORS * 3 // tiles))
    large = _MOST_TILE**2 // (2 if kind == GATHER else 1)  # with 4 warps, numbers of it would leave the registers
    return Plan(
        kind=kind,
        products=products,
        rows=rows,
        columns=columns,
        steps=steps,
        blocks=blocks,
        tail=tail,
        warps=8 if rows * columns >= large else 4,
        stages=3,
        row_tiles=row_tiles,
        column_tiles=column_tiles,
        per_norm=per_norm,
        per_sum=min(TOGETHER, -(-pictures // splits)),
    )


def padded_channels(channels: int) -> int:
    """With how many channels few are read as fast as they can be: as many bytes at once as a thread loads.

    Args:
        channels: Of the inputs.
    """
    return next((width for width in (4, 8, 16) if channels <= width), channels)


def _positions(places: int, halves: int) -> tuple[int, int, int]:
    """How operands are multiplied, in what steps, and how many steps a picture takes."""
    steps = min(_MOST_STEPS // halves, _power(places))
    blocks = -(-places // steps)
    if halves == 1:
        return WHOLE, steps, blocks
    long = min(_MOST_STEPS, _power(3 * places))
    many = -(-3 * places // long)
    return (BEHIND, long, many) if many * long <= _WORTH_IT * 3 * blocks * steps else (APART, steps, blocks)


def _tail(places: int) -> int:
    """How many positions to multiply beside a block of the most, where a second one would be empty by half or more."""
    return _power(places - _MOST_STEPS) if _MOST_STEPS < places <= _MOST_STEPS * 3 // 2 else 0


def _kind(geometry: Geometry, channels: int) -> int:
    if geometry.taps == 1 and set(geometry.stride) == {1} and not any(geometry.padding):
        return POINT
    return GATHER if channels < _LEAST and geometry.groups == 1 else TAPS


def _power(value: int) -> int:
    """The next power of two that a tensor core takes."""
    return max(_LEAST, 1 << (value - 1).bit_length())
