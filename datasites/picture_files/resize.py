"""Brings pictures to a declared size, number of channels and depth. Making smaller is antialiased."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasites.picture_files.file_pixels import FilePixels
from policies.plans.picture_form import PictureForm

Box = tuple[float, float, float, float]
_GREY = (19595 / 65536, 38470 / 65536, 7471 / 65536)  # what Pillow takes of red, green and blue: ITU-R BT.601


def to_form(pixels: FilePixels, form: PictureForm) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(height, width, channels) of `form`: uint16 where its `store_bits` is 16, else uint8.

    Pictures of more than 8 bits are resized before they are brought to 8. Values are rounded to the nearest.
    """
    inner, box = _place(pixels.values.shape[:2], pixels.aspect, form)
    plain = pixels.values.dtype == np.uint8 and pixels.white == 255 and form.store_bits == 8
    resized = _resized(pixels.values if plain else pixels.values.astype(np.float32), inner, box)
    values = _with_channels(resized, form.channels)
    if not plain:
        values = _scaled(values, pixels.white, form.store_bits)
    return _padded(values, form.size)


def _place(size: tuple[int, ...], aspect: float, form: PictureForm) -> tuple[tuple[int, int], Box]:
    """((height, width) that the picture takes of the form's size, box of the picture that is seen)."""
    height, width = size
    if form.resize == "stretch":
        return form.size, (0, 0, width, height)
    tall = height * aspect if form.square_pixels else float(height)
    scales = form.size[0] / tall, form.size[1] / width
    if form.resize == "fit":
        inner = [
            min(full, max(1, int(side * min(scales) + 0.5)))
            for side, full in zip((tall, width), form.size, strict=True)
        ]
        return (inner[0], inner[1]), (0, 0, width, height)
    rows = min(height, form.size[0] / max(scales) * height / tall)
    columns = min(width, form.size[1] / max(scales))
    top, left = (height - rows) / 2, (width - columns) / 2
    return form.size, (left, top, left + columns, top + rows)


def _resized(values: NDArray[Any], size: tuple[int, int], box: Box) -> NDArray[Any]:
    """uint8 or float32, (H, W, C), of another size; colours that are uint8 together, others channel by channel."""
    if values.shape[:2] == size and box == (0, 0, size[1], size[0]):
        return values
    if values.dtype == np.uint8 and values.shape[2] == 3:
        return np.asarray(_stretched(values, size, box))
    planes = [np.asarray(_stretched(values[:, :, channel], size, box)) for channel in range(values.shape[2])]
    return np.stack(planes, axis=-1)


def _stretched(values: NDArray[Any], size: tuple[int, int], box: Box) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(values))
    return picture.resize(size[::-1], Image.Resampling.BILINEAR, box=box)


def _with_channels(values: NDArray[Any], channels: int) -> NDArray[Any]:
    if values.shape[2] == channels:
        return values
    if channels == 3:
        return np.repeat(values, 3, axis=2)
    if values.dtype == np.uint8:
        return np.asarray(Image.fromarray(values).convert("L"))[:, :, None]
    return (values @ np.asarray(_GREY, dtype=np.float32))[:, :, None]


def _scaled(values: NDArray[Any], white: float, bits: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    top = 2**bits - 1
    levels = np.floor(values.astype(np.float64) * top / white + 0.5)
    kind: Any = np.uint8 if bits == 8 else np.uint16
    scaled: NDArray[np.uint8] | NDArray[np.uint16] = np.clip(levels, 0, top).astype(kind)
    return scaled


def _padded(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """In the middle of black, where the picture is smaller than `size`."""
    height, width = values.shape[:2]
    if (height, width) == size:
        return np.ascontiguousarray(values)
    padded = np.zeros((*size, values.shape[2]), dtype=values.dtype)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    padded[top : top + height, left : left + width] = values
    return padded
