"""Stops that an ingest of a listing would come to before it reads a pixel, told while a hospital still looks around."""

from __future__ import annotations

from collections.abc import Iterator

from datasites.sources.alike import plain_patient
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import UNKNOWN, Listing
from policies.budget.limits import DatasetLimits


def too_many_left_out(listing: Listing, settings: DatasetSettings) -> str:
    """Why the ingest would stop over what cannot be taken; empty where it would not."""
    lost = sum(one.lost for one in listing.left_out)
    total = lost + len(listing.pictures)
    if lost <= settings.most_left_out * total:
        return ""
    return (
        f"{lost:,} of {total:,} files cannot be taken, more than the share of {settings.most_left_out:g} that may be "
        "left out. Do what the list says of them, or set most_left_out."
    )


def foreseen(listing: Listing, settings: DatasetSettings) -> Iterator[str]:
    """Words on what an ingest would stop at, or a person should know, once all that is listed is taken."""
    yield from few_units(listing, settings)
    yield from unknown_findings(listing)
    yield from alike_patients(listing, settings)


def few_units(listing: Listing, settings: DatasetSettings) -> Iterator[str]:
    """A word where there are fewer privacy units than a hospital publishes that has not set another number."""
    patients = {one.patient for one in listing.pictures}
    units = len(patients) if settings.unit == "patient" else len(listing.pictures)
    least = DatasetLimits().min_public_size
    if units < least:
        yield (
            f"{units} units ({settings.unit}) are fewer than the {least} that a dataset must hold to be published. Add "
            "pictures, or lower min_public_size in [limits]."
        )


def unknown_findings(listing: Listing) -> Iterator[str]:
    """A word of each finding of which nobody knows in any picture whether it is there."""
    if listing.label_kind != "multi":
        return
    for number, name in enumerate(listing.class_names):
        if all(one.labels[number] == UNKNOWN for one in listing.pictures):
            yield f"Of no picture it is known whether it shows {name!r}: its cells are all as unknown_values has them."


def alike_patients(listing: Listing, settings: DatasetSettings) -> Iterator[str]:
    """A word where one patient may be written in two ways, at which the ingest stops."""
    patients = {one.patient for one in listing.pictures if one.patient}
    alike = len(patients) - len(set(map(plain_patient, patients)))
    if alike and settings.unit == "patient":
        yield (
            f"{alike} patients have identifiers that differ from another's only in capitals, spaces, leading zeros or "
            "the form of a number. The ingest stops there: write each patient's in one way, or give --accept "
            "patients_alike."
        )
