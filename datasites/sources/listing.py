"""Listings of a source: each picture's place, labels, patient and report, before a pixel is read. All private."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.picture_refused import Reason
from policies.errors import DataError
from policies.plans.picture_form import PictureForm

UNKNOWN = -1  # of a finding in a dataset of several labels a picture


class Picture(Protocol):
    """One picture of a source. It pickles small: a place, not pixels."""

    @property
    def place(self) -> str:
        """Where it is, for the hospital's own report: a path inside the source, and a frame or row. Private."""

    def digest(self) -> bytes:
        """SHA-256 of what the pixels are read from (the file's bytes and the frame), 32 bytes."""

    def stamp(self) -> tuple[int, ...]:
        """What the system notes of the file that the pixels are read from: size, and when it was changed (its content
        and its entry, in nanoseconds). Another stamp says that the file may be another one.

        Raises:
            OSError: It is not there any more.
        """

    def own_size(self) -> tuple[int, int]:
        """(height, width) before a form is applied, from the file's header.

        Raises:
            PictureRefused: It cannot be read as a picture, with the reason.
        """

    def pixels(self, form: PictureForm) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(height, width, channels) as `form` says.

        Raises:
            PictureRefused: It cannot be read as that, with the reason.
        """


@dataclass(frozen=True, repr=False, slots=True)
class ListedPicture:
    """A picture with all that the source says of it.

    Attributes:
        picture: Where its pixels are.
        labels: One class number for kind `single`; for kind `multi` 0, 1 or `UNKNOWN` for each finding.
        patient: Whose it is, as the source names them, in `one_patient`'s form; None where it does not.
        report: What was written about it; None where no reports are read.
    """

    picture: Picture
    labels: tuple[int, ...]
    patient: str | None = None
    report: str | None = None

    def __post_init__(self) -> None:
        if self.patient is not None:
            object.__setattr__(self, "patient", one_patient(self.patient))


@dataclass(frozen=True)
class LeftOut:
    """Something in the source that is no picture of the listing, and why.

    Attributes:
        place: Where it is in the source.
        reason: Why it is left out.
        lost: Whether it is or may be a picture that was meant to be in. What never was one is told, and no loss.
        labels: As a listed picture has them, where the source says them of it all the same.
    """

    place: str
    reason: Reason
    lost: bool = True
    labels: tuple[int, ...] = ()


@dataclass(frozen=True, repr=False)
class Listing:
    """All pictures of one hospital in a source.

    Attributes:
        root: The source's folder or file.
        pictures: In the source's order.
        class_names: Public names of the classes, or of the findings, in label order.
        label_kind: `single` or `multi`.
        left_out: What else was found.
        own_size: (height, width) that all pictures have in their headers, where that is known without pixels.
        own_channels: 1 or 3, likewise.
        patients_elsewhere: Patients that the source names at other hospitals than this one.
    """

    root: Path
    pictures: Sequence[ListedPicture]
    class_names: tuple[str, ...]
    label_kind: str = "single"
    left_out: Sequence[LeftOut] = field(default=())
    own_size: tuple[int, int] | None = None
    own_channels: int | None = None
    patients_elsewhere: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "patients_elsewhere", frozenset(map(one_patient, self.patients_elsewhere)))


def classes_said(labels: Iterable[tuple[int, ...]], label_kind: str) -> set[int]:
    """Numbers of the classes, or of the findings that somebody has, among pictures' labels."""
    if label_kind == "single":
        return {number for one in labels for number in one}
    return {number for one in set(labels) for number, said in enumerate(one) if said == 1}


def refuse_lost_classes(listing: Listing) -> Listing:
    """Refuses a listing of which a class, or a finding, has pictures in the source and none that is taken.

    Returns:
        It, as it came.

    Raises:
        DataError: There is such a class. Its name is private.
    """
    kind = listing.label_kind
    taken = classes_said((one.labels for one in listing.pictures), kind)
    for one in listing.left_out:
        if lost := classes_said([one.labels], kind) - taken:
            raise DataError(
                "The source names pictures of a class, or with a finding, and none of them can be taken: the class "
                f"would be published without a picture. {one.reason.advice} If it is not meant to be in, take its "
                "pictures out of the source.",
                private=f"Class {listing.class_names[min(lost)]}, for instance {one.place}: {one.reason.means}",
            )
    return listing


def one_patient(named: str) -> str:
    """The one form of a patient's identifier: systems write letters with marks as one or as two, and spaces around.

    Guarantees:
        Two spellings that look the same are one patient: in a listing, in later ones, and where one withdraws.
    """
    return unicodedata.normalize("NFC", named).strip()
