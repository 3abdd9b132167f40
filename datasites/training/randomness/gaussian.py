"""The Gaussian mechanism as computers can carry it out: what it returns may leave, what it is given may not.

Floating-point numbers have gaps, and which values a sum with noise can take at all tells something of the sum
(Mironov, "On Significance of the Least Significant Bits for Differential Privacy", CCS 2012). So sum and noise are both
brought to whole multiples of one small step and added exactly there. That is the same as rounding the sum with ideal
noise, and rounding gives nothing away.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from datasites.training.randomness.device_noise import DeviceKey
from datasites.training.randomness.keyed_noise import in_parts
from datasites.training.randomness.noise_kernel import noise_kernel
from datasites.training.randomness.randomness import Noise, SecureRandom

# The step is about 2^-32 of the noise's spread. Rounding d numbers to it moves their norm by at most sqrt(d) * 2^-32 of
# the spread, about a millionth with 25 M parameters, which `CLIP_MARGIN` covers; and some million values that the noise
# can take round to each multiple.
_STEP_BITS = 32


def noised(sums: torch.Tensor, spread: float, random: SecureRandom) -> torch.Tensor:
    """Adds Gaussian noise to every number.

    Guarantees:
        Each number of the result is a whole multiple of one step that depends on `spread` alone: the number rounded to
        that step, plus its own N(0, spread^2) rounded likewise. (In float32 afterwards, which is rounding again.)

    Args:
        sums: Real, any shape, on any device.
        spread: Standard deviation of the noise, above 0.
        random: Where the noise comes from.

    Returns:
        float32, of the shape and on the device of `sums`, contiguous.
    """
    flat = sums.detach().reshape(-1)
    out = torch.empty(flat.shape, dtype=torch.float32, device=flat.device)
    add = _add if flat.device.type == "cpu" else _add_on_device
    add(flat, out, random.noise(spread), step_of(spread))
    return out.view(sums.shape)


def step_of(spread: float) -> float:
    """Returns the lattice's step, a power of two, for noise of this standard deviation."""
    return 2.0 ** (math.floor(math.log2(spread)) - _STEP_BITS)


def key_on(device: torch.device) -> DeviceKey:
    """Returns where a device keeps the key of its noise, made in the fastest way that was seen to be right there."""
    return DeviceKey(device, noise_kernel(device).kernel)


def _add(sums: torch.Tensor, out: torch.Tensor, noise: Noise, step: float) -> None:
    """Writes the sums with their noise, part by part, in memory that stays in the processor's cache."""
    numbers, noised = sums.numpy(), out.numpy()

    def add(start: int, values: np.ndarray) -> None:
        part = slice(start, start + len(values))
        np.rint(np.multiply(values, noise.spread / step, out=values), out=values)
        rounded = np.divide(numbers[part], step, dtype=np.float64)
        np.rint(rounded, out=rounded)
        np.multiply(np.add(rounded, values, out=rounded), step, out=noised[part], casting="same_kind")

    in_parts(noise.key, len(numbers), add)


def _add_on_device(sums: torch.Tensor, out: torch.Tensor, noise: Noise, step: float) -> None:
    """Noises numbers on a GPU as `noised` does, with noise made there."""
    key = key_on(sums.device)
    key.renew(noise, step)
    key.add(sums, out)
