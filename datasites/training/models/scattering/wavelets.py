"""Morlet wavelets on a square of pixels: fixed functions, the same for every hospital; nothing private passes.

Their shape is that of Bruna and Mallat ("Invariant Scattering Convolution Networks", IEEE TPAMI 2013): a plane wave
under a Gaussian that is twice as long across the wave as along it, made to have mean zero.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

SLANT = 0.5  # extent along the wave over extent across it
_WIDTH = 0.8  # standard deviation along the wave in pixels, at scale 0
_CENTRE = 0.75 * math.pi  # frequency of the wave in radians a pixel, at scale 0


def morlet(size: int, scale: int, angle: float) -> np.ndarray:
    """The Fourier transform of a wavelet, which is real: float64, (size, size), rows first, zero frequency first.

    Its values are about 1 where it lets most through. Pictures are taken as periodic.

    Args:
        size: Pixels of each side.
        scale: j; the wave is 2^j times as long as the shortest.
        angle: Direction of the wave in radians, from the row of pixels towards the column.
    """
    width, centre = _WIDTH * 2**scale, _CENTRE / 2**scale
    frequencies = 2 * math.pi * np.fft.fftfreq(size)
    wave, envelope = np.zeros((size, size)), np.zeros((size, size))
    for down, right in itertools.product((-2, -1, 0, 1, 2), repeat=2):  # a sampled function repeats at 2 pi
        vertical = frequencies[:, None] + 2 * math.pi * down
        horizontal = frequencies[None, :] + 2 * math.pi * right
        along = horizontal * math.cos(angle) + vertical * math.sin(angle)
        across = (vertical * math.cos(angle) - horizontal * math.sin(angle)) / SLANT
        wave += np.exp(-(width**2) * ((along - centre) ** 2 + across**2) / 2)
        envelope += np.exp(-(width**2) * (along**2 + across**2) / 2)
    return wave - envelope * (wave[0, 0] / envelope[0, 0])


class Bands:
    """Wavelets of one scale in several directions, whose results are wanted at every `step`-th place only.

    These places lie evenly about the picture's centre. A result's absolute value does not change when its frequencies
    are moved, so of each wavelet only a window of frequencies about its centre is kept; what lies outside the window is
    left out (2.5 standard deviations away where step is 2^scale).

    Args:
        size: Pixels of each side; there must be an even number of results.
        scale: Of the wavelets.
        angles: Their directions.
        step: Places between results.
        spacing: Pixels between the places of what comes in.

    Attributes:
        filters: complex64, (direction, side, side), what the kept frequencies are multiplied with.
        rows: Which rows of frequencies are kept, (direction, side, 1).
        columns: Which columns, (direction, 1, side).
    """

    def __init__(self, size: int, scale: int, angles: list[float], *, step: int, spacing: int = 1) -> None:
        side, incoming = size // step, size // spacing
        offsets = np.arange(side) - side // 2
        shift = (step - spacing) / 2  # pixels from the first place of what comes in to the first result
        filters, rows, columns = [], [], []
        for angle in angles:
            transform = morlet(size, scale, angle)
            middle = _CENTRE / 2**scale * size / (2 * math.pi)
            if step == spacing:
                down, right = offsets, offsets
            else:
                down = offsets + round(middle * math.sin(angle))
                right = offsets + round(middle * math.cos(angle))
            moved = np.exp(2j * math.pi * shift / size * (down[:, None] + right[None, :]))
            window = transform[np.ix_(down % size, right % size)] * moved * (spacing / step) ** 2
            if step > spacing:  # one side has one frequency more: without it, left and right are alike
                window[0], window[:, 0] = 0, 0
            filters.append(window)
            rows.append(down % incoming)
            columns.append(right % incoming)
        self.filters = torch.from_numpy(np.stack(filters)).to(torch.complex64)
        self.rows = torch.from_numpy(np.stack(rows))[:, :, None]
        self.columns = torch.from_numpy(np.stack(columns))[:, None, :]

    def to(self, device: torch.device) -> Bands:
        """Moves its numbers to a device; returns itself."""
        for name in ("filters", "rows", "columns"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def __call__(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Absolute values, (..., direction, side, side), from a picture's transform, complex64, (..., side, side)."""
        return length(torch.fft.ifft2(spectrum[..., self.rows, self.columns] * self.filters))


def length(values: torch.Tensor) -> torch.Tensor:
    """Returns absolute values; twice as fast as torch's own, whose care for the largest numbers is not needed.

    Args:
        values: Complex, of any shape.

    Returns:
        Real, of the same shape.
    """
    return (values.real.square() + values.imag.square()).sqrt()
