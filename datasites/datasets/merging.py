"""Writes a version of a dataset from rows of stores: of an earlier version, and of what came. None of them leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from datasites.assets.fingerprint import fingerprint_of, picture_digest, rows_digest
from datasites.assets.read_rows import taken
from datasites.assets.store import IMAGES, MANIFEST, ROWS, PictureStore, StoreManifest, array_forms
from datasites.files.private_folder import write_folder
from datasites.ingestion.random_order import random_order
from datasites.sources.folders.levels import one_form
from policies.errors import DataError

_OF_A_ROW = ("labels", "texts", "sources")
_AT_ONCE = 256  # pictures that are read together
_BLOCK_BYTES = 1 << 24  # of pictures, written at a time


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of a store that a version is made of.

    Attributes:
        store: The open store.
        rows: int64, (n,): which of its rows.
    """

    store: PictureStore
    rows: NDArray[np.int64]


def labels_by_pixels(part: Part) -> dict[bytes, tuple[int, ...]]:
    """The labels of these rows of a store, by the digest of their pixels.

    Raises:
        StorageUnavailable, StoreBroken: The disk does not give them.
    """
    found = {}
    for start in range(0, len(part.rows), _AT_ONCE):
        rows = part.rows[start : start + _AT_ONCE]
        for row, image in zip(rows, taken(part.store.images, rows), strict=True):
            found[picture_digest(image)] = tuple(np.atleast_1d(part.store.labels[row]).tolist())
    return found


def write_version(parts: Sequence[Part], folder: Path, manifest: StoreManifest) -> StoreManifest:
    """Writes a new store of the rows of all parts; returns its manifest. Call it under `only_writer`.

    Guarantees:
        The store appears whole or not at all. Its rows are in a new random order and its units are numbered anew. With
        unit `patient`, rows of two parts have the same unit if and only if they have the same patient.

    Args:
        parts: Rows of stores with the same schema and pseudonyms under the same secret.
        folder: The new store's folder, which does not exist yet.
        manifest: What the new store is called, declares and goes on from; what follows from its rows is filled in.

    Raises:
        DataError: A part has another schema than the manifest, or does not say whose pictures it has while they do.
        OSError: No space, or no rights; nothing is left.
    """
    for part in parts:
        _check_part(part, manifest)
    order = random_order(sum(len(part.rows) for part in parts))
    units, patients = _units(parts, manifest)
    manifest = replace(manifest, num_pictures=len(order), num_units=int(units.max()) + 1)
    rows = _of_units(units[order]) | ({} if patients is None else {"patients": patients})
    for name in _OF_A_ROW:
        if name in array_forms(manifest):
            rows[name] = np.concatenate([getattr(part.store, name)[part.rows] for part in parts])[order]
    digests = np.empty((len(order), 32), dtype=np.uint8)
    finished: list[StoreManifest] = []

    def write_manifest(file: BinaryIO) -> None:
        finished.append(
            replace(
                manifest,
                fingerprint=fingerprint_of(digests),
                rows_digest=rows_digest(rows.get(name) for name in ROWS),
            )
        )
        file.write(finished[0].to_json().encode("ascii"))

    write_folder(
        folder,
        {
            f"{IMAGES}.npy": lambda file: _write_images(file, parts, order, manifest, digests),
            **{f"{name}.npy": _writer(array) for name, array in rows.items()},
            MANIFEST: write_manifest,
        },
    )
    return finished[0]


def _of_units(units: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What a store keeps of its rows' units: see `datasites.assets.store.PictureStore`."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(units))]).astype(np.int64)
    return {"units": units, "by_unit": np.argsort(units, kind="stable"), "unit_starts": starts}


def _check_part(part: Part, manifest: StoreManifest) -> None:
    one = part.store.manifest
    same = (
        "class_names",
        "image_shape",
        "unit",
        "text",
        "form",
        "label_kind",
        "modality",
        "pseudonyms",
        "has_patients",
    )
    for what in same:
        if _one_form(getattr(one, what)) != _one_form(getattr(manifest, what)):
            raise DataError(
                f"All versions of a dataset must have the same {what.replace('_', ' ')}, these pictures have another. "
                "Put the settings back, or give the pictures a dataset of another name, which then shares the budget."
            )


def _one_form(value: Any) -> Any:
    """A value of a manifest, of which names that look the same are the same."""
    return tuple(map(one_form, value)) if isinstance(value, tuple) and value and isinstance(value[0], str) else value


def _units(parts: Sequence[Part], manifest: StoreManifest) -> tuple[NDArray[np.int64], NDArray[np.uint8] | None]:
    """The unit of each row, in the parts' order, and each unit's patient. Numbered at random: order could tell."""
    numbers: dict[bytes, int] = {}
    marks: list[bytes] = []
    found = []
    for part in parts:
        used, row_of = np.unique(part.store.units[part.rows], return_inverse=True)
        own = np.empty(len(used), dtype=np.int64)
        for index, unit in enumerate(used.tolist()):
            mark = b"" if part.store.patients is None else part.store.patients[unit].tobytes()
            joins = manifest.unit == "patient" and mark
            own[index] = numbers.setdefault(mark, len(marks)) if joins else len(marks)
            if own[index] == len(marks):
                marks.append(mark)
        found.append(own[row_of])
    fresh = random_order(len(marks))
    units = fresh[np.concatenate(found)]
    if not manifest.has_patients:
        return units, None
    patients = np.empty((len(marks), 32), dtype=np.uint8)
    patients[fresh] = np.frombuffer(b"".join(marks), dtype=np.uint8).reshape(-1, 32)
    return units, patients


def _write_images(
    file: BinaryIO,
    parts: Sequence[Part],
    order: NDArray[np.int64],
    manifest: StoreManifest,
    digests: NDArray[np.uint8],
) -> None:
    """Writes the pictures in their new order, few at a time, and keeps the digest of each."""
    dtype, shape = array_forms(manifest)[IMAGES]
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    first = np.cumsum([0, *(len(part.rows) for part in parts)])
    at_once = max(1, _BLOCK_BYTES // max(1, int(np.prod(shape[1:])) * dtype.itemsize))
    for start in range(0, len(order), at_once):
        wanted = order[start : start + at_once]
        block = np.empty((len(wanted), *shape[1:]), dtype=dtype)
        for index, part in enumerate(parts):
            own = (wanted >= first[index]) & (wanted < first[index + 1])
            block[own] = taken(part.store.images, part.rows[wanted[own] - first[index]])
        for row, picture in enumerate(block, start):
            digests[row] = np.frombuffer(picture_digest(picture), dtype=np.uint8)
        file.write(block.tobytes())


def _writer(array: NDArray[Any]) -> Any:
    return lambda file: np.lib.format.write_array(file, array, allow_pickle=False)
