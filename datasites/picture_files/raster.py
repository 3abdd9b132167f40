"""Reads PNG, JPEG, TIFF, BMP and WebP files with Pillow: upright, transparent parts black, in the file's own depth.

Colour profiles and gamma are not looked at. What is read stays inside.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from datasites.picture_files import deep_values
from datasites.picture_files.containers.checksums import has_broken_chunks, has_broken_strips
from datasites.picture_files.containers.jpeg_scans import lacks_scans
from datasites.picture_files.containers.png_chunks import may_be_turned, significant_bits
from datasites.picture_files.containers.tiff_tags import hides_pages, is_aperio, refused_page, refused_slide
from datasites.picture_files.depth import are_shifted, white_of
from datasites.picture_files.file_bytes import PictureFile
from datasites.picture_files.file_pixels import MAX_PIXELS, FilePixels, PictureInfo
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import (
    ANIMATED,
    COLOUR_DEPTH,
    COLOUR_SPACE,
    DAMAGED,
    FLOAT_VALUES,
    HIDDEN_PAGES,
    LONG_VALUES,
    MANY_PAGES,
    NO_SUCH_FRAME,
    TOO_LARGE,
    UNKNOWN_LAYOUT,
)
from policies.plans.picture_form import PictureForm

GREY = ("1", "L", "LA", "La", *deep_values.GREY)
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
MOST_PAGES = 4096
_LARGEST, _SUBFILE = 281, 254  # TIFF's tags
_NOT_ITS_OWN = 0b101  # of a TIFF page: a smaller copy of another, or a mask
_BITS_OF_LARGEST = {2**bits - 1: bits for bits in range(9, 17)}


def info(path: PictureFile, kind: str) -> PictureInfo:
    """What the header says.

    Raises:
        PictureRefused: The file cannot be taken, as far as its header tells.
    """
    with opened(path, kind) as picture:
        pages = _pages(picture, kind)
        picture.seek(pages[0])
        return _info(picture, path, kind, frames=len(pages))


def pixels(path: PictureFile, kind: str, form: PictureForm, frame: int) -> FilePixels:
    """One picture of the file.

    Raises:
        PictureRefused: It cannot be read, or its values do not say what is white.
    """
    with opened(path, kind) as picture:
        pages = _pages(picture, kind)
        if not 0 <= frame < len(pages):
            raise PictureRefused(NO_SUCH_FRAME, private=f"{path}: {frame} of {len(pages)}")
        picture.seek(pages[frame])
        _check(picture, path, kind)
        _refuse_changed(picture, path, kind)
        if not deep_values.are_deep(picture):
            return FilePixels(_plain(picture))
        bits, is_stated = _bits(picture, path, kind)
        if picture.mode in deep_values.GREY:
            values = deep_values.grey(picture)
        else:
            with opened(path, kind) as again:
                again.seek(pages[frame])
                values = deep_values.colour(picture, again)
        colours = values[:, :, :3]
        shift = 16 - bits if kind == "png" and is_stated and are_shifted(colours, bits) else 0
        white = white_of(colours, stated=bits + shift if is_stated else None, declared=form.bits)
        seen = deep_values.on_black(values, picture, white)
        return FilePixels(seen >> np.uint16(shift), white >> shift)


@contextmanager
def opened(path: PictureFile, kind: str) -> Iterator[Any]:
    """The picture, not yet decoded.

    Raises:
        PictureRefused: Pillow cannot read it, be it now or while this is open.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags, which change no pixel
            # As a stream: by its name, Pillow 13.0.0 maps a turned TIFF into memory with its sides exchanged.
            with path.open("rb") as stream, Image.open(stream, formats=(kind.upper(),)) as picture:
                yield picture
    except (PictureRefused, MemoryError):
        raise
    except Exception as error:  # whatever Pillow makes of a file that it does not expect
        reason = {Image.DecompressionBombError: TOO_LARGE, UnidentifiedImageError: UNKNOWN_LAYOUT}
        raise PictureRefused(
            reason.get(type(error), DAMAGED), private=f"{path}: {type(error).__name__}: {error}"
        ) from error


def _pages(picture: Any, kind: str) -> list[int]:
    """The numbers of the pages that are pictures; of a JPEG the first alone, since others are its previews."""
    if kind == "tiff":
        kinds = list(_subfiles(picture))
        picture.seek(0)
        if hides_pages(picture.tag_v2, len(kinds)):
            raise PictureRefused(HIDDEN_PAGES)
        if is_aperio(picture.tag_v2):
            return [0]
        return [page for page, kind_of_page in enumerate(kinds) if not kind_of_page & _NOT_ITS_OWN] or [0]
    count = 1 if kind == "jpeg" else getattr(picture, "n_frames", 1)
    if count > 1:
        raise PictureRefused(ANIMATED, private=f"{count} pictures")
    return [0]


