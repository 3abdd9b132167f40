"""Values of 16 bits from files that Pillow opens, whole: of colours Pillow itself keeps no more than the upper byte."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

GREY = ("I;16", "I;16B", "I;16L")
BITS = 258  # a tag of TIFF, as is the next
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_OTHER = "B" if sys.byteorder == "little" else "L"
# What a layout is called in the other byte order, in which the lower byte of each value is where the upper one was.
_OTHER_ORDER = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("L", "B"), ("B", "L"), ("N", _OTHER))
}


def are_deep(picture: Any) -> bool:
    """Whether an open picture has more than 8 bits a value; not asked after it was decoded."""
    if hasattr(picture, "tag_v2"):
        return max(picture.tag_v2.get(BITS, (1,))) > 8
    layouts = map(_layout, picture.tile)
    return any(";16" in layout and not layout.startswith("BGR") for layout in layouts)  # BGR;16 is 5, 6 and 5 of a BMP


def can_be_read(picture: Any) -> bool:
    """Whether all of a colour picture's 16 bits can be had; not asked after it was decoded."""
    return all(_layout(tile) in _OTHER_ORDER for tile in picture.tile)


def grey_step(tile: Any) -> int:
    """How far apart the greys of a part of an undecoded picture are in 8 bits: 85 of 2 bits, 17 of 4, else 1."""
    return {"L;2": 85, "L;4": 17}.get(_layout(tile), 1)


def grey(picture: Any) -> NDArray[np.uint16]:
    """uint16, (H, W, 1), as stored."""
    return _upright(picture)[:, :, None]


def colour(picture: Any, again: Any) -> NDArray[np.uint16]:
    """uint16, (H, W, 3) or (H, W, 4), as stored.

    Args:
        picture: An open picture that was not decoded yet, whose 16 bits can be read.
        again: The same.
    """
    again.tile = [_in_other_order(tile) for tile in again.tile]
    return (_upright(picture) << np.uint16(8)) | _upright(again)


def on_black(values: NDArray[np.uint16], picture: Any, white: int) -> NDArray[np.uint16]:
    """uint16, (H, W, 1) or (H, W, 3), from 0, which is black, to `white`, with black where the picture is transparent.

    Args:
        values: As stored.
        picture: The picture that they are of.
        white: The largest value.
    """
    if hasattr(picture, "tag_v2") and picture.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return np.uint16(white) - values  # Pillow turns 8 bits round, and not 16
    if values.shape[2] == 4:
        opaque = 2**16 - 1 if values[:, :, 3].max() > white else white
        return (values[:, :, :3].astype(np.uint64) * values[:, :, 3:] // opaque).astype(np.uint16)
    transparent = picture.info.get("transparency")
    if transparent is not None:
        values[(values == np.asarray(transparent, dtype=np.uint16)).all(axis=2)] = 0
    return values


def _upright(picture: Any) -> NDArray[np.uint16]:
    return np.asarray(ImageOps.exif_transpose(picture)).astype(np.uint16)


def _layout(tile: Any) -> str:
    return str(tile.args if isinstance(tile.args, str) else tile.args[0])


def _in_other_order(tile: Any) -> Any:
    other = _OTHER_ORDER[_layout(tile)]
    return tile._replace(args=other if isinstance(tile.args, str) else (other, *tile.args[1:]))
