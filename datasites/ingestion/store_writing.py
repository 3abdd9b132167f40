"""Publishes a store: its pixels are moved into it, what belongs to them is written, and all of it appears at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from datasites.assets.fingerprint import RowsDigest, fingerprint_of
from datasites.assets.store import IMAGES, MANIFEST, StoreManifest
from datasites.files.private_folder import write_folder
from datasites.ingestion import pseudonyms
from datasites.ingestion.row_arrays import StoreRows, row_arrays
from policies.plans.picture_form import PictureForm
from policies.plans.public_size import rounded_up


def publish(rows: StoreRows, folder: Path, images: Path, form: PictureForm) -> StoreManifest:
    """Makes the store's folder of the file of its pixels and of what belongs to them.

    Args:
        rows: What belongs to them.
        folder: The store's; not there yet.
        images: The finished file of pixels, in the order of the rows; it is moved.
        form: How they were read.

    Raises:
        OSError: It cannot be written; nothing is published.
    """
    arrays, digest = row_arrays(rows), RowsDigest()
    made: list[StoreManifest] = []

    def write_manifest(file: BinaryIO) -> None:
        made.append(_manifest(rows, form, digest.hexdigest(), has_patients="patients" in arrays))
        file.write(made[0].to_json().encode("ascii"))

    files: dict[str, Callable[[BinaryIO], object]] = {
        f"{name}.npy": partial(array.write, digest=digest) for name, array in arrays.items()
    }
    write_folder(folder, {**files, MANIFEST: write_manifest}, moved={f"{IMAGES}.npy": images})
    return made[0]


def _manifest(rows: StoreRows, form: PictureForm, digest: str, *, has_patients: bool) -> StoreManifest:
    settings, listing = rows.settings, rows.listing
    return StoreManifest(
        name=settings.name,
        class_names=tuple(listing.class_names),
        image_shape=(*form.size, form.channels),
        unit=settings.unit,
        public_size=settings.public_size or rounded_up(rows.num_units),
        num_pictures=len(rows.order),
        num_units=rows.num_units,
        fingerprint=fingerprint_of(rows.pixels),
        rows_digest=digest,
        text=settings.text,
        form=form,
        label_kind=listing.label_kind,
        modality=settings.modality,
        pseudonyms=pseudonyms.name_of(rows.secret),
        has_patients=has_patients,
    )
