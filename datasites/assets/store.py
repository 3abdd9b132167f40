"""The picture store: a hospital's pictures, memory-mapped, without file names, patient identifiers or reports' wording.

Nothing of a store crosses the boundary but what `StoreManifest.schema` returns. Opening one reads its manifest and the
heads of its arrays, however many pictures it has; `check_rows` and `verify` read the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.assets.fingerprint import DIGEST_BYTES, fingerprint, rows_digest
from datasites.assets.manifest import StoreManifest
from datasites.assets.read_rows import blocks, in_memory
from policies.errors import StoreBroken

__all__ = ["PictureStore", "StoreManifest", "array_files", "open_array", "open_store", "read_store"]

MANIFEST = "manifest.json"
IMAGES = "images"
ROWS = ("labels", "units", "texts", "sources", "patients", "by_unit", "unit_starts")  # in the order of the digest


@dataclass(frozen=True, eq=False, repr=False)
class PictureStore:
    """An open store; its arrays are memory-mapped, read-only, and read from disk as they are used.

    Attributes:
        manifest: What the store holds.
        images: uint8, or uint16 where the manifest's form says 16 bits, (N, H, W, C).
        labels: int64, (N,), class numbers; for label kind `multi` int8, (N, K), 0, 1 or -1 (unknown) for each finding.
        units: int64, (N,): whose picture each one is, 0 to num_units - 1.
        texts: int32, (N, length): the words of each picture's report, as numbers; None where there are no reports.
        sources: uint8, (N, 32): a pseudonym of the file (and frame) that each picture was read from,
            `ingestion.pseudonyms.of_source` of its content under the datasite's secret. A later ingest computes those
            of what is there then, and so knows what is new and what is gone. None in stores of version 1.
        patients: uint8, (U, 32): a pseudonym of each unit's patient, `ingestion.pseudonyms.of_patient` under the same
            secret; the plain identifier is not kept. The pictures of a patient who withdraws are those of all units
            with that pseudonym: one where the unit is the patient, several where it is the picture. None where the
            source names no patients.
        by_unit: int64, (N,): the rows of unit 0 in order, then those of unit 1, and so on: what a run would sort
            first. None in stores of version 1.
        unit_starts: int64, (U + 1,): where in `by_unit` the rows of each unit begin, and N at the end; likewise.
    """

    manifest: StoreManifest
    images: NDArray[np.uint8] | NDArray[np.uint16]
    labels: NDArray[np.int64] | NDArray[np.int8]
    units: NDArray[np.int64]
    texts: NDArray[np.int32] | None = None
    sources: NDArray[np.uint8] | None = None
    patients: NDArray[np.uint8] | None = None
    by_unit: NDArray[np.int64] | None = None
    unit_starts: NDArray[np.int64] | None = None

    def __repr__(self) -> str:
        return f"PictureStore({self.manifest!r})"

    def check_rows(self) -> None:
        """Reads all that belongs to the rows, but no picture, and compares it with the manifest.

        Raises:
            StoreBroken: A label, unit, report or pseudonym is not what was ingested, or is out of range.
            StorageUnavailable: The disk does not let them be read now.
        """
        if rows_digest(getattr(self, name) for name in ROWS) != self.manifest.rows_digest:
            raise StoreBroken(
                "The store's labels, units or reports are not those that were ingested. Restore it from a copy."
            )
        _check_ranges(self)

    def verify(self) -> None:
        """Reads every row and compares it with the manifest.

        Raises:
            StoreBroken: A picture, label, unit, report or pseudonym is not what was ingested.
            StorageUnavailable: The disk does not let them be read now.
        """
        if fingerprint(self.images) != self.manifest.fingerprint:
            raise StoreBroken("The store's pictures are not those that were ingested. Restore it from a copy.")
        self.check_rows()


def open_store(folder: Path) -> PictureStore:
    """Opens a store, checking that its arrays have the types and sizes that its manifest states.

    The one way to open a store, also of `read_store`. How long it takes does not depend on how many pictures there are.

    Raises:
        StoreBroken: They do not, or a file is missing. `PictureStore.verify` checks every row as well.
    """
    try:
        manifest = StoreManifest.from_json((folder / MANIFEST).read_text(encoding="ascii"))
        forms = array_forms(manifest)
        arrays = {name: open_array(folder / f"{name}.npy") for name in forms}
    except (OSError, ValueError, EOFError) as error:
        raise StoreBroken(
            "A file of the store is missing or damaged. Restore the store from a copy, or ingest the pictures anew.",
            private=f"{folder}: {type(error).__name__}: {error}",
        ) from error
    for name, (dtype, shape) in forms.items():
        found = arrays[name]
        if found.dtype != dtype or found.shape != shape:
            raise StoreBroken(
                f"The store's {name} do not have the type and shape that its manifest states. Restore it from a copy.",
                private=f"{folder}: {found.dtype} {found.shape}, expected {dtype} {shape}",
            )
    return PictureStore(manifest, **arrays)


def read_store(folder: Path) -> PictureStore:
    """Opens a store for a command or a datasite: all but the pictures in memory, which take some bytes a picture.

    The pictures are mapped still; `datasites.assets.read_rows` reads of them what is wanted.

    Raises:
        StoreBroken: As `open_store`.
        StorageUnavailable: The disk does not let them be read now.
    """
    store = open_store(folder)
    rows: Any = {name: in_memory(array) for name in ROWS if (array := getattr(store, name)) is not None}
    return replace(store, **rows)


def array_forms(manifest: StoreManifest) -> Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """The arrays that a store of this manifest has: name → type and shape."""
    rows, units = manifest.num_pictures, manifest.num_units
    sixteen = manifest.form is not None and manifest.form.store_bits == 16
    one_label = manifest.label_kind == "single"
    forms: dict[str, tuple[Any, tuple[int, ...]]] = {
        IMAGES: (np.uint16 if sixteen else np.uint8, (rows, *manifest.image_shape)),
        "labels": (np.int64, (rows,)) if one_label else (np.int8, (rows, len(manifest.class_names))),
        "units": (np.int64, (rows,)),
    }
    if manifest.text is not None:
        forms["texts"] = (np.int32, (rows, manifest.text.length))
    if manifest.pseudonyms:
        forms["sources"] = (np.uint8, (rows, DIGEST_BYTES))
        forms |= {"by_unit": (np.int64, (rows,)), "unit_starts": (np.int64, (units + 1,))}
    if manifest.has_patients:
        forms["patients"] = (np.uint8, (units, DIGEST_BYTES))
    return {name: (np.dtype(dtype), shape) for name, (dtype, shape) in forms.items()}


def array_files(manifest: StoreManifest) -> tuple[str, ...]:
    """Names of the files that a store has beside its manifest."""
    return tuple(f"{name}.npy" for name in array_forms(manifest))


def _check_ranges(store: PictureStore) -> None:
    labels, manifest = in_memory(store.labels), store.manifest
    low, high = (0, len(manifest.class_names) - 1) if manifest.label_kind == "single" else (-1, 1)
    if labels.min() < low or labels.max() > high:
        raise StoreBroken("The store's labels are outside its classes. Restore it from a copy.")
    units, count = in_memory(store.units), manifest.num_units
    if units.min() < 0 or units.max() != count - 1 or not np.bincount(units).all():
        raise StoreBroken("The store's units are not those it counts. Restore it from a copy.")
    starts = np.concatenate([[0], np.cumsum(np.bincount(units))])
    for kept, wanted in ((store.by_unit, np.argsort(units, kind="stable")), (store.unit_starts, starts)):
        if kept is not None and not np.array_equal(in_memory(kept), wanted):
            raise StoreBroken("The store's order of units is not that of its units. Restore it from a copy.")
    form, texts = manifest.text, store.texts
    if form is None or texts is None:
        return
    if any(block.min() < 0 or block.max() >= form.vocabulary for block in blocks(texts)):
        raise StoreBroken("The store's reports do not have the form that its manifest states. Restore it from a copy.")


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
