"""A canvas of any size that twins are drawn on, many pictures at once. No data of a hospital is involved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
RGB = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Canvas:
    """Pictures that are drawn together; places are from -1 to 1 along each side, whatever its number of pixels.

    Attributes:
        rng: Decides what differs between the pictures.
        count: Number of pictures.
        height: In pixels.
        width: In pixels.
    """

    rng: np.random.Generator
    count: int
    height: int
    width: int

    @property
    def x(self) -> Floats:
        """Place of each column, float32, (1, 1, width)."""
        return _places(self.width)[None, None, :]

    @property
    def y(self) -> Floats:
        """Place of each row, float32, (1, height, 1)."""
        return _places(self.height)[None, :, None]

    def uniform(self, low: float, high: float) -> Floats:
        """One random number a picture, float32, (count, 1, 1)."""
        return np.float32(low) + np.float32(high - low) * self.rng.random((self.count, 1, 1), dtype=np.float32)

    def ellipse(
        self, x: Floats | float, y: Floats | float, across: Floats | float, down: Floats | float, soft: float = 0.1
    ) -> Floats:
        """How much of an ellipse with this middle and these half axes covers each pixel, 0 to 1."""
        far = np.hypot((self.x - x) / across, (self.y - y) / down)
        return np.asarray(np.clip((1 - far) / soft + 0.5, 0, 1), dtype=np.float32)

    def texture(self, knots: int) -> Floats:
        """Smooth random values from 0 to 1: `knots` along each side, interpolated; (count, height, width)."""
        values = self.rng.random((self.count, knots, knots), dtype=np.float32)
        return np.asarray(interpolation(self.height, knots) @ values @ interpolation(self.width, knots).T)

    def grain(self, strength: float) -> Floats:
        """What a sensor adds to each pixel, around 0."""
        noise = self.rng.standard_normal((self.count, self.height, self.width), dtype=np.float32)
        return np.asarray(np.float32(strength) * noise)


def interpolation(size: int, knots: int) -> Floats:
    """Weights of the knots at each of `size` pixels, (size, knots); each row sums to 1."""
    at = np.linspace(0, knots - 1, size)[:, None] - np.arange(knots)[None, :]
    return np.maximum(0, 1 - np.abs(at)).astype(np.float32)


def painted(share: Floats, bottom: RGB | Floats, top: RGB) -> Floats:
    """Colours from `bottom` to `top` by a share from 0 to 1, (count, height, width, 3)."""
    below = np.asarray(bottom, dtype=np.float32)
    return np.asarray(below + share[..., None] * (np.asarray(top, dtype=np.float32) - below))


def _places(size: int) -> Floats:
    return np.linspace(-1, 1, size, dtype=np.float32) if size > 1 else np.zeros(1, dtype=np.float32)
