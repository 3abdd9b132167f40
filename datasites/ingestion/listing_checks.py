"""Refuses listings that cannot be published as the settings say, before and after pixels are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from datasites.ingestion.reasons import PATIENTS_ALIKE
from datasites.sources.alike import plain_patient
from datasites.sources.class_names import check_class_names
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import UNKNOWN, ListedPicture, Listing
from policies.errors import DataError
from policies.plans.picture_form import PictureForm

_NAMED = 5


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


def alike_patients(listing: Listing) -> Iterator[tuple[str, str]]:
    """Places of two pictures each, whose patients have identifiers that are one by all but how they are written."""
    written: dict[str, ListedPicture] = {}
    told = set[str | None]()
    for listed in listing.pictures:
        other = written.setdefault(plain_patient(listed.patient), listed) if listed.patient else listed
        if other.patient != listed.patient and listed.patient not in told:
            told.add(listed.patient)
            yield other.picture.place, listed.picture.place


def check_patients(listing: Listing, settings: DatasetSettings, accepted: Collection[str]) -> None:
    """Refuses patients of whom one may be two, where each patient is a privacy unit.

    Args:
        listing: All that the source says, not only what is new.
        settings: The dataset's.
        accepted: Codes of what the hospital takes all the same.

    Raises:
        DataError: Two identifiers may be one patient's. Pictures of them are named in private.
    """
    if settings.unit != "patient" or PATIENTS_ALIKE in accepted:
        return
    if pairs := [" and ".join(pair) for pair in alike_patients(listing)]:
        more = len(pairs) - _NAMED
        raise DataError(
            "Patients have identifiers that differ only in capitals, spaces, leading zeros or the form of a number "
            "(patients_alike). Who has two of them counts as two, and is promised less: write each patient's in one "
            "way. If they are different patients', take them with --accept patients_alike.",
            private="\n".join(["Pictures of such patients:", *pairs[:_NAMED], *[f"and {more} more"][: more > 0]]),
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
