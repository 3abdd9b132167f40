"""The scattering transform in real numbers alone, for graphs of other programs, which know no complex ones.

Public code without parameters. A Fourier transform is two products with matrices of cosines and sines; a complex number
is a pair of tensors.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from datasites.training.models.scattering.transform import (
    DIRECTIONS,
    HARMONICS,
    RINGS,
    TURNED,
    UNTURNED,
    WIDTH,
    Scattering,
)
from datasites.training.models.scattering.wavelets import Bands

Pair = tuple[torch.Tensor, torch.Tensor]


class RealScattering(nn.Module):
    """What `Scattering` gives, within rounding.

    Args:
        transform: Of which it has the numbers.
        size: Pixels of each side.
    """

    def __init__(self, transform: Scattering, size: int) -> None:
        super().__init__()
        self._steps = transform.steps
        self._first = nn.ModuleList(_RealBands(bands, size) for bands in transform.first)
        self._pairs = tuple(transform.second)
        self._second = nn.ModuleList(
            _RealBands(bands, size // transform.steps[first]) for (first, _), bands in transform.second.items()
        )
        for step, rings in transform.rings.items():
            self.register_buffer(f"_rings_{step}_real", rings.real.T.contiguous())
            self.register_buffer(f"_rings_{step}_imaginary", rings.imag.T.contiguous())
        self.register_buffer("_turns_real", transform.turns.real.T.contiguous())
        self.register_buffer("_turns_imaginary", transform.turns.imag.T.contiguous())
        self.register_buffer("_difference", transform.difference.flatten(1).T.contiguous())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns float32, (N, WIDTH), from single channels, float32, (N, size, size)."""
        places, beside = (part[:, 0] for part in self._harmonics(images[:, None], 1))  # (N, m, ring)
        found = [places[:, 0], *(_length((places[:, m], beside[:, m])) for m in range(1, HARMONICS))]
        turns = self.get_buffer("_turns_real"), self.get_buffer("_turns_imaginary")
        maps = []
        for bands, step in zip(self._first, self._steps, strict=True):
            maps.append(bands(images[:, None]).flatten(1, 2))
            real, imaginary = (part.permute(0, 2, 3, 1) for part in self._harmonics(maps[-1], step))
            joint = real @ turns[0] - imaginary @ turns[1], real @ turns[1] + imaginary @ turns[0]  # (N, m, ring, k)
            found += [joint[0][:, m, :, k] for m, k in UNTURNED]
            found += [_length((joint[0][:, m, :, k], joint[1][:, m, :, k])) for m, k in TURNED]
        for (first, second), bands in zip(self._pairs, self._second, strict=True):
            longer = bands(maps[first]).flatten(-2)  # (N, direction, direction, places)
            rings = longer @ self.get_buffer(f"_rings_{self._steps[second]}_real")[:, :RINGS]
            pairs = rings.flatten(1, 2).transpose(1, 2) @ self.get_buffer("_difference")  # (N, ring, q)
            found += list(pairs.unbind(2))
        return torch.cat(found, dim=1).reshape(-1, WIDTH)

    def _harmonics(self, maps: torch.Tensor, step: int) -> Pair:
        """Averages over rings times e^(i m phi), (N, D, HARMONICS, RINGS), from (N, D, side, side)."""
        flat, count = maps.flatten(-2), maps.shape[1]
        real = flat @ self.get_buffer(f"_rings_{step}_real")
        imaginary = flat @ self.get_buffer(f"_rings_{step}_imaginary")
        shape = (-1, count, HARMONICS, RINGS)
        return real.reshape(shape), imaginary.reshape(shape)


class _RealBands(nn.Module):
    """What `Bands` gives for the transform of a square: absolute values, by direction.

    Args:
        bands: Of which it has the numbers.
        incoming: Pixels of each side of what comes in.
    """

    def __init__(self, bands: Bands, incoming: int) -> None:
        super().__init__()
        self._side = bands.filters.shape[-1]
        self.register_buffer("_places", (bands.rows * incoming + bands.columns).flatten())
        self.register_buffer("_filters_real", bands.filters.real.flatten().contiguous())
        self.register_buffer("_filters_imaginary", bands.filters.imag.flatten().contiguous())
        for name, side in (("there", incoming), ("back", self._side)):
            angles = 2 * math.pi / side * torch.outer(torch.arange(side), torch.arange(side)).double()
            self.register_buffer(f"_{name}_cosines", angles.cos().float())
            self.register_buffer(f"_{name}_sines", angles.sin().float())

    def forward(self, squares: torch.Tensor) -> torch.Tensor:
        """Returns (N, D, DIRECTIONS, side, side), from (N, D, incoming, incoming)."""
        cosines, sines = self.get_buffer("_there_cosines"), self.get_buffer("_there_sines")
        rows = cosines @ squares, sines @ squares  # minus the sines: the transform's own sign
        spectrum = rows[0] @ cosines - rows[1] @ sines, -(rows[1] @ cosines) - rows[0] @ sines
        places = self.get_buffer("_places")
        real, imaginary = (part.flatten(-2).index_select(2, places) for part in spectrum)
        filters = self.get_buffer("_filters_real"), self.get_buffer("_filters_imaginary")
        kept = real * filters[0] - imaginary * filters[1], real * filters[1] + imaginary * filters[0]
        shape = (-1, squares.shape[1], DIRECTIONS, self._side, self._side)
        real, imaginary = (part.reshape(shape) for part in kept)
        cosines, sines = self.get_buffer("_back_cosines"), self.get_buffer("_back_sines")
        rows = cosines @ real - sines @ imaginary, sines @ real + cosines @ imaginary
        return _length((rows[0] @ cosines - rows[1] @ sines, rows[0] @ sines + rows[1] @ cosines)) / self._side**2


def _length(values: Pair) -> torch.Tensor:
    return (values[0] * values[0] + values[1] * values[1]).sqrt()  # LiteRT takes no power of six axes
