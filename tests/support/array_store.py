"""Pictures in memory as a source lists them, and a store made of them without a process of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.assets.store import StoreManifest
from datasites.ingestion import ingest as way_in
from datasites.ingestion.ingest import Asked
from datasites.ingestion.picture_reading import Reading, Target, Task, read_picture
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import ListedPicture, Listing
from datasites.sources.read_listing import list_pictures
from policies.plans.picture_form import PictureForm
from policies.plans.tokeniser import TextForm

SECRET = b"s" * 32


@dataclass(frozen=True, eq=False, repr=False)
class SourcePictures:
    """Pictures of one size, all in memory: uint8, (N, H, W, C), with labels, (N,), patients and reports."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    patients: tuple[str, ...] | None = None
    reports: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class ArrayPicture:
    """A picture in memory, as it is: no form changes it. `source` is what else its file holds."""

    place: str
    image: NDArray[np.uint8]
    source: bytes = b""

    def digest(self) -> bytes:
        return hashlib.sha256(self.source + self.image.tobytes()).digest()

    def stamp(self) -> tuple[int, ...]:
        return (0,)

    def own_size(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    def pixels(self, form: PictureForm) -> NDArray[np.uint8]:
        return self.image


def listing_of(
    images: NDArray[np.uint8],
    labels: Sequence[int] | Sequence[Sequence[int]] | NDArray[np.int64],
    class_names: Sequence[str],
    patients: Sequence[str] | None = None,
    reports: Sequence[str] | None = None,
    *,
    label_kind: str = "single",
) -> Listing:
    """A listing of arrays."""
    rows = np.asarray(labels).reshape(len(images), -1).tolist()
    count = len(images)
    pictures = [
        ListedPicture(ArrayPicture(f"picture {index}", image), tuple(row), patient, report)
        for index, (image, row, patient, report) in enumerate(
            zip(images, rows, patients or [None] * count, reports or [None] * count, strict=True)
        )
    ]
    height, width, channels = images.shape[1:]
    return Listing(Path("arrays"), pictures, tuple(class_names), label_kind, (), (height, width), channels)


def listed(
    path: Path, *, site: str = "", class_names: Sequence[str] = (), reports: bool = False, **settings: Any
) -> Listing:
    """The pictures of a source on the disk."""
    return list_pictures(
        DatasetSettings(
            data_path=str(path),
            site=site,
            class_names=tuple(class_names),
            text_length=8 if reports else 0,
            **settings,
        )
    )


def pixels_of(listing: Listing) -> NDArray[np.uint8]:
    """All pictures of a listing as they are, (N, H, W, C)."""
    form = PictureForm(listing.own_size or (1, 1), listing.own_channels or 3)
    return np.stack([np.asarray(one.picture.pixels(form), dtype=np.uint8) for one in listing.pictures])


def in_this_process(log: Path) -> Callable[[Sequence[Task], Target], Iterator[Reading]]:
    """Reads pictures here: no decoder that could end it, and no start of a process."""

    def read(tasks: Sequence[Task], target: Target) -> Iterator[Reading]:
        file = os.open(target.file, os.O_RDWR) if target.file else -1
        try:
            for task in tasks:
                yield read_picture(task, target, file)
        finally:
            if target.file:
                os.close(file)

    return read


def listing_of_source(source: SourcePictures) -> Listing:
    """A listing of pictures in memory."""
    return listing_of(source.images, source.labels, source.class_names, source.patients, source.reports)


def ingest(
    source: SourcePictures | Listing,
    folder: Path,
    *,
    name: str,
    unit: str = "picture",
    public_size: int | None = None,
    min_public_size: int = 50,
    text: TextForm | None = None,
) -> StoreManifest:
    """Makes a store of pictures in memory."""
    settings = DatasetSettings(
        name=name,
        unit=unit,
        public_size=public_size or 0,
        text_length=text.length if text else 0,
        text_vocabulary=text.vocabulary if text else 2048,
    )
    asked = Asked(settings, SECRET, folder.parent / "ingest-report.csv", min_public_size=min_public_size)
    listing = source if isinstance(source, Listing) else listing_of_source(source)
    return way_in.ingest(listing, folder, asked, in_this_process)
