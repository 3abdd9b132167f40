"""Drawn pictures of nobody: what features of a picture usually are, without looking at a patient's.

An ellipse in the middle over smaller ones, in greys, after the dead leaves model of pictures (Lee, Mumford and Huang,
"Occlusion Models for Natural Images", IJCV 2001). Sizes, places and greys come from a Sobol sequence, so the pictures
are the same on every machine.
"""

from __future__ import annotations

import math

import torch

_LEAVES = 6
_NUMBERS = 8  # that describe an ellipse
_NOISE = 0.08  # most noise of a picture, as the standard deviation


def reference_pictures(count: int, size: int) -> torch.Tensor:
    """Returns float32, (count, size, size), greys in [0, 1].

    Args:
        count: How many.
        size: Pixels of each side.
    """
    numbers = torch.quasirandom.SobolEngine(_NUMBERS * (_LEAVES + 1) + 2).draw(count + 1)[1:]  # the first is all zero
    ground, noise = 0.3 + 0.7 * numbers[:, 0], _NOISE * numbers[:, 1]
    pictures = ground[:, None, None].expand(count, size, size)
    for part in numbers[:, 2:].split(_NUMBERS, dim=1)[:_LEAVES]:
        pictures = _with_ellipse(pictures, part, 0.05 * torch.exp(1.8 * part[:, 0]), 1.2, ground)
    middle = numbers[:, -_NUMBERS:]
    pictures = _with_ellipse(pictures, middle, 0.15 + 0.3 * middle[:, 0], 0.1, ground)
    return (pictures + noise[:, None, None] * _grain(pictures.shape)).clamp(0, 1)


def _with_ellipse(
    pictures: torch.Tensor, numbers: torch.Tensor, radius: torch.Tensor, spread: float, ground: torch.Tensor
) -> torch.Tensor:
    """Draws an ellipse with a soft edge, and a lighter or darker middle, into each picture."""
    right, down, turn, length, edge, grey, middle = (column[:, None, None] for column in numbers[:, 1:].T)
    places = (torch.arange(pictures.shape[-1]) + 0.5) / pictures.shape[-1] - 0.5
    horizontal, vertical = places[None, None, :] - spread * (right - 0.5), places[None, :, None] - spread * (down - 0.5)
    cosine, sine = torch.cos(math.pi * turn), torch.sin(math.pi * turn)
    along, across = horizontal * cosine + vertical * sine, vertical * cosine - horizontal * sine
    distance = torch.hypot(along * torch.exp(0.5 * length), across) / radius[:, None, None]
    inside = ((1 - distance) * radius[:, None, None] / (0.02 + 0.06 * edge) + 0.5).clamp(0, 1)
    colour = ground[:, None, None] * (0.4 + 0.6 * grey) + (middle - 0.5) / 2 * torch.exp(-4 * distance**2)
    return pictures * (1 - inside) + colour * inside


def _grain(shape: torch.Size) -> torch.Tensor:
    """Numbers without a pattern, mean 0 and variance 1, by a formula rather than a generator."""
    order = torch.arange(shape.numel(), dtype=torch.float64)
    return (((torch.sin(order * 12.9898) * 43758.5453) % 1 - 0.5) * math.sqrt(12)).float().reshape(shape)
