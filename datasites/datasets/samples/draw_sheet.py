"""The program that `SheetProcess` starts: it writes the sheet of a store, or of its mock, to its output and ends."""

from __future__ import annotations

import sys
from pathlib import Path

from datasites.assets.mock import make_mock
from datasites.assets.store import open_store
from datasites.datasets.samples.sheet_process import OWN
from datasites.datasets.samples.sheets import sheet


def main(which: str, folder: str) -> None:
    """Draws one sheet, as PNG.

    Args:
        which: `own` or `mock`.
        folder: Of the store.
    """
    store = open_store(Path(folder))
    images = store.images if which == OWN else make_mock(store.manifest.public).images
    sys.stdout.buffer.write(sheet(images))


if __name__ == "__main__":
    main(*sys.argv[1:])
