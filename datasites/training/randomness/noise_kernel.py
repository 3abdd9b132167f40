"""The choice of what makes a device's noise: one kernel, but only where it was seen to make the reference's."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from datasites.training.randomness import device_noise, keyed_noise

_TILES = 2
_STEP = 2.0**-32  # of a lattice for noise of spread 1
_MOST_STEPS_APART = 2  # a last bit of a logarithm or a cosine may differ


@dataclass(frozen=True)
class NoiseKernel:
    """How a device's noise is made.

    Attributes:
        kernel: `gpu.noise`; None: torch's functions make it.
        why_not: Why there is no kernel; None where there is one, or none is wanted.
    """

    kernel: ModuleType | None = None
    why_not: str | None = None


@cache
def noise_kernel(device: torch.device) -> NoiseKernel:
    """Returns the kernel where it runs on the device and makes the reference's values.

    Args:
        device: Where sums lie.
    """
    if device.type != "cuda":
        return NoiseKernel()
    try:
        from datasites.training.gpu import noise

        found = agrees(noise, device)
    except Exception as error:  # noqa: BLE001 - whatever Triton, its compiler or the card lack: it is told
        return NoiseKernel(why_not=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    return NoiseKernel(noise) if found else NoiseKernel(why_not="Its noise is not the reference's.")


def agrees(kernel: ModuleType, device: torch.device) -> bool:
    """Whether the kernel's keystream is ChaCha20's, bit by bit, and its noise the reference's, for a key drawn now.

    Args:
        kernel: `gpu.noise`.
        device: Where it runs.
    """
    drawn = os.urandom(32)
    key = torch.tensor(struct.unpack("<8i", drawn), dtype=torch.int32, device=device)
    blocks = _TILES * keyed_noise.BLOCKS
    theirs = Cipher(algorithms.ChaCha20(drawn, bytes(16)), mode=None).encryptor().update(bytes(64 * blocks))
    if kernel.keystream(key, _TILES).cpu().numpy().tobytes() != theirs:
        return False
    settings = torch.tensor([1 / _STEP, 1 / _STEP, _STEP], dtype=torch.float64, device=device)
    sums = torch.linspace(-1, 1, _TILES * keyed_noise.TILE - 5, dtype=torch.float64, device=device)
    ours, reference = torch.empty_like(sums, dtype=torch.float32), torch.empty_like(sums, dtype=torch.float32)
    kernel.add(sums, ours, key, settings)
    device_noise.add(sums, reference, key, settings)
    apart = (ours.double() - reference.double()).abs()
    # Near zero float32 tells neighbouring multiples apart, and far from it neighbouring numbers are two steps apart.
    return bool((apart <= _MOST_STEPS_APART * _STEP + reference.double().abs() * 2.0**-23).all())
