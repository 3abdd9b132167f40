"""Shapes and textures that drawn cells are made of, many pictures at once. No data of a hospital is involved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SIZE = 32  # pixels, both sides
AXIS: Floats = (np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2)[None, :]  # pixels from the picture's middle


def blob(
    rng: np.random.Generator,
    x: Floats,
    y: Floats,
    radius: Floats,
    *,
    stretch: float = 0.08,
    wobble: float = 0.04,
    soft: float = 1.0,
) -> tuple[Floats, Floats]:
    """A rounded outline, anti-aliased over `soft` pixels, float32 (n, 32, 32) each.

    Returns:
        inside: Coverage of each pixel, 0 to 1.
        rim: Distance from the blob's middle, 1 on its outline.
    """
    n = len(x)
    turn, aspect = uniform(rng, n, 0, np.pi), spread(rng, n, stretch)
    cos, sin = np.cos(turn), np.sin(turn)
    dx, dy = AXIS[None] - per_picture(x), AXIS.T[None] - per_picture(y)
    u = (per_picture(cos) * dx + per_picture(sin) * dy) * per_picture(aspect)
    v = (per_picture(cos) * dy - per_picture(sin) * dx) / per_picture(aspect)
    angle = np.arctan2(v, u)
    outline = 1 + np.float32(wobble) * (
        per_picture(normal(rng, n)) * np.cos(2 * angle + per_picture(turn))
        + per_picture(normal(rng, n)) * np.cos(3 * angle + per_picture(uniform(rng, n, 0, 6.28)))
    )
    rim = np.hypot(u, v) / (per_picture(radius) * np.clip(outline, 0.5, 1.5))
    inside = np.clip((1 - rim) * per_picture(radius) / soft + 0.5, 0, 1)
    return inside, rim


def grain(rng: np.random.Generator, n: int, knots: int) -> Floats:
    """Smooth random texture from 0 to 1, float32 (n, 32, 32): `knots` random values along each axis, interpolated."""
    at = np.linspace(0, knots - 1, SIZE)[:, None] - np.arange(knots)[None, :]
    weights = np.maximum(0, 1 - np.abs(at)).astype(np.float32)
    return np.asarray(weights @ rng.random((n, knots, knots), dtype=np.float32) @ weights.T)


def uniform(rng: np.random.Generator, n: int, low: float, high: float) -> Floats:
    return np.float32(low) + np.float32(high - low) * rng.random(n, dtype=np.float32)


def normal(rng: np.random.Generator, n: int) -> Floats:
    return rng.standard_normal(n, dtype=np.float32)


def spread(rng: np.random.Generator, n: int, log_deviation: float) -> Floats:
    """Random factors around 1."""
    return np.exp(np.float32(log_deviation) * normal(rng, n))


def per_picture(values: NDArray[np.generic]) -> Floats:
    """Returns one value a picture as factors of maps of all its pixels.

    Args:
        values: (N,).

    Returns:
        float32, (N, 1, 1).
    """
    return values.astype(np.float32)[:, None, None]
