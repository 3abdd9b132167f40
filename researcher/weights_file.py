"""Named float32 arrays in a safetensors file known by its digest. Released weights only, and no pickle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from policies.errors import ConfigError
from policies.inside_folder import inside
from researcher import atomic_file


@dataclass(frozen=True)
class WeightsFile:
    """What a JSON file says of the safetensors file beside it.

    Attributes:
        file: Name, in the same folder.
        sha256: Digest of the whole file.
        parameters: Name → shape.
    """

    file: str
    sha256: str
    parameters: Mapping[str, list[int]]

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def write(folder: Path, name: str, arrays: Mapping[str, np.ndarray]) -> WeightsFile:
    """Writes `arrays` to `folder`/`name`; `{digest}` in the name becomes the digest's first 12 digits.

    Args:
        folder: Where.
        name: Of the file.
        arrays: Name → float32 array of any shape.

    Raises:
        ConfigError: The folder cannot be written.
    """
    content = safetensors.save({key: np.asarray(array, dtype=np.float32, order="C") for key, array in arrays.items()})
    digest = hashlib.sha256(content).hexdigest()
    file = name.replace("{digest}", digest[:12])
    atomic_file.write(inside(folder, file), content)
    return WeightsFile(file, digest, _shapes(arrays))


def read(folder: Path, about: WeightsFile) -> dict[str, np.ndarray]:
    """Returns the arrays, float32 of the shapes that were written, if the file is the one that was written.

    Raises:
        ConfigError: It is missing, has another digest, or holds other than the named finite float32 arrays.
    """
    path = inside(folder, about.file)
    content = atomic_file.read(path)
    if hashlib.sha256(content).hexdigest() != about.sha256:
        raise ConfigError(f"{path} is not the file that was saved: its SHA-256 is not {about.sha256}.")
    try:
        arrays: dict[str, np.ndarray] = safetensors.load(content)
    except SafetensorError as error:
        raise ConfigError(f"{path} is not a safetensors file ({error}).") from error
    if _shapes(arrays) != {name: list(shape) for name, shape in about.parameters.items()}:
        raise ConfigError(f"{path} does not hold the names and shapes that were announced for it.")
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ConfigError(f"{path} must hold finite float32 values, {name!r} does not.")
    return arrays


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, list[int]]:
    return {name: list(array.shape) for name, array in arrays.items()}
