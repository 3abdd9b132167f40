"""Pictures that look like a modality and show nobody: drawn from random numbers alone, they may cross the boundary."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from datasites.assets.drawn.canvas import Canvas, Floats, painted

PART = 8  # pictures drawn at once, so that large ones need little memory
_LUMINANCE = (0.299, 0.587, 0.114)


def draw_modality(
    modality: str, rng: np.random.Generator, count: int, image_shape: tuple[int, int, int], *, bits: int = 8
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Draws pictures of a modality.

    Args:
        modality: One of `DRAWINGS`.
        rng: Decides what differs between the pictures.
        count: Number of pictures.
        image_shape: (height, width, channels); what has colour becomes grey for one channel, and the other way round.
        bits: Of each value, 8 or 16.

    Returns:
        uint8 or uint16, (count, height, width, channels).
    """
    height, width, channels = image_shape
    white = 2**bits - 1
    shape = (count, *image_shape)
    images: NDArray[np.uint8] | NDArray[np.uint16]
    images = np.empty(shape, dtype=np.uint8) if bits == 8 else np.empty(shape, dtype=np.uint16)
    for start in range(0, count, PART):
        rows = slice(start, min(start + PART, count))
        drawn = DRAWINGS[modality](Canvas(rng, rows.stop - start, height, width))
        images[rows] = np.rint(white * np.clip(_with_channels(drawn, channels), 0, 1))
    return images


def _with_channels(drawn: Floats, channels: int) -> Floats:
    if drawn.ndim == 4 and channels == 3:
        return drawn
    grey = drawn @ np.asarray(_LUMINANCE, dtype=np.float32) if drawn.ndim == 4 else drawn
    return np.repeat(grey[..., None], channels, axis=3)


def _photograph(on: Canvas) -> Floats:
    """Skin with a spot."""
    skin = painted(0.6 * on.texture(3) + 0.4 * on.uniform(0, 1), (0.55, 0.38, 0.30), (0.93, 0.76, 0.67))
    edge = on.uniform(0.25, 0.5) * (0.75 + 0.5 * on.texture(6))
    spot = on.ellipse(on.uniform(-0.3, 0.3), on.uniform(-0.3, 0.3), edge, edge * on.uniform(0.7, 1.3), soft=0.25)
    return painted(spot * (0.5 + 0.5 * on.texture(9)), skin, (0.32, 0.17, 0.13)) + on.grain(0.02)[..., None]


def _microscopy(on: Canvas) -> Floats:
    """Stained cells with nuclei, on a bright ground."""
    field = painted(on.texture(4), (0.93, 0.86, 0.91), (0.98, 0.95, 0.96))
    for _ in range(7):
        x, y, size = on.uniform(-1, 1), on.uniform(-1, 1), on.uniform(0.18, 0.34)
        cell = on.ellipse(x, y, size, size * on.uniform(0.8, 1.25), soft=0.2)
        field = painted(0.8 * cell, field, (0.88, 0.60, 0.74))
        core = on.ellipse(x + 0.2 * size, y, 0.5 * size, 0.45 * size, soft=0.3)
        field = painted(core * (0.6 + 0.4 * on.texture(12)), field, (0.36, 0.20, 0.52))
    return field + on.grain(0.02)[..., None]


def _fundus(on: Canvas) -> Floats:
    """The back of an eye: a bright disc, and vessels that leave it."""
    side = np.where(on.uniform(0, 1) < 0.5, np.float32(-1), np.float32(1))
    x, y = side * on.uniform(0.35, 0.5), on.uniform(-0.1, 0.1)
    ground = painted(0.7 * on.texture(4) + 0.3 * on.texture(10), (0.55, 0.20, 0.08), (0.86, 0.42, 0.18))
    ground = painted(0.5 * on.ellipse(-0.3 * side, y, 0.3, 0.3, soft=1.5), ground, (0.42, 0.13, 0.06))
    along = (x - on.x) * side  # how far from the disc, towards the middle of the picture
    vessels = np.zeros((on.count, on.height, on.width), dtype=np.float32)
    for up in (-1.0, 1.0):
        for _ in range(3):
            rise, thick = on.uniform(0.3, 1.1), on.uniform(0.012, 0.03)
            path = y + up * rise * np.sqrt(np.abs(along) + 0.002) * (1 - 0.35 * np.abs(along))
            path = path + 0.08 * (on.texture(5) - 0.5)
            vessels = np.maximum(vessels, np.exp(-(((on.y - path) / thick) ** 2)))
    eye = painted(0.75 * vessels, ground, (0.35, 0.05, 0.04))
    eye = painted(on.ellipse(x, y, 0.14, 0.16, soft=0.4), eye, (0.98, 0.86, 0.58))
    return on.ellipse(0, 0, 0.94, 0.94, soft=0.03)[..., None] * eye + on.grain(0.01)[..., None]


