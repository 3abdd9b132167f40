"""Weights that are read into memory are those of the file, also where an array is read piece by piece."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from policies.contracts.weights import Malformed, canonical_bytes
from policies.contracts.weights_file import CHUNK_VALUES, AtRest, canonical_size, read_whole


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


def test_a_checked_file_is_read_when_it_is_asked_for_also_once_its_name_is_gone(tmp_path: Path) -> None:
    arrays = {"large": np.arange(2 * CHUNK_VALUES + 6, dtype=np.float32), "one": np.array(7.0, np.float32)}
    shapes = {name: one.shape for name, one in arrays.items()}
    file = tmp_path / "weights.safetensors"
    file.write_bytes(canonical_bytes(arrays))
    kept = AtRest(file, shapes, max_bytes=canonical_size(shapes))
    file.unlink()
    assert list(kept) == sorted(arrays) and len(kept) == 2 and "two" not in kept
    assert all(np.array_equal(kept[name], one) for name, one in arrays.items())
    piece = np.empty(5, np.float32)
    kept.part("large").fill(CHUNK_VALUES - 2, piece)
    assert np.array_equal(piece, arrays["large"][CHUNK_VALUES - 2 : CHUNK_VALUES + 3])


@pytest.mark.parametrize("place", [0, CHUNK_VALUES + 1, 2 * CHUNK_VALUES + 5])
def test_a_value_that_is_not_finite_is_found_wherever_it_is(tmp_path: Path, place: int) -> None:
    values = np.zeros(2 * CHUNK_VALUES + 6, np.float32)
    values[place] = np.nan
    shapes = {"w": values.shape}
    file = tmp_path / "weights.safetensors"
    file.write_bytes(canonical_bytes({"w": values}))
    for read in (AtRest, read_whole):
        with pytest.raises(Malformed, match="not finite"):
            read(file, shapes, max_bytes=canonical_size(shapes))


def test_bytes_that_the_disk_does_not_give_any_more_are_an_error_and_end_no_process(tmp_path: Path) -> None:
    arrays = {"w": np.ones(CHUNK_VALUES, np.float32)}
    shapes = {name: one.shape for name, one in arrays.items()}
    file = tmp_path / "weights.safetensors"
    file.write_bytes(canonical_bytes(arrays))
    kept = AtRest(file, shapes, max_bytes=canonical_size(shapes), told=lambda error: EOFError(str(error)))
    os.truncate(file, 1000)  # a map of it would be met with SIGBUS from here on
    with pytest.raises(EOFError, match="cut off"):
        print(kept["w"])
    with pytest.raises(EOFError, match="cut off"):
        kept.part("w").fill(1000, np.empty(10, np.float32))
