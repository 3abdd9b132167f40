"""A dataset's numbers for the hospital's own people: how many of what, in which versions. None of them leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from datasites.assets.dataset_version import DatasetVersion
from datasites.assets.store import PictureStore, read_store
from datasites.datasets.seen_by import versions_under_way
from policies.answers.hospital import DatasetSchema
from policies.errors import StoreBroken
from policies.ledger.reservations import Reservation


@dataclass(frozen=True)
class ClassRow:
    """A class, or a finding, in the newest version.

    Attributes:
        name: Its public name.
        pictures: How many pictures have it.
        without: How many have not.
        unknown: Of how many nobody knows.
    """

    name: str
    pictures: int
    without: int
    unknown: int


@dataclass(frozen=True)
class VersionRow:
    """A version.

    Attributes:
        version: Its number.
        pictures: How many it holds, or held.
        units: How many privacy units.
        kept: Whether its pictures are still there.
        under_way: Whether an approved request that has not ended reads it.
    """

    version: int
    pictures: int
    units: int
    kept: bool
    under_way: bool


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset as its hospital sees it.

    Attributes:
        schema: What researchers see of it.
        terms_of_use: What they read beside it.
        pictures: How many there are in the newest version.
        patients: How many patients its source named; None where it named none.
        most_pictures_of_a_unit: Of the privacy unit that has most.
        classes: In label order.
        versions: Oldest first.
        after_start: The newer version on the disk that a running datasite takes at its next start; None where it has
            the newest.
    """

    schema: DatasetSchema
    terms_of_use: str
    pictures: int
    patients: int | None
    most_pictures_of_a_unit: int
    classes: tuple[ClassRow, ...]
    versions: tuple[VersionRow, ...]
    after_start: int | None = None

    @property
    def card(self) -> Sequence[tuple[str, str]]:
        """What researchers see of it, as pairs of a name and a text."""
        schema = self.schema
        return (
            ("name", schema.name),
            ("modality", schema.modality),
            ("pictures", " x ".join(map(str, schema.image_shape))),
            ("picture form", str(schema.form or "not declared")),
            ("labels", f"{schema.label_kind}: {', '.join(schema.class_names)}"),
            ("privacy unit", schema.unit),
            ("public size", f"{schema.public_size:,}"),
            ("reports", f"{schema.text.length} words" if schema.text else "none"),
            ("terms of use", self.terms_of_use or "none"),
        )


def summarise(versions: Sequence[DatasetVersion], held: Iterable[Reservation], terms_of_use: str) -> DatasetSummary:
    """Looks through the newest of a dataset's versions, and at the others' manifests.

    Args:
        versions: All of them, oldest first.
        held: All reservations of the ledger.
        terms_of_use: Of the datasite's settings.

    Raises:
        StoreBroken: The newest version cannot be read.
    """
    if not versions:
        raise StoreBroken("The dataset has no pictures. Ingest them first.")
    store = read_store(versions[-1].folder)
    manifest = store.manifest
    under_way = versions_under_way(held, manifest.name)
    return DatasetSummary(
        schema=manifest.public,
        terms_of_use=terms_of_use,
        pictures=manifest.num_pictures,
        patients=None if store.patients is None else len(np.unique(store.patients, axis=0)),
        most_pictures_of_a_unit=int(np.bincount(store.units).max()),
        classes=_classes(store),
        versions=tuple(
            VersionRow(
                version=one.number,
                pictures=one.manifest.num_pictures,
                units=one.manifest.num_units,
                kept=one.whole,
                under_way=one.number in under_way,
            )
            for one in versions
        ),
    )


def _classes(store: PictureStore) -> tuple[ClassRow, ...]:
    names, labels = store.manifest.class_names, store.labels
    if store.manifest.label_kind == "single":
        counts = np.bincount(labels, minlength=len(names)).tolist()
        return tuple(ClassRow(name, one, len(labels) - one, 0) for name, one in zip(names, counts, strict=True))
    return tuple(
        ClassRow(name, *(int((labels[:, index] == value).sum()) for value in (1, 0, -1)))
        for index, name in enumerate(names)
    )
