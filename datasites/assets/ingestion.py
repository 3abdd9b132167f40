"""From pictures to a store, without file names, patient identifiers or reports' wording; none of it leaves."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from datasites.assets.manifest import StoreManifest, fingerprint, rows_digest
from datasites.assets.pictures import SourcePictures
from datasites.assets.store import MANIFEST, TEXTS, open_store
from datasites.files.private_folder import only_writer, write_folder
from policies.errors import DataError
from policies.plans.public_size import rounded_up
from policies.plans.tokeniser import TextForm, tokens
from policies.plans.training import UNITS
from policies.validate import Checks

_ROWS = 512  # written at a time


def ingest(
    source: SourcePictures,
    folder: Path,
    *,
    name: str,
    unit: str = "picture",
    public_size: int | None = None,
    min_public_size: int = 50,
    text: TextForm | None = None,
) -> StoreManifest:
    """Writes pictures into a new store, or finds them already there.

    The store appears whole or not at all. Rows are in a random order, units are random indices: neither file order
    nor patient identifiers are kept.

    Args:
        source: The pictures.
        folder: The store's own folder, which is created; its parent may hold other stores.
        name: The dataset's public name.
        unit: `picture`, or `patient` where the source names patients.
        public_size: The number of units to declare; by default the true one, `rounded_up`.
        min_public_size: The fewest units that are published at all.
        text: How reports are kept; None leaves them out.

    Raises:
        DataError: Too few units, no patients for unit `patient`, no reports where they are to be kept, a setting out
            of range, or the folder holds something else.
        StoreBroken: The folder holds a damaged store.

    Guarantees:
        With unit `patient`, two pictures have the same unit if and only if they have the same patient. The store is
        named by its pictures alone: with and without reports, or with other ones, it shares a privacy ledger.
    """
    _check_settings(name, unit, public_size, min_public_size)
    order = _random_order(len(source.labels))
    labels, units, texts = source.labels[order], _units(source, unit, order), _texts(source, text)
    num_units = int(units.max()) + 1
    manifest = StoreManifest(
        name=name,
        class_names=source.class_names,
        image_shape=source.image_shape,
        unit=unit,
        public_size=_public_size(num_units, public_size, min_public_size),
        num_pictures=len(labels),
        num_units=num_units,
        fingerprint=fingerprint(source.images),
        rows_digest=rows_digest(labels, units, None if texts is None else texts[order]),
        text=text,
    )
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with only_writer(folder.parent):
            if folder.exists():
                return _existing(folder, manifest, source, texts, keep_public_size=public_size is None)
            _write(folder, manifest, source.images, order, labels, units, texts)
    except OSError as error:
        raise DataError(
            "The store cannot be written. Check the state folder's rights and the free disk space.",
            private=f"{folder}: {error}",
        ) from error
    return manifest


def _check_settings(name: str, unit: str, public_size: int | None, min_public_size: int) -> None:
    checks = Checks(DataError)
    checks.name("name", name)
    checks.choice("unit", unit, UNITS)
    checks.integer("min_public_size", min_public_size, low=1, high=10**9)
    if public_size is not None:
        checks.integer("public_size", public_size, low=min_public_size, high=10**9)


def _texts(source: SourcePictures, form: TextForm | None) -> NDArray[np.int32] | None:
    """The reports' words in the source's order. What was written itself is not kept."""
    if form is None:
        return None
    if source.reports is None:
        raise DataError(
            "The data must hold a report for each picture, since text_length is not 0. Add 'reports' to the .npz file "
            "or reports.csv to the folder, or set text_length to 0."
        )
    return tokens(source.reports, form)


def _public_size(num_units: int, declared: int | None, least: int) -> int:
    if num_units < least:
        raise DataError(
            f"A dataset must hold at least {least} privacy units to be published, this one holds fewer. "
            "Add pictures, or let the hospital lower min_public_size."
        )
    return declared if declared is not None else rounded_up(num_units)


def _random_order(count: int) -> NDArray[np.int64]:
    """A permutation of 0 to count - 1 by the operating system's cryptographic generator."""
    return np.frombuffer(os.urandom(8 * count), dtype=np.uint64).argsort().astype(np.int64)


def _units(source: SourcePictures, unit: str, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The unit of each row in stored order. Numbered afresh, since the source's own order could tell who is who."""
    if unit == "picture":
        return np.arange(len(order), dtype=np.int64)
    if source.patients is None:
        raise DataError(
            "The privacy unit 'patient' needs a patient for each picture, the source names none. Add the patients "
            "('groups' in an .npz file), or set the unit to 'picture'."
        )
    number = {patient: index for index, patient in enumerate(dict.fromkeys(source.patients))}
    fresh = _random_order(len(number))
    return np.asarray([fresh[number[source.patients[row]]] for row in order], dtype=np.int64)


def _existing(
    folder: Path,
    manifest: StoreManifest,
    source: SourcePictures,
    texts: NDArray[np.int32] | None,
    *,
    keep_public_size: bool,
) -> StoreManifest:
    if not (folder / MANIFEST).is_file():
        raise DataError(
            "The store's folder must not exist yet, it does and holds no store. Use a new name, or remove it.",
            private=f"Folder: {folder}",
        )
    store = open_store(folder)
    size = store.manifest.public_size if keep_public_size else manifest.public_size
    expected = replace(manifest, public_size=size, rows_digest=store.manifest.rows_digest)
    if expected != store.manifest or _labelled(store.images, store.labels, store.texts) != _labelled(
        source.images, source.labels, texts
    ):
        raise DataError(
            "The store already holds other pictures, or these with other labels, reports or settings. "
            "Use a new name, or remove the store.",
            private=f"Folder: {folder}",
        )
    return store.manifest


def _labelled(
    images: NDArray[np.uint8], labels: NDArray[np.int64], texts: NDArray[np.int32] | None
) -> list[tuple[bytes, int, bytes]]:
    """Pictures with their labels and reports, in an order of their own."""
    digests = (hashlib.sha256(np.asarray(image).tobytes()).digest() for image in images)
    written = (b"" for _ in labels) if texts is None else (np.asarray(text).tobytes() for text in texts)
    return sorted(zip(digests, labels.tolist(), written, strict=True))


def _write(
    folder: Path,
    manifest: StoreManifest,
    images: NDArray[np.uint8],
    order: NDArray[np.int64],
    labels: NDArray[np.int64],
    units: NDArray[np.int64],
    texts: NDArray[np.int32] | None,
) -> None:
    with_texts = {} if texts is None else {f"{TEXTS}.npy": partial(_write_rows, array=texts, order=order)}
    write_folder(
        folder,
        {
            "images.npy": partial(_write_rows, array=images, order=order),
            "labels.npy": partial(np.lib.format.write_array, array=labels, allow_pickle=False),
            "units.npy": partial(np.lib.format.write_array, array=units, allow_pickle=False),
            **with_texts,
            MANIFEST: lambda file: file.write(manifest.to_json().encode("ascii")),
        },
    )


def _write_rows(file: BinaryIO, array: NDArray[Any], order: NDArray[np.int64]) -> None:
    """Writes `array[order]` as .npy, a few rows in memory at a time."""
    descr = np.lib.format.dtype_to_descr(array.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for start in range(0, len(order), _ROWS):
        file.write(array[order[start : start + _ROWS]].tobytes())
