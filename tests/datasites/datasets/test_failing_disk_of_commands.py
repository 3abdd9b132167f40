"""A disk that fails under a command that reads a store ends it with a reason, and not by the kernel (SIGBUS)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import versioned
from support.hospitals import ENVIRONMENT
from support.versioned import people, pictures_of, take

from datasites.assets.store import open_store

# The store is opened whole; then a file of it is cut behind its head, as where the disk gives no more of it.
CUT_ONCE_OPEN = """
import os, sys
from pathlib import Path
import numpy as np
from datasites.assets import store as stores
from policies.errors import StoreBroken
folder, name, do = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
opened = stores.open_store(folder)
cut = lambda: os.truncate(folder / f"{name}.npy", 200)
if do == "read":
    stores.open_store = lambda folder: (cut(), opened)[1]
else:
    cut()
def merge():
    from datasites.datasets.merging import Part, write_version
    write_version([Part(opened, np.arange(len(opened.labels)))], folder.parent / "new", opened.manifest)
def share():
    from datasites.datasets.lineage import _digests
    list(_digests(opened.images))
def draw():
    from datasites.datasets.samples.sheets import sheet
    sheet(opened.images)
def known():
    from datasites.datasets.merging import Part, labels_by_pixels
    labels_by_pixels(Part(opened, np.arange(len(opened.labels))))
try:
    {"merge": merge, "share": share, "draw": draw, "known": known, "read": lambda: stores.read_store(folder)}[do]()
except StoreBroken as error:
    print(error.public)
"""


@pytest.mark.parametrize(
    ("do", "name"),
    [
        *(("read", name) for name in ("labels", "units", "sources", "patients")),
        *((do, "images") for do in ("merge", "share", "draw", "known")),
    ],
)
def test_a_file_of_the_store_that_is_cut_is_an_error(tmp_path: Path, do: str, name: str) -> None:
    state = versioned.make_state(tmp_path / "north")
    take(state, pictures_of(people(*range(3000))))
    folder = state.store / "pictures"
    assert len(open_store(folder).labels) > 3000
    done = subprocess.run(
        [sys.executable, "-c", CUT_ONCE_OPEN, str(folder), name, do], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert (done.returncode, done.stdout) == (
        0,
        "A file of the store is shorter than its array. Restore the store from a copy.\n",
    ), done.stderr
    assert os.path.getsize(folder / f"{name}.npy") == 200 and not (state.store / "new").exists()
