"""A drawing of a network: where boxes lie from top to bottom, one for each block, and lines past them. Public."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.graphs.overview.blocks import Block

WIDTH = 340
MOST_BOXES = 40
_LEFT, _RIGHT, _GAP, _LINE, _EDGE = 8, 306, 18, 17, 8
_MOST_NAME, _MOST_LINE, _MOST_LINES = 168, 44, 3  # of a name, units of the picture; a small letter takes seven
_WIDE = {"W": 13, "M": 12, "m": 12, "w": 11}


@dataclass(frozen=True)
class Text:
    """A line of text: where it begins, from the left and to its base line, and what it says."""

    x: int
    y: int
    text: str


@dataclass(frozen=True)
class Box:
    """A block in the picture.

    Attributes:
        y: Its upper edge.
        height: Of the box.
        title: Its name, and how often it follows itself.
        lines: Its operators, and the shape of what it gives.
        figure: Where its trained numbers stand, right-aligned.
        parameters: Its trained numbers, all times together.
        around: An SVG path past the box, where a part of what comes in goes another way; else empty.
    """

    y: int
    height: int
    title: Text
    lines: tuple[Text, ...]
    figure: tuple[int, int]
    parameters: int
    around: str


@dataclass(frozen=True)
class Drawing:
    """A picture of `WIDTH` by `height`.

    Attributes:
        height: Of the whole.
        left: Left edge of each box.
        width: Of each box.
        middle: Where the line from box to box lies.
        boxes: From top to bottom.
        left_out: Blocks that are not drawn, as there would be too many.
    """

    height: int
    left: int
    width: int
    middle: int
    boxes: tuple[Box, ...]
    left_out: int


def drawing_of(blocks: Sequence[Block]) -> Drawing:
    """Returns where each part lies. Texts are cut to what fits and are the researcher's in part: escape them.

    Args:
        blocks: In order.
    """
    boxes: list[Box] = []
    top = _GAP
    for block in blocks[:MOST_BOXES]:
        boxes.append(_box(block, top))
        top += boxes[-1].height + _GAP
    middle = (_LEFT + _RIGHT) // 2
    return Drawing(top, _LEFT, _RIGHT - _LEFT, middle, tuple(boxes), max(len(blocks) - MOST_BOXES, 0))


def _box(block: Block, top: int) -> Box:
    name = _narrowed(block.name or next(iter(block.kinds)))
    said = [*_broken([_counted(kind, count) for kind, count in block.kinds.items()]), f"→ {block.makes}"]
    height = 2 * _EDGE + _LINE * (1 + len(said))
    base = top + _EDGE + 12
    x = _LEFT + 10
    around = ""
    if block.ways > 1:
        middle, side = (_LEFT + _RIGHT) // 2, WIDTH - 12
        around = f"M{middle} {top - 6}H{side}V{top + height + 6}H{middle}"
    return Box(
        y=top,
        height=height,
        title=Text(x, base, name + (f" ×{block.times}" if block.times > 1 else "")),
        lines=tuple(Text(x, base + _LINE * (1 + place), text) for place, text in enumerate(said)),
        figure=(_RIGHT - 10, base),
        parameters=block.parameters * block.times,
        around=around,
    )


def _counted(kind: str, count: int) -> str:
    return kind if count == 1 else f"{count} {kind}"


def _broken(words: Sequence[str]) -> list[str]:
    """Words in as many lines as there is room for."""
    lines = [""]
    for word in words:
        longer = f"{lines[-1]}, {word}" if lines[-1] else word
        if len(longer) <= _MOST_LINE:
            lines[-1] = longer
        elif len(lines) < _MOST_LINES:
            lines.append(word)
        else:
            lines[-1] = _cut(f"{longer}, …", _MOST_LINE)
            break
    return lines


def _narrowed(name: str) -> str:
    """A name that leaves room for the figure beside it, whatever letters it is of."""
    width = 0
    for place, letter in enumerate(name):
        width += _WIDE.get(letter, 10 if letter.isupper() else 7)
        if width > _MOST_NAME:
            return _cut(name, place)
    return name


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
