"""Files of public weights, read only when their digest is right, and without running anything in them."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import torch

from policies.errors import ConfigError

_MAX_BYTES = 4 << 30
# What torch's reader raises on bytes that are no state dict.
_MALFORMED = (
    pickle.UnpicklingError,
    struct.error,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


def read_public_weights(file: Path, *, sha256: str) -> dict[str, torch.Tensor]:
    """Returns the arrays of a safetensors file, or of a state dict that torch saved.

    Args:
        file: Read once, as a whole.
        sha256: What the file's SHA-256 must be, in hexadecimal.

    Returns:
        Name → array of the shape that the file states.

    Raises:
        ConfigError: It cannot be read, has another digest, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = _content(file)
    came = hashlib.sha256(content).hexdigest()
    if came != sha256:
        raise ConfigError(f"{file.name} must have the SHA-256 {sha256}, got {came}. Nothing of it was read.")
    try:
        if file.suffix == ".safetensors":
            return load(content)
        arrays = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (SafetensorError, *_MALFORMED) as error:
        raise ConfigError(f"{file} is neither a safetensors file nor a state dict of torch.") from error
    if not isinstance(arrays, Mapping) or not all(isinstance(array, torch.Tensor) for array in arrays.values()):
        raise ConfigError(f"{file} must hold a state dict alone: arrays by name.")
    return dict(arrays)


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{file} has more than {_MAX_BYTES >> 30} GiB. Choose other weights.")
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}).") from error
