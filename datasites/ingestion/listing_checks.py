"""Refuses listings that cannot be published as the settings say, before and after pixels are read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasites.sources.class_names import check_class_names
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import UNKNOWN, Listing
from policies.errors import DataError
from policies.plans.picture_form import PictureForm


def form_of(listing: Listing, settings: DatasetSettings) -> PictureForm:
    """The form that a listing's pictures are read in.

    Raises:
        DataError: They have several sizes, and the settings name none.
        ConfigError: The settings contradict each other.
    """
    if listing.own_size is None and not all(settings.size):
        raise DataError("All pictures must have one size, these have several. Set size in [dataset] to resize them.")
    return settings.form(listing.own_size or settings.size, listing.own_channels or 3)


def check_listing(listing: Listing, settings: DatasetSettings) -> None:
    """Refuses what the source says, whatever the pixels are.

    Raises:
        DataError: Class names or labels out of range, no patients for unit `patient`, no reports where they are kept.
    """
    check_class_names(listing.class_names)
    if settings.unit == "patient" and any(not listed.patient for listed in listing.pictures):
        raise DataError(
            "The privacy unit 'patient' needs a patient for each picture, the source names none for some. Name the "
            "patients, or set the unit to 'picture'."
        )
    if settings.text is not None and any(listed.report is None for listed in listing.pictures):
        raise DataError(
            "The data must hold a report for each picture, since text_length is not 0. Where nothing was written, "
            "leave the report empty; or set text_length to 0."
        )
    classes = len(listing.class_names)
    width, low, high = (1, 0, classes - 1) if listing.label_kind == "single" else (classes, UNKNOWN, 1)
    for listed in listing.pictures:
        if len(listed.labels) != width or min(listed.labels) < low or max(listed.labels) > high:
            raise DataError(
                f"Labels must lie from {low} to {high}, {width} for each picture.",
                private=f"{listed.picture.place}: {listed.labels}",
            )


def check_units(listing: Listing, taken: NDArray[np.int64], settings: DatasetSettings, least: int) -> None:
    """Refuses too few privacy units.

    Args:
        listing: What the source says.
        taken: int64, (N,), which of its pictures there are.
        settings: The dataset's.
        least: The fewest units that are published at all.

    Raises:
        DataError: There are fewer, or fewer are declared.
    """
    if settings.public_size and settings.public_size < least:
        raise DataError(f"public_size must be a whole number from {least}, got {settings.public_size}.")
    count = len(taken)
    if settings.unit == "patient":
        count = len({listing.pictures[index].patient for index in taken.tolist()})
    if count < least:
        raise DataError(
            f"A dataset must hold at least {least} privacy units to be published, this one holds fewer. "
            "Add pictures, or let the hospital lower min_public_size."
        )
