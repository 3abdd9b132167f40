"""Compares a store with what is asked now: what was ingested stays as it is, and whoever asks otherwise is told.

All that is compared stays inside; a public text names settings, never a picture or a number of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasites.assets.store import PictureStore, StoreManifest
from datasites.ingestion import pseudonyms
from datasites.ingestion.picture_reading import Reading, Target, Task
from datasites.ingestion.row_arrays import labels_of, texts_of
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.levels import one_form
from datasites.sources.listing import ListedPicture, Listing
from policies.errors import ConfigError, DataError
from policies.plans.picture_form import PictureForm

_Reads = Callable[[Sequence[Task], Target], Iterator[Reading]]


@dataclass(frozen=True)
class Difference:
    """How a listing differs from a store.

    Attributes:
        new: Pictures of the listing that the store has not, by their place in it.
        gone: Rows of the store whose picture is not in the listing.
        said_otherwise: Pictures of the listing that the store has with another label, report or patient; with them all
            that have the same file's content, whatever is said of those: they may contradict each other.
    """

    new: tuple[int, ...]
    gone: tuple[int, ...]
    said_otherwise: tuple[int, ...]

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.said_otherwise)


def difference(store: PictureStore, listing: Listing, form: PictureForm, secret: bytes, reads: _Reads) -> Difference:
    """Compares the content of a listing's files with the pseudonyms that a store keeps.

    Files are read, and decoded only where they are new: what cannot be taken is not new.

    Args:
        store: Of version 2.
        listing: What there is now.
        form: How its pictures are read.
        secret: The datasite's own.
        reads: What reads pictures.

    Raises:
        ConfigError: The store's pseudonyms are under another secret.
    """
    if store.manifest.pseudonyms != pseudonyms.name_of(secret) or store.sources is None:
        raise ConfigError(
            "The dataset's pseudonyms were made with another secret than this datasite's. Restore the folder identity/ "
            "from the backup that the dataset is from."
        )
    rows: dict[bytes, list[int]] = defaultdict(list)
    for row, source in enumerate(store.sources):
        rows[source.tobytes()].append(row)
    pictures, new = listing.pictures, list[int]()
    met: dict[bytes, list[int]] = defaultdict(list)
    otherwise: set[bytes] = set()
    for reading in reads([Task(index, listed.picture) for index, listed in enumerate(pictures)], Target(None)):
        if reading.found is None:
            continue
        source = pseudonyms.of_source(secret, bytes.fromhex(reading.found.source))
        if source not in rows:
            new.append(reading.number)
        elif not any(_says_the_same(store, row, pictures[reading.number], secret) for row in rows[source]):
            otherwise.add(source)
        met[source].append(reading.number)
    readable = reads([Task(index, pictures[index].picture) for index in new], Target(form))
    taken = sorted(reading.number for reading in readable if reading.found is not None)
    gone = sorted(row for source in rows.keys() - met.keys() for row in rows[source])
    return Difference(tuple(taken), tuple(gone), tuple(sorted(index for source in otherwise for index in met[source])))


def asked_otherwise(
    manifest: StoreManifest,
    settings: DatasetSettings,
    *,
    form: PictureForm | None = None,
    listing: Listing | None = None,
) -> list[str]:
    """Which settings ask for another dataset than the one that is there, each with both values. All of it is public.

    Args:
        manifest: Of the store.
        settings: What is asked; what they leave to the pictures is compared only with these in hand.
        form: How the pictures would be read.
        listing: The pictures.
    """
    height, width, channels = manifest.image_shape
    classes = settings.class_names or (() if listing is None else tuple(listing.class_names))
    size = settings.size if form is None else form.size
    pairs: list[tuple[str, Any, Any]] = [
        ("name", manifest.name, settings.name),
        ("unit", manifest.unit, settings.unit),
        ("label_kind", manifest.label_kind, settings.label_kind),
        ("modality", manifest.modality, settings.modality),
        ("text_length", manifest.text, settings.text),
        ("public_size", manifest.public_size, settings.public_size or manifest.public_size),
        ("class_names", _one_form(manifest.class_names), _one_form(classes or manifest.class_names)),
        ("size", (height, width), size if all(size) else (height, width)),
        ("channels", channels, (settings.channels if form is None else form.channels) or channels),
    ]
    if manifest.form is not None:
        asked = settings.form((height, width), channels)
        names = ("resize", "bits", "window", "window_number", "square_pixels", "store_bits")
        pairs += [(name, getattr(manifest.form, name), getattr(asked, name)) for name in names]
    return [
        f"{name} ({_told(had)} is there, {_told(wanted)} was asked)" for name, had, wanted in pairs if had != wanted
    ]


def _one_form(names: Sequence[str]) -> tuple[str, ...]:
    """Names of which two that look the same are the same."""
    return tuple(map(one_form, names))


def check_same(
    store: PictureStore, listing: Listing, settings: DatasetSettings, form: PictureForm, secret: bytes, reads: _Reads
) -> None:
    """Refuses to pass over what a second ingest asks otherwise than the first.

    Raises:
        DataError: Other settings, other pictures, or the same with other labels, reports or patients.
        ConfigError: As `difference`.
    """
    settings_otherwise = asked_otherwise(store.manifest, settings, form=form, listing=listing)
    found = Difference((), (), ())
    if store.manifest.pseudonyms and not settings_otherwise:
        found = difference(store, listing, form, secret, reads)
    if not settings_otherwise and not found:
        return
    what = f"Settings differ: {'; '.join(settings_otherwise)}." if settings_otherwise else "The pictures differ now."
    raise DataError(
        f"The dataset '{store.manifest.name}' was ingested before and stays as it is. {what} To publish what was asked "
        "now, set another name in [dataset].",
        private=f"{len(found.new)} pictures are new, {len(found.gone)} are gone, {len(found.said_otherwise)} have "
        "another label, report or patient",
    )


def _says_the_same(store: PictureStore, row: int, listed: ListedPicture, secret: bytes) -> bool:
    single, text = store.manifest.label_kind == "single", store.manifest.text
    same = np.array_equal(labels_of([listed], single)[0], store.labels[row])
    if text is not None and store.texts is not None:
        same = same and np.array_equal(texts_of([listed], text)[0], store.texts[row])
    if store.patients is not None:
        patient = pseudonyms.of_patient(secret, listed.patient or "")
        same = same and store.patients[store.units[row]].tobytes() == patient
    return bool(same)


def _told(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    return (" x " if isinstance(value[0], int) else ", ").join(map(str, value))
