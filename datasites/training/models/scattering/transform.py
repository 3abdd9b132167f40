"""The scattering transform, pooled to what no turn about the picture's centre changes. Public code without parameters;
what it says of private pictures stays with these.

Scattering: Mallat ("Group Invariant Scattering", Communications on Pure and Applied Mathematics 2012). Averages over
places and directions together: Oyallon and Mallat ("Deep Roto-Translation Scattering for Object Classification",
CVPR 2015). As features for private training: Tramèr and Boneh ("Differentially Private Learning Needs Better Features
(or Much More Data)", ICLR 2021).

A picture is filtered by wavelets of three lengths and eight directions; the absolute values are the first order, and
the same done to these, with longer wavelets, the second. Instead of averages on a grid, each result is averaged over
five rings about the centre, weighted with the harmonics e^(i m phi) of the place and e^(-2 i k alpha) of the wavelet's
direction. A turn multiplies such an average by e^(i (m - 2k) beta): where m = 2k it stays, and its real part is taken;
elsewhere the absolute value. A mirror image gives the same numbers.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from datasites.training.models.scattering.wavelets import Bands, length

SCALES, DIRECTIONS, RINGS, HARMONICS = 3, 8, 5, 5
# (m, k): harmonic of the place, harmonic of the direction
UNTURNED = ((0, 0), (2, 1), (4, 2))
TURNED = ((1, 0), (2, 0), (3, 0), (4, 0), (0, 1), (0, 2))
_PAIRS = tuple((first, second) for first in range(SCALES) for second in range(first + 1, SCALES))
_DIFFERENCES = DIRECTIONS // 2 + 1  # of two directions, a mirror image apart from none

WIDTH = RINGS * (HARMONICS + SCALES * (len(UNTURNED) + len(TURNED)) + len(_PAIRS) * _DIFFERENCES)
"""Numbers that each channel of a picture becomes."""


class Scattering:
    """The transform for pictures of one size, on one device.

    Args:
        size: Pixels of each side, a multiple of 8, at least 24.
        device: Where torch computes.

    Attributes:
        steps: Places between the results of each scale.
        first: Wavelets of each scale, for the picture.
        second: (scale, longer scale) → wavelets for the absolute values of the first.
        rings: Step → weights of the averages over rings, complex64, (HARMONICS * RINGS, places).
        turns: Harmonics of the direction, complex64, (3, DIRECTIONS).
        difference: Weights that average over pairs of directions, (_DIFFERENCES, DIRECTIONS, DIRECTIONS).
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.steps = [2**scale for scale in range(SCALES)]
        angles = [math.pi * number / DIRECTIONS for number in range(DIRECTIONS)]
        self.first = [Bands(size, j, angles, step=step).to(device) for j, step in enumerate(self.steps)]
        self.second = {
            (j, k): Bands(size, k, angles, step=self.steps[k], spacing=self.steps[j]).to(device) for j, k in _PAIRS
        }
        self.rings = {step: _ring_windows(size, step).to(device) for step in self.steps}
        turns = [[-2j * k * angle for angle in angles] for k in range(3)]
        self.turns = (torch.tensor(turns, dtype=torch.complex64).exp() / DIRECTIONS).to(device)
        self.difference = _differences().to(device)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32, (N, WIDTH), from single channels, float32, (N, size, size)."""
        spectrum = torch.fft.fft2(images)
        places = self._harmonics(images[:, None], 1)[:, 0]  # (N, m, ring)
        found = [places[:, 0].real, *(length(places[:, m]) for m in range(1, HARMONICS))]
        maps = []
        for scale, bands in enumerate(self.first):
            maps.append(bands(spectrum))
            joint = torch.einsum("ndmr,kd->nmkr", self._harmonics(maps[-1], self.steps[scale]), self.turns)
            found += [joint[:, m, k].real for m, k in UNTURNED]
            found += [length(joint[:, m, k]) for m, k in TURNED]
        for (first, second), bands in self.second.items():
            longer = bands(torch.fft.fft2(maps[first])).flatten(-2)  # (N, direction, direction, places)
            rings = longer @ self.rings[self.steps[second]][:RINGS].real.T  # (..., ring)
            found += list(torch.einsum("nder,qde->qnr", rings, self.difference))
        return torch.cat(found, dim=1)

    def _harmonics(self, maps: torch.Tensor, step: int) -> torch.Tensor:
        """Averages over rings times e^(i m phi): complex64, (N, D, HARMONICS, RINGS), from (N, D, side, side)."""
        windows, flat = self.rings[step], maps.flatten(-2)
        found = torch.complex(flat @ windows.real.T, flat @ windows.imag.T)
        return found.reshape(*maps.shape[:2], HARMONICS, RINGS)


def _ring_windows(size: int, step: int) -> torch.Tensor:
    """Rings times e^(i m phi) at every `step`-th place, each ring's weights summing to 1.

    Rings are triangular over the radius and overlap by half; the innermost is full.

    Returns:
        complex64, (HARMONICS * RINGS, (size / step)^2), harmonics first.
    """
    places = np.arange(size // step) * step + (step - size) / 2
    vertical, horizontal = np.meshgrid(places, places, indexing="ij")
    radius, angle = np.hypot(vertical, horizontal), np.arctan2(vertical, horizontal)
    spacing = size / 2 / RINGS
    rings = np.stack([np.clip(1 - abs(radius / spacing - ring - 0.5), 0, None) for ring in range(RINGS)])
    rings[0][radius < spacing / 2] = 1
    rings /= rings.sum(axis=(1, 2), keepdims=True)
    windows = [ring * np.exp(1j * m * angle) for m in range(HARMONICS) for ring in rings]
    return torch.from_numpy(np.stack(windows)).flatten(1).to(torch.complex64)


def _differences() -> torch.Tensor:
    """Weights that average over pairs of directions with the same angle between them: (_DIFFERENCES, D, D)."""
    weights = torch.zeros(_DIFFERENCES, DIRECTIONS, DIRECTIONS)
    for first in range(DIRECTIONS):
        for second in range(DIRECTIONS):
            apart = (first - second) % DIRECTIONS
            weights[min(apart, DIRECTIONS - apart), first, second] = 1
    return weights / weights.sum(dim=(1, 2), keepdim=True)
