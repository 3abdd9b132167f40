"""The picture store: a hospital's pictures, memory-mapped, without file names, patient identifiers or reports' wording.

Nothing of a store crosses the boundary but what `StoreManifest.schema` returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.assets.manifest import StoreManifest, fingerprint, rows_digest
from policies.errors import StoreBroken

__all__ = ["PictureStore", "StoreManifest", "array_files", "fingerprint", "open_array", "open_store", "rows_digest"]

MANIFEST = "manifest.json"
ARRAYS = {"images": np.dtype(np.uint8), "labels": np.dtype(np.int64), "units": np.dtype(np.int64)}
TEXTS = "texts"  # beside these, int32, where the manifest has a text


@dataclass(frozen=True, eq=False, repr=False)
class PictureStore:
    """An open store; its arrays are read from disk as they are used.

    Attributes:
        manifest: What the store holds.
        images: uint8, (N, H, W, C), memory-mapped, read-only.
        labels: int64, (N,), memory-mapped, read-only.
        units: int64, (N,), memory-mapped, read-only: whose picture each one is, 0 to num_units - 1.
        texts: int32, (N, length), memory-mapped, read-only: the words of each picture's report, as numbers; None
            where there are no reports.
    """

    manifest: StoreManifest
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    units: NDArray[np.int64]
    texts: NDArray[np.int32] | None = None

    def __repr__(self) -> str:
        return f"PictureStore({self.manifest!r})"

    def verify(self) -> None:
        """Reads every row and compares it with the manifest.

        Raises:
            StoreBroken: A picture, label, unit or report is not what was ingested.
        """
        if fingerprint(self.images) != self.manifest.fingerprint:
            raise StoreBroken("The store's pictures are not those that were ingested. Restore it from a copy.")
        if rows_digest(self.labels, self.units, self.texts) != self.manifest.rows_digest:
            raise StoreBroken(
                "The store's labels, units or reports are not those that were ingested. Restore it from a copy."
            )


def open_store(folder: Path) -> PictureStore:
    """Opens a store, checking that its arrays have the types, sizes and ranges that its manifest states.

    Raises:
        StoreBroken: They do not, or a file is missing. `PictureStore.verify` checks every pixel as well.
    """
    try:
        manifest = StoreManifest.from_json((folder / MANIFEST).read_text(encoding="ascii"))
        images, labels, units = (open_array(folder / f"{array}.npy") for array in ARRAYS)
        texts = None if manifest.text is None else open_array(folder / f"{TEXTS}.npy")
    except (OSError, ValueError, EOFError) as error:
        raise StoreBroken(
            "A file of the store is missing or damaged. Restore the store from a copy, or ingest the pictures anew.",
            private=f"{folder}: {type(error).__name__}: {error}",
        ) from error
    rows = manifest.num_pictures
    shapes = {"images": (rows, *manifest.image_shape), "labels": (rows,), "units": (rows,)}
    for array, values in (("images", images), ("labels", labels), ("units", units)):
        if values.dtype != ARRAYS[array] or values.shape != shapes[array]:
            raise StoreBroken(
                f"The store's {array} do not have the type and shape that its manifest states. Restore it from a copy.",
                private=f"{folder}: {values.dtype} {values.shape}, expected {shapes[array]}",
            )
    if labels.min() < 0 or labels.max() >= len(manifest.class_names):
        raise StoreBroken("The store's labels are outside its classes. Restore it from a copy.", private=str(folder))
    if not np.array_equal(np.unique(units), np.arange(manifest.num_units)):
        raise StoreBroken("The store's units are not those it counts. Restore it from a copy.", private=str(folder))
    _check_texts(texts, manifest, folder)
    return PictureStore(manifest, images, labels, units, texts)


def array_files(manifest: StoreManifest) -> tuple[str, ...]:
    """Names of the files that a store has beside its manifest."""
    return tuple(f"{array}.npy" for array in (*ARRAYS, *(() if manifest.text is None else (TEXTS,))))


def _check_texts(texts: NDArray[np.int32] | None, manifest: StoreManifest, folder: Path) -> None:
    form = manifest.text
    if form is None or texts is None:
        return
    right = texts.dtype == np.int32 and texts.shape == (manifest.num_pictures, form.length)
    if not right or texts.min() < 0 or texts.max() >= form.vocabulary:
        raise StoreBroken(
            "The store's reports do not have the form that its manifest states. Restore it from a copy.",
            private=f"{folder}: {texts.dtype} {texts.shape}, expected {form}",
        )


def open_array(file: Path) -> NDArray[Any]:
    """Opens the file of one plain array, memory-mapped and read-only.

    Returns:
        The array, of the shape and dtype that the file states.

    Raises:
        OSError, ValueError, EOFError: It is not there, or not exactly one array.
    """
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.memmap) or not array.flags.c_contiguous:
        raise ValueError(f"{file.name} is not a plain array")
    if file.stat().st_size != array.offset + array.nbytes:
        raise ValueError(f"{file.name} is longer than its array")
    return array
