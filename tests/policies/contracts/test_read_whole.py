"""Weights that are read into memory are those of the file, also where an array is read piece by piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from policies.contracts.weights import canonical_bytes
from policies.contracts.weights_file import CHUNK_VALUES, canonical_size, read_whole


def test_an_array_of_several_pieces_is_read_whole_and_in_order(tmp_path: Path) -> None:
    arrays = {
        "large": np.arange(2 * CHUNK_VALUES + 6, dtype=np.float32).reshape(2, -1),
        "none": np.zeros((0, 3), np.float32),
        "one": np.array(7.0, np.float32),
    }
    shapes = {name: one.shape for name, one in arrays.items()}
    file = tmp_path / "weights.safetensors"
    file.write_bytes(canonical_bytes(arrays))
    found = read_whole(file, shapes, max_bytes=canonical_size(shapes))
    assert list(found) == sorted(arrays)
    for name, one in arrays.items():
        assert found[name].shape == one.shape and np.array_equal(found[name], one)
