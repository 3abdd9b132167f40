"""The hospital's own hold-out: pictures of the same kind that no study has read, with whose they are. All private."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.assets.fingerprint import picture_digest
from datasites.assets.read_rows import blocks
from datasites.assets.store import PictureStore
from datasites.ingestion.listing_checks import form_of
from datasites.ingestion.pseudonyms import of_patient
from datasites.picture_files.picture_refused import PictureRefused
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import ListedPicture, Listing
from datasites.sources.read_listing import list_pictures
from datasites.sources.tables.read_table import TABLE_SUFFIXES, read_table
from policies.errors import ConfigError, DataError
from policies.untrusted_text import in_one_form

MAX_PICTURES = 10_000


@dataclass(frozen=True, eq=False, repr=False)
class OwnHoldOut:
    """Pictures that are in no version that the study read.

    Attributes:
        images: (N, H, W, C), in the store's form.
        labels: As the store's.
        patients: int64, (N,), whose each picture is; where the source names no patients, each is one's own.
        counted: What `patients` tells apart: `patient`, or `picture` where the source names no patients.
        groups: Column → its cell for each picture.
        left_out: How many pictures of the source are not here: not readable, or of the dataset or its patients.
    """

    images: NDArray[np.uint8] | NDArray[np.uint16]
    labels: NDArray[np.int64] | NDArray[np.int8]
    patients: NDArray[np.int64]
    counted: str
    groups: Mapping[str, Sequence[str]]
    left_out: int


def read_hold_out(
    path: Path, columns: Sequence[str], settings: DatasetSettings, store: PictureStore, secret: bytes
) -> OwnHoldOut:
    """Reads a folder of classes, an `.npz` or a table, of this hospital alone, by the dataset's columns and form.

    Guarantees:
        No picture of it is in the store, by its pixels, and none of a patient who is in it, where both name patients.

    Args:
        path: Where it is.
        columns: Of a table: columns whose values are subgroups.
        settings: The dataset's.
        store: The version that the study read.
        secret: The datasite's own, for pseudonyms; used where the store has some of patients.

    Raises:
        DataError: It cannot be read as that, has other classes, or nothing is left of it.
        ConfigError: Subgroups were asked for, and it is no table that has them.
    """
    described = replace(settings, data_path=str(path), table="", kind="auto", site="", site_column="", folder_levels=())
    listing = list_pictures(described)
    form = store.manifest.form or form_of(listing, described)
    known = {picture_digest(image) for block in blocks(store.images) for image in block}
    marks = None if store.patients is None else {mark.tobytes() for mark in store.patients}
    listed, images = list[ListedPicture](), list[NDArray[Any]]()
    chosen = np.random.default_rng(0).permutation(len(listing.pictures))[:MAX_PICTURES]
    for one in (listing.pictures[index] for index in np.sort(chosen)):
        if marks is not None and one.patient and of_patient(secret, one.patient) in marks:
            continue
        try:
            pixels = one.picture.pixels(form)
        except PictureRefused:
            continue
        if pixels.shape == store.images.shape[1:] and picture_digest(pixels) not in known:
            listed.append(one)
            images.append(pixels)
    if not listed:
        raise DataError(
            "No picture of the hold-out is readable and neither of the dataset nor of its patients. Give another."
        )
    names = [one.patient or f"\0{number}" for number, one in enumerate(listed)]
    return OwnHoldOut(
        np.stack(images),
        _labels(listed, listing, store),
        np.unique(names, return_inverse=True)[1].astype(np.int64),
        "patient" if any(one.patient for one in listed) else "picture",
        _groups(path, columns, described, listed),
        len(chosen) - len(listed) + len(listing.left_out),
    )


def _labels(
    listed: Sequence[ListedPicture], listing: Listing, store: PictureStore
) -> NDArray[np.int64] | NDArray[np.int8]:
    """Labels in the order of the store's classes.

    Raises:
        DataError: The hold-out has other classes, or another kind of labels.
    """
    manifest = store.manifest
    known, own = in_one_form(manifest.class_names), in_one_form(listing.class_names)
    if set(own) - set(known) or listing.label_kind != manifest.label_kind:
        raise DataError(
            "The hold-out's classes must be among the dataset's, and its labels of the same kind.",
            private=f"It has {', '.join(listing.class_names)}.",
        )
    order = [known.index(name) for name in own]
    if manifest.label_kind == "single":
        return np.array([order[one.labels[0]] for one in listed], dtype=np.int64)
    labels = np.full((len(listed), len(manifest.class_names)), -1, dtype=np.int8)
    labels[:, order] = [one.labels for one in listed]
    return labels


def _groups(
    path: Path, columns: Sequence[str], settings: DatasetSettings, listed: Sequence[ListedPicture]
) -> dict[str, list[str]]:
    """What stands in each column for each picture; nothing where the table has no row of it.

    Raises:
        ConfigError: It is no table, or lacks one of the columns.
    """
    if not columns:
        return {}
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise ConfigError("Subgroups are columns of a table that names the pictures. Give the table as the hold-out.")
    table = read_table(path, {settings.path_column, *columns}, settings.table_encoding)
    if missing := [name for name in columns if name not in table.columns]:
        raise ConfigError(f"The hold-out's table has no column {missing[0]!r}. It has {', '.join(table.heads)}.")
    paths = [cell.strip().replace("\\", "/").removeprefix("./") for cell in table.columns[settings.path_column]]
    of_column = {name: dict(zip(paths, table.columns[name], strict=True)) for name in columns}
    places = [one.picture.place.partition(" [")[0] for one in listed]
    return {name: [cells.get(place, "").strip() for place in places] for name, cells in of_column.items()}
