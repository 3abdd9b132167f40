"""Sizes and channels of a folder's pictures, over all its hospitals; read from the files' headers alone."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from datasites.assets.folder import FORMATS, SUFFIXES

MIXED_SIDE = 64
_GREY = ("1", "L", "LA", "La", "I", "I;16", "F")


def common_form(folder: Path) -> tuple[tuple[int, int], int]:
    """((height, width), channels) that all hospitals' pictures can be brought to.

    The size is (0, 0), meaning their own, where all pictures agree in it, else `MIXED_SIDE` squared; the channels are 1
    where every picture is grey, else 3. What cannot be read is left to the ingestion to refuse.
    """
    sizes: set[tuple[int, int]] = set()
    grey = True
    for file in folder.rglob("*"):
        if file.suffix.lower() not in SUFFIXES or not file.is_file():
            continue
        try:
            with Image.open(file, formats=FORMATS) as picture:
                turned = picture.getexif().get(0x0112, 1) >= 5
                sizes.add((picture.width, picture.height) if turned else (picture.height, picture.width))
                grey = grey and picture.mode in _GREY
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            continue
    size = (0, 0) if len(sizes) <= 1 else (MIXED_SIDE, MIXED_SIDE)
    return size, 1 if grey else 3
