"""A store of the mock twin's pictures, to rehearse on: a function of a schema, as public as the mock itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from datasites.assets.fingerprint import fingerprint, rows_digest
from datasites.assets.manifest import StoreManifest
from datasites.assets.mock import MockPictures, make_mock
from datasites.assets.store import IMAGES, MANIFEST, ROWS, PictureStore, open_store
from datasites.files.private_folder import only_writer, write_folder
from policies.answers.hospital import DatasetSchema
from policies.plans.tokeniser import tokens

MAX_PICTURES = 10_000  # as many as a dataset can have classes, each of which the mock shows
_PICTURES_OF_A_PATIENT = 2


def mock_bytes(schema: DatasetSchema) -> int:
    """How many bytes the pictures of a schema's mock take at most."""
    height, width, channels = schema.image_shape
    bits = 8 if schema.form is None else schema.form.store_bits
    return max(32, len(schema.class_names)) * height * width * channels * bits // 8


def write_mock_store(folder: Path, schema: DatasetSchema) -> PictureStore:
    """Writes the mock twin that the dataset is published with as a store, in a new folder; returns it, open.

    Guarantees:
        The store is a function of the schema, and of nothing else.

    Raises:
        OSError: It cannot be written.
    """
    mock = make_mock(schema)
    count = len(mock.images)
    units = np.arange(count, dtype=np.int64) // (_PICTURES_OF_A_PATIENT if schema.unit == "patient" else 1)
    rows: dict[str, NDArray[Any]] = {"labels": mock.labels, "units": units}
    if mock.reports is not None and schema.text is not None:
        rows["texts"] = tokens(mock.reports, schema.text)
    public = {one.name: getattr(schema, one.name) for one in fields(schema)}
    manifest = StoreManifest(
        **public,
        num_pictures=count,
        num_units=int(units[-1]) + 1,
        fingerprint=fingerprint(mock.images),
        rows_digest=rows_digest(rows.get(name) for name in ROWS),
    )
    arrays = {IMAGES: mock.images, **rows}
    files: dict[str, Callable[[BinaryIO], object]] = {
        f"{name}.npy": partial(np.lib.format.write_array, array=array, allow_pickle=False)
        for name, array in arrays.items()
    }
    files[MANIFEST] = lambda file: file.write(manifest.to_json().encode("ascii"))
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only_writer(folder.parent):
        write_folder(folder, files)
    return open_store(folder)


def is_mock(store: PictureStore) -> bool:
    """Whether an open store's pictures and labels are those of its own schema's mock twin, bit by bit."""
    if store.manifest.num_pictures > MAX_PICTURES:
        return False
    mock: MockPictures = make_mock(store.manifest.public)
    return np.array_equal(store.images, mock.images) and np.array_equal(store.labels, mock.labels)
