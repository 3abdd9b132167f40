"""The Gaussian mechanism as computers can carry it out: what it returns may leave, what it is given may not.

Floating-point numbers have gaps, and which values a sum with noise can take at all tells something of the sum
(Mironov, "On Significance of the Least Significant Bits for Differential Privacy", CCS 2012). So sum and noise are both
brought to whole multiples of one small step and added exactly there. That is the same as rounding the sum with ideal
noise, and rounding gives nothing away.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

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
_FEW = 1 << 16  # numbers that are put into one tensor first: of so few, a call for each tensor takes as long


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
    return _noised([sums], spread, random)[0]


def noised_together(sums: Sequence[torch.Tensor], spread: float, random: SecureRandom) -> list[torch.Tensor]:
    """Adds Gaussian noise to every number of several tensors, as `noised` does, from one key and in one go.

    Args:
        sums: Real, any shapes, on one device; up to 2^34 numbers in all.
        spread: Standard deviation of the noise, above 0.
        random: Where the noise comes from.

    Returns:
        float32, of the shapes and on the device of `sums`, contiguous, in memory that they share.
    """
    return _noised(sums, spread, random)


def step_of(spread: float) -> float:
    """Returns the lattice's step, a power of two, for noise of this standard deviation."""
    return 2.0 ** (math.floor(math.log2(spread)) - _STEP_BITS)


def key_on(device: torch.device) -> DeviceKey:
    """Returns where a device keeps the key of its noise, made in the fastest way that was seen to be right there."""
    return DeviceKey(device, noise_kernel(device).kernel)


def _noised(sums: Sequence[torch.Tensor], spread: float, random: SecureRandom) -> list[torch.Tensor]:
    sizes = [one.numel() for one in sums]
    out = torch.empty(sum(sizes), dtype=torch.float32, device=sums[0].device)
    add = _add if out.device.type == "cpu" else _add_on_device
    flat = [torch.cat([one.detach().reshape(-1) for one in sums])] if len(sums) > 1 and out.numel() <= _FEW else sums
    add(flat, out, random.noise(spread), step_of(spread))
    parts = zip(sums, out.split(sizes), strict=True)
    return [part if one.dim() == 1 else part.view(one.shape) for one, part in parts]


def _add(sums: Sequence[torch.Tensor], out: torch.Tensor, noise: Noise, step: float) -> None:
    """Writes the sums with their noise, one behind the other, part by part and in threads."""
    numbers, noised = [one.detach().numpy().reshape(-1) for one in sums], out.numpy()
    ends = list(accumulate(one.size for one in numbers))

    def add(start: int, values: np.ndarray, memory: np.ndarray) -> None:
        own, stop = memory[1], min(start + values.size, noised.size)
        which, at = bisect_right(ends, start), start
        while at < stop:  # the sums that have numbers here, over the step, which is exact
            first, end = ends[which] - numbers[which].size, min(ends[which], stop)
            part = own[at - start : end - start]
            np.copyto(part, numbers[which][at - first : end - first])  # as float64: a product that casts takes longer
            np.multiply(part, 1.0 / step, out=part)
            at, which = end, which + 1
        np.rint(memory, out=memory)
        in_order = own.reshape(values.shape)
        np.add(in_order, values, out=in_order)
        np.multiply(own, step, out=own)
        np.copyto(noised[start:stop], own[: stop - start], casting="same_kind")

    in_parts(noise.key, noised.size, add, spread=noise.spread / step)


def _add_on_device(sums: Sequence[torch.Tensor], out: torch.Tensor, noise: Noise, step: float) -> None:
    """As `_add` on a GPU, with noise made there."""
    key = key_on(out.device)
    key.renew(noise, step)
    flat = [one.detach().reshape(-1) for one in sums]
    key.add(torch.cat(flat) if len(flat) > 1 else flat[0], out)
