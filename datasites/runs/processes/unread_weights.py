"""Global weights of a round as they came in, read when they are first asked for: after the look at the device."""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_SIZE_BYTES, _VALUE_BYTES = 8, 4


def mapped(file: Path) -> mmap.mmap:
    """The bytes of a file that nobody writes any more. They are read from it when they are looked at."""
    with file.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)


class UnreadWeights(Mapping[str, "np.ndarray"]):
    """Name → float32 array, of a safetensors file's bytes, which nothing has looked at so far.

    The datasite has checked the file (`policies.contracts.inputs`) or written it itself. The arrays are views of its
    bytes, so that weights are in memory once, in the model.
    """

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content = content

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        import numpy as np

        begin = _SIZE_BYTES + int.from_bytes(self._content[:_SIZE_BYTES], "little")
        arrays = {}
        for name, about in json.loads(self._content[_SIZE_BYTES:begin]).items():
            if about["dtype"] != "F32":
                raise ValueError(f"a file of weights holds {about['dtype']}")
            start, end = about["data_offsets"]
            if end - start != _VALUE_BYTES * math.prod(about["shape"]):
                raise ValueError("a file of weights tells another size than shape")
            values = np.frombuffer(self._content, "<f4", math.prod(about["shape"]), begin + start)
            arrays[name] = np.require(values, np.float32, ("ALIGNED",)).reshape(about["shape"])
        return arrays