def _endoscopy(on: Canvas) -> Floats:
    """A wet tube of folds, lit from the front, and its dark end."""
    x, y = on.uniform(-0.35, 0.35), on.uniform(-0.35, 0.35)
    far = np.hypot(on.x - x, on.y - y) + 0.12 * (on.texture(5) - 0.5)
    folds = 0.5 + 0.5 * np.cos(on.uniform(9, 13) * np.sqrt(far + 0.05) + on.uniform(0, 6))
    light = np.clip(far / on.uniform(0.6, 0.9), 0, 1) * (0.65 + 0.35 * folds)
    wall = painted(light, (0.10, 0.02, 0.02), (0.93, 0.55, 0.45))
    shine = np.clip((on.texture(14) - 0.85) * 8, 0, 1) * light
    tube = painted(shine, wall, (1.0, 0.97, 0.93))
    corners = np.clip((1.45 - np.abs(on.x) - np.abs(on.y)) / 0.04, 0, 1)
    return corners[..., None] * tube + on.grain(0.015)[..., None]


def _xray(on: Canvas) -> Floats:
    """A chest from the front: two lungs, ribs, a spine and a heart."""
    body = on.ellipse(0, 0.25, on.uniform(0.9, 1.05), 1.25, soft=0.2) * (0.62 + 0.1 * on.texture(4))
    middle, down = on.uniform(-0.06, 0.06), on.uniform(0.5, 0.62)
    wide = on.uniform(0.28, 0.34)
    lungs = np.maximum(
        on.ellipse(middle - 0.42, -0.08, wide, down, soft=0.25), on.ellipse(middle + 0.42, -0.08, wide, down, soft=0.25)
    )
    ribs = 0.5 + 0.5 * np.cos(on.uniform(17, 21) * (on.y + 0.45 * (np.abs(on.x - middle) - 0.4) ** 2))
    chest = body - lungs * (0.42 - 0.13 * ribs**3 - 0.1 * on.texture(16))
    spine = np.exp(-(((on.x - middle) / 0.09) ** 2)) * (0.8 + 0.2 * np.cos(26 * on.y))
    heart = on.ellipse(middle + 0.14, 0.28, on.uniform(0.26, 0.36), 0.3, soft=0.4)
    return np.asarray(chest + 0.2 * spine * body + 0.22 * heart * body + on.grain(0.02))


def _mammography(on: Canvas) -> Floats:
    """A breast from the side of the picture, with tissue of many densities."""
    side = np.where(on.uniform(0, 1) < 0.5, np.float32(-1), np.float32(1))
    y, wide, tall = on.uniform(-0.1, 0.1), on.uniform(1.1, 1.5), on.uniform(0.75, 0.9)
    breast = on.ellipse(-side, y, wide, tall, soft=0.12)
    tissue = on.ellipse(-0.8 * side, y, 0.75 * wide, 0.65 * tall, soft=0.9)
    fibres = 0.4 * on.texture(7) + 0.35 * on.texture(17) + 0.25 * on.texture(37)
    return np.asarray(breast * (0.22 + on.uniform(0.6, 1.0) * tissue * fibres**1.5) + on.grain(0.01))