def _subfiles(picture: Any) -> Iterator[int]:
    """What each page of a TIFF is. They are counted here: Pillow would follow as many as a file's bytes can name.

    Raises:
        PictureRefused: There are more than `MOST_PAGES`, or one of several is a slide scanner's.
    """
    for page in range(MOST_PAGES + 1):
        try:
            picture.seek(page)
        except EOFError:
            return
        reason = refused_slide(picture.tag_v2) if page else None
        if reason is not None:
            raise PictureRefused(reason, private=f"page {page}")
        yield int(picture.tag_v2.get(_SUBFILE, 0))
    raise PictureRefused(MANY_PAGES)


def _info(picture: Any, path: PictureFile, kind: str, *, frames: int) -> PictureInfo:
    _check(picture, path, kind)
    channels, (bits, stated) = 1 if picture.mode in GREY else 3, _bits(picture, path, kind)
    size = (picture.height, picture.width)
    return PictureInfo(kind, size[::-1] if _is_turned(picture, path, kind) else size, channels, bits, stated, frames)


def _is_turned(picture: Any, path: PictureFile, kind: str) -> bool:
    """Whether height and width change places; of a TIFF Pillow gives them as they will be."""
    if kind == "tiff" or (kind == "png" and not may_be_turned(path)):  # for a PNG's word Pillow decodes all of it
        return False
    return picture.getexif().get(_ORIENTATION, 1) in _TURNED


def _check(picture: Any, path: PictureFile, kind: str) -> None:
    """Refuses what no rule is declared for.

    Raises:
        PictureRefused: With the rule that is missing.
    """
    mode = picture.mode
    reason = {"F": FLOAT_VALUES, "I": LONG_VALUES}.get(mode)
    if picture.width * picture.height > MAX_PIXELS:
        reason = TOO_LARGE
    elif reason is None and mode not in (*GREY, *COLOUR):
        reason = COLOUR_SPACE
    elif kind == "jpeg" and mode == "CMYK" and "adobe" not in picture.info:
        reason = COLOUR_SPACE  # without Adobe's mark nobody says whether 0 or 255 is ink
    elif mode in COLOUR and deep_values.are_deep(picture) and not deep_values.can_be_read(picture):
        reason = COLOUR_DEPTH
    elif kind == "tiff" and reason is None:
        reason = refused_page(picture.tag_v2)
    if reason is not None:
        raise PictureRefused(reason, private=f"{path}: {mode}, {picture.width} x {picture.height}")


def _refuse_changed(picture: Any, path: PictureFile, kind: str) -> None:
    """Refuses a file of which something is missing or changed, which its decoder shows all the same.

    Raises:
        PictureRefused: It is damaged.
    """
    with path.open("rb") as stream:
        if kind == "tiff":
            is_changed = has_broken_strips(picture, stream)
        elif kind == "png":
            is_changed = has_broken_chunks(stream.read())
        else:
            is_changed = kind == "jpeg" and lacks_scans(stream.read())
    if is_changed:
        raise PictureRefused(DAMAGED, private=f"{path}: scans are missing, or checksums are others'")


def _bits(picture: Any, path: PictureFile, kind: str) -> tuple[int, bool]:
    """(bits of each value that count, whether the file says so)."""
    if not deep_values.are_deep(picture):
        return 8, True
    if kind == "png":
        stated = significant_bits(path)
    elif picture.tag_v2[deep_values.BITS][0] < 16:
        stated = picture.tag_v2[deep_values.BITS][0]
    else:
        stated = _BITS_OF_LARGEST.get(np.max(np.atleast_1d(picture.tag_v2.get(_LARGEST, 0))[:3]))
    return stated or 16, stated is not None


def _plain(picture: Image.Image) -> NDArray[np.uint8]:
    """uint8, (H, W, 1) or (H, W, 3), of a picture of up to 8 bits a value."""
    _spread_transparent_grey(picture)
    ImageOps.exif_transpose(picture, in_place=True)
    is_grey = picture.mode in GREY
    if picture.mode in ("La", "RGBa"):  # which are as bright as they are seen on black already
        values = np.asarray(picture)
        return values[:, :, :1] if is_grey else values[:, :, :3]
    wanted = "L" if is_grey else "RGB"
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture.convert("RGBA"))
    values = np.asarray(picture if picture.mode == wanted else picture.convert(wanted))  # converting always copies
    return values[:, :, None] if wanted == "L" else values


def _spread_transparent_grey(picture: Any) -> None:
    """Brings a PNG's transparent grey of 2 or 4 bits to 8, as Pillow does with the greys that it is compared with."""
    step = max(map(deep_values.grey_step, picture.tile), default=1)
    if step > 1 and isinstance(picture.info.get("transparency"), int):
        picture.info["transparency"] *= step
