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

from datasites.training.randomness.randomness import SecureRandom

# The step is about 2^-32 of the noise's spread. Rounding d numbers to it moves their norm by at most sqrt(d) * 2^-32 of
# the spread, about a millionth with 25 M parameters, which `CLIP_MARGIN` covers; and some million values that the noise
# can take round to each multiple.
_STEP_BITS = 32
_BLOCK = 1 << 16
_BLOCK_ON_DEVICE = 1 << 23


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
    step = 2.0 ** (math.floor(math.log2(spread)) - _STEP_BITS)
    flat = sums.detach().reshape(-1)
    on_device = flat.device.type != "cpu"
    add, block = (_add_on_device, _BLOCK_ON_DEVICE) if on_device else (_add, _BLOCK)
    out = torch.empty(flat.shape, dtype=torch.float32, device=flat.device)
    for start in range(0, len(flat), block):
        add(flat[start : start + block], out[start : start + block], spread, step, random)
    return out.view(sums.shape)


def _add(part: torch.Tensor, out: torch.Tensor, spread: float, step: float, random: SecureRandom) -> None:
    """Writes a part with its noise, in memory that stays in the processor's cache."""
    noise = random.normal((len(part),))
    np.rint(np.multiply(noise, spread / step, out=noise), out=noise)
    rounded = part.numpy().astype(np.float64)
    np.rint(np.divide(rounded, step, out=rounded), out=rounded)
    np.multiply(np.add(rounded, noise, out=rounded), step, out=rounded)
    out.numpy()[:] = rounded


def _add_on_device(part: torch.Tensor, out: torch.Tensor, spread: float, step: float, random: SecureRandom) -> None:
    """Noises numbers on a GPU as `noised` does, with noise made there under a key of this call alone."""
    noise = random.normal_on(part.device, len(part)).mul_(spread / step).round_()
    out.copy_((part.to(torch.float64) / step).round_().add_(noise).mul_(step))
