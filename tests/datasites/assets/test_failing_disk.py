"""A disk that fails under an open store: an error for whoever reads it, where a look at a map would end the process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.array_store import SourcePictures, ingest
from support.hospitals import ENVIRONMENT

from datasites.assets import read_rows
from datasites.assets.read_rows import ReadRows, blocks, in_memory, taken
from datasites.assets.store import open_array, open_store, read_store
from policies.errors import StorageUnavailable, StoreBroken

ROWS = 5000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (ROWS, 4, 4, 1), dtype=np.uint8)
    source = SourcePictures(images, np.arange(ROWS, dtype=np.int64) % 2, ("a", "b"), [f"p{one}" for one in range(ROWS)])
    ingest(source, tmp_path / "cells", name="cells")
    return tmp_path / "cells"


CUT = """
import os, sys
from pathlib import Path
from datasites.assets.store import open_store
from policies.errors import StoreBroken
folder, name = Path(sys.argv[1]), sys.argv[2]
store = open_store(folder)
os.truncate(folder / f"{name}.npy", 200)  # its head stays
try:
    if sys.argv[3] == "looks":
        print(getattr(store, name).sum())
    store.verify()
except StoreBroken as error:
    print(error.public)
"""


def end_of(store: Path, name: str, how: str) -> tuple[int, str]:
    """How a process of its own ends, and what it says, of whose store a file is cut once it is open."""
    done = subprocess.run(
        [sys.executable, "-c", CUT, str(store), name, how], capture_output=True, text=True, env=ENVIRONMENT
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", ["images", "labels", "units", "sources", "patients", "by_unit", "unit_starts"])
def test_a_check_of_an_open_store_whose_file_is_cut_is_an_error_and_not_the_end_of_the_process(
    store: Path, name: str
) -> None:
    status, said = end_of(store, name, "verifies")
    assert (status, said) == (0, "A file of the store is shorter than its array. Restore the store from a copy.\n")


def test_a_look_at_its_map_is_the_end(store: Path) -> None:
    """What the other tests rest on."""
    assert end_of(store, "images", "looks") == (-7, "")


def failing(array: Any) -> Any:
    array.filename, array.offset = "/proc/self/mem", 0  # at whose beginning nothing is: the kernel says EIO
    return array


@pytest.mark.parametrize("read", [in_memory, lambda array: list(blocks(array))])
def test_rows_that_the_disk_does_not_give_are_told_without_a_path(store: Path, read: Callable[[Any], object]) -> None:
    with pytest.raises(StorageUnavailable, match="no round is charged") as told:
        read(failing(open_array(store / "labels.npy")))
    assert "OSError(5" in told.value.private and "/proc" not in told.value.public


def test_some_rows_are_taken_as_they_are_mapped_or_told_as_unreadable(store: Path) -> None:
    opened = open_store(store)
    rows = np.array([4999, 0, 7, 7])
    for array in (opened.images, opened.labels, opened.sources, np.arange(5000)):
        assert array is not None
        found = taken(array, rows)
        assert found.dtype == array.dtype and np.array_equal(found, array[rows]) and not isinstance(found, np.memmap)
    read = ReadRows(opened.images)
    assert (len(read), read.shape, read.dtype) == (ROWS, opened.images.shape, opened.images.dtype)
    assert np.array_equal(read[3], opened.images[3]) and np.array_equal(read[rows], opened.images[rows])
    assert len(taken(opened.images, rows[:0])) == 0
    for wrong in (ROWS, -1):
        with pytest.raises(IndexError):
            taken(opened.images, np.array([wrong]))
    with pytest.raises(StorageUnavailable, match="no round is charged"):
        taken(failing(open_array(store / "images.npy")), rows)
    (store / "labels.npy").write_bytes((store / "labels.npy").read_bytes()[:300])
    with pytest.raises(StoreBroken, match="shorter than its array"):
        taken(opened.labels, rows)


def test_a_store_that_is_read_maps_its_pictures_alone(store: Path) -> None:
    opened, read = open_store(store), read_store(store)
    assert read.manifest == opened.manifest and isinstance(read.images, np.memmap)
    for name in ("labels", "units", "sources", "patients", "by_unit", "unit_starts"):
        assert not isinstance(getattr(read, name), np.memmap), name
        assert np.array_equal(getattr(read, name), getattr(opened, name))
    assert read.texts is None


@pytest.mark.parametrize("block", [1, 40, 1 << 22])
def test_rows_are_read_as_they_are_mapped(store: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_rows, "_BLOCK_BYTES", block)
    opened = open_store(store)
    for array in (opened.images[:0], opened.images[7:900], opened.units[::-1], opened.labels, opened.sources):
        assert array is not None
        found = in_memory(array)
        assert found.dtype == array.dtype and np.array_equal(found, array) and not isinstance(found, np.memmap)
        sizes = [rows.nbytes for rows in blocks(array)]
        assert sum(sizes) == array.nbytes and max(sizes, default=0) <= max(block, array[:1].nbytes)


def test_a_store_that_is_as_it_was_verifies_and_one_whose_last_byte_changed_does_not(store: Path) -> None:
    open_store(store).verify()
    images = store / "images.npy"
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    with pytest.raises(StoreBroken, match="not those that were ingested"):
        open_store(store).verify()
    assert os.path.getsize(images) == len(content)
