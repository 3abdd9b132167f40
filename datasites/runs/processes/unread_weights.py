"""Global weights of a round as they came in, read when they are first asked for: after the look at the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class UnreadWeights(Mapping[str, "np.ndarray"]):
    """Name → float32 array, of a safetensors file's bytes, which nothing has looked at so far."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        from safetensors.numpy import load

        return load(self._content)