def _ct(on: Canvas) -> Floats:
    """A slice through a body: fat, organs, a spine, ribs."""
    wide, tall = on.uniform(0.8, 0.92), on.uniform(0.6, 0.7)
    slice_ = 0.3 * on.ellipse(0, 0, wide, tall, soft=0.05)
    slice_ = slice_ + 0.2 * on.ellipse(0, 0, wide - 0.1, tall - 0.1, soft=0.05)
    for _ in range(5):
        organ = on.ellipse(on.uniform(-0.5, 0.5), on.uniform(-0.35, 0.3), on.uniform(0.1, 0.3), on.uniform(0.1, 0.22))
        slice_ = slice_ * (1 - organ) + organ * on.uniform(0.4, 0.66)
    turn = np.arctan2(on.y / tall, on.x / wide)
    rim = np.exp(-(((np.hypot(on.x / wide, on.y / tall) - 0.84) / 0.03) ** 2))
    ribs = rim * np.clip(3 * np.cos(11 * turn + on.uniform(0, 6)) - 1.4, 0, 1)
    spine = on.ellipse(0, tall - 0.26, 0.13, 0.12) - 0.7 * on.ellipse(0, tall - 0.16, 0.05, 0.05)
    return np.asarray(np.maximum(slice_, np.maximum(0.95 * ribs, 0.95 * spine)) + on.grain(0.025))


def _mr(on: Canvas) -> Floats:
    """A slice through a head: scalp, skull, folded grey and white matter, ventricles."""
    wide, tall = on.uniform(0.7, 0.78), on.uniform(0.86, 0.94)
    far = np.hypot(on.x / wide, on.y / tall)
    scalp = 0.8 * np.exp(-(((far - 0.97) / 0.035) ** 2))
    brain = np.clip((0.86 - far) / 0.03, 0, 1)
    folds = 0.5 + 0.5 * np.sin(28 * on.texture(7) + 18 * far)
    white = np.clip((0.72 + 0.12 * folds - far) / 0.1, 0, 1)
    matter = 0.42 + 0.3 * white - 0.1 * folds * (1 - 0.5 * white)
    gap = on.uniform(0.09, 0.14)
    dark = np.maximum(on.ellipse(-gap, -0.05, 0.07, 0.26, soft=0.3), on.ellipse(gap, -0.05, 0.07, 0.26, soft=0.3))
    dark = np.maximum(dark, 0.6 * np.exp(-((on.x / 0.012) ** 2)))
    return np.asarray(
        np.maximum(scalp, brain * matter * (1 - 0.85 * dark)) * (0.85 + 0.3 * on.texture(2)) + on.grain(0.02)
    )


def _ultrasound(on: Canvas) -> Floats:
    """A fan of speckle in layers, with a dark round and what is bright behind it."""
    depth = np.hypot(on.x, on.y + 1.25) - 0.3
    fan = np.clip((0.75 - np.abs(np.arctan2(on.x, on.y + 1.25))) / 0.02, 0, 1)
    fan = fan * np.clip(depth / 0.02, 0, 1) * np.clip((1.85 - depth) / 0.02, 0, 1)
    layers = 0.35 + 0.3 * np.sin(on.uniform(7, 11) * depth + 5 * on.texture(4)) * np.exp(-1.2 * depth)
    x, y, size = on.uniform(-0.4, 0.4), on.uniform(-0.2, 0.4), on.uniform(0.12, 0.3)
    cyst = on.ellipse(x, y, size, 0.8 * size, soft=0.25)
    behind = np.exp(-(((on.x - x) / size) ** 2)) * np.clip((on.y - y) / 0.3, 0, 1)
    speckle = on.rng.rayleigh(0.8, (on.count, on.height, on.width)).astype(np.float32)
    return np.asarray(fan * speckle * (layers * (1 - 0.92 * cyst) + 0.2 * behind * (1 - cyst)))


def _other(on: Canvas) -> Floats:
    """Smooth blobs of colour."""
    return np.stack([on.texture(4) for _ in range(3)], axis=3)


DRAWINGS: dict[str, Callable[[Canvas], Floats]] = {
    "other": _other,
    "photograph": _photograph,
    "microscopy": _microscopy,
    "fundus": _fundus,
    "endoscopy": _endoscopy,
    "xray": _xray,
    "mammography": _mammography,
    "ct": _ct,
    "mr": _mr,
    "ultrasound": _ultrasound,
}
"""Each modality's drawing: float32 from 0 to 1, (count, height, width) or with colour (count, height, width, 3)."""
