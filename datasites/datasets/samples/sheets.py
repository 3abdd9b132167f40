"""Sheets of samples: a dataset's first pictures side by side, for the hospital's people alone; or its mock's."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasites.assets.read_rows import taken

SAMPLES, COLUMNS = 24, 6
CELL = 160  # most pixels of a sample's side


def sheet(images: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """The first `SAMPLES` of them side by side, as PNG.

    Args:
        images: (N, height, width, channels), of a store, whose rows are in a random order, or of a mock.
    """
    images = taken(images, np.arange(min(SAMPLES, len(images))))
    height, width = images.shape[1:3]
    scale = min(1.0, CELL / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    rows = -(-len(images) // COLUMNS)
    drawn = Image.new("RGB", (COLUMNS * (size[0] + 2), rows * (size[1] + 2)), "white")
    for index, image in enumerate(images):
        down, across = divmod(index, COLUMNS)
        drawn.paste(_picture(image).resize(size, Image.Resampling.BOX), (across * (size[0] + 2), down * (size[1] + 2)))
    written = io.BytesIO()
    drawn.save(written, "PNG")
    return written.getvalue()


def _picture(image: NDArray[np.uint8] | NDArray[np.uint16]) -> Image.Image:
    eight = (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else np.asarray(image)
    return Image.fromarray(eight[..., :3] if eight.shape[2] >= 3 else eight[..., 0]).convert("RGB")
