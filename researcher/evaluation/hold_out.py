"""A public hold-out, read from disk. Never private pictures: those are ingested and scored at home."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasites.sources.arrays.array_labels import nameless
from datasites.sources.folders.levels import one_form
from policies.errors import DataError
from policies.plans.picture_form import PictureForm
from policies.plans.reports_file import REPORTS_FILE
from researcher.evaluation.copies import Copies, copies_in
from researcher.evaluation.hold_out_arrays import read_arrays
from researcher.evaluation.hold_out_files import form_of, list_hold_out, read_pictures, told
from researcher.evaluation.hold_out_names import refuse_own_names


@dataclass(frozen=True, eq=False)
class HoldOut:
    """Public pictures that no hospital trained on.

    Attributes:
        images: uint8, or uint16 where the form keeps 16 bits, (N, H, W, C), N >= 1.
        labels: int64, (N,), each an index into class_names; or int8, (N, K), for each of K findings 1 where the picture
            has it, 0 where it has not, -1 where nobody knows.
        class_names: Of the classes or findings, in the order of the model's outputs.
        reports: What was written about each picture; None where there are pictures alone.
        features: float32, (N, width), what a frozen public backbone says of each picture; None where not computed.
        left_out: Pictures that could not be read, each by its name and the reason.
        places: Where each picture is in its file or folder; empty where nobody says.
        patients: Which patient each picture is of; None where nobody says.
        sites: Which hospital's each is, as folders or the file name it; None where they name none.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    reports: tuple[str, ...] | None = None
    features: np.ndarray | None = None
    left_out: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    patients: tuple[str, ...] | None = None
    sites: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype not in (np.uint8, np.uint16) or not len(self.images):
            raise DataError(
                f"Hold-out pictures must be uint8 or uint16 (N, H, W, C), got {self.images.dtype} {self.images.shape}."
            )
        object.__setattr__(self, "labels", _checked_labels(self.labels, len(self.images), len(self.class_names)))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if self.reports is not None:
            if len(self.reports) != len(self.images) or not all(isinstance(text, str) for text in self.reports):
                raise DataError(f"The hold-out needs {len(self.images)} texts as reports, one for each picture.")
            object.__setattr__(self, "reports", tuple(self.reports))

    def told(self) -> Iterator[str]:
        """Lines that say how many pictures are left out, and which; of which classes there is none; and of copies."""
        if self.left_out:
            total = len(self.images) + len(self.left_out)
            yield f"{len(self.left_out)} of {total} pictures of the hold-out are left out:"
            yield from self.left_out
        if self.label_kind == "single":
            there = set(np.unique(self.labels).tolist())
            yield from without([name for label, name in enumerate(self.class_names) if label not in there])
        yield from (f"Of the hold-out: {said}" for said in self.copies().told())

    def copies(self) -> Copies:
        """How many of the pictures it holds more than once."""
        return copies_in(self.images, self.labels, self.places)

    @property
    def label_kind(self) -> str:
        """`single`, or `multi` where labels are findings."""
        return "multi" if self.labels.ndim == 2 else "single"


def without(absent: Sequence[str]) -> Iterator[str]:
    """A sentence on classes of which a hold-out has no picture; none where it has one of each."""
    if absent:
        yield f"The hold-out has no picture of {', '.join(absent)}: nothing can be said of it."


def _checked_labels(labels: np.ndarray, pictures: int, classes: int) -> np.ndarray:
    if labels.dtype.kind not in "iu" or labels.shape not in ((pictures,), (pictures, classes)):
        raise DataError(
            f"The hold-out needs {pictures} whole numbers as labels, or as many rows of {classes} for findings, "
            f"got {labels.dtype} {labels.shape}."
        )
    of_findings = labels.ndim == 2
    low, high = (-1, 1) if of_findings else (0, classes - 1)
    if labels.min() < low or labels.max() > high:
        what = "0, 1, or -1 for unknown" if of_findings else f"0 to {high}, one of {classes} classes"
        raise DataError(f"Hold-out labels must be {what}, got {labels.min()} to {labels.max()}.")
    return labels.astype(np.int8 if of_findings else np.int64)


def load_hold_out(
    path: Path | str,
    *,
    class_names: Sequence[str] | None = None,
    image_shape: tuple[int, int, int] | None = None,
    form: PictureForm | None = None,
    label_kind: str | None = None,
) -> HoldOut:
    """Reads a hold-out in the forms that hospitals' pictures have, by the decoder that reads those.

    Args:
        path: An `.npz` with images, labels (a class for each picture, or a row of findings) and optionally class_names
            and reports, in the layouts that hospitals' have, or in parts, of which the test part is taken; a folder
            `<class>/<picture>`, or `<hospital>/<class>/<picture>`, with or without a `reports.csv` beside the class
            folders; a folder of DICOM files with a folder for each class; a table with columns `path` and `label`;
            `medmnist:NAME`; or a TOML file with a table [dataset] that describes any source, as a hospital's.
        class_names: The classes or findings in the order of the model's outputs. Without them a folder's classes are
            sorted by name, and an `.npz` without names has `class_0`, `class_1`, ... A finding that the file does not
            name is unknown of all its pictures.
        image_shape: (height, width, channels) that a folder's pictures are brought to where no form is given; by
            default all must have one size.
        form: By which the hospitals' files became pictures, as their schema says.
        label_kind: `single` or `multi`, as their schema says. Without it, an `.npz` whose labels have exactly one 1 in
            each row has classes, as at a hospital; `multi` reads them as findings.

    Raises:
        DataError: Not one of these forms, a class that is not in class_names, or more than one in a hundred pictures
            cannot be read.
    """
    path = Path(path)
    names = None if class_names is None else tuple(class_names)
    if path.suffix.lower() == ".npz" and path.is_file():
        return _from_npz(path, names, form, image_shape, label_kind)
    if form is None and image_shape is not None:
        form = PictureForm(image_shape[:2], image_shape[2])
    return _from_source(path, names, form)


def _from_npz(
    path: Path,
    class_names: tuple[str, ...] | None,
    form: PictureForm | None,
    image_shape: tuple[int, int, int] | None,
    label_kind: str | None,
) -> HoldOut:
    held = read_arrays(path, form, image_shape, label_kind, class_names or ())
    images, labels, reports = held.images, held.labels, held.reports
    own = held.class_names
    if repeated := [name for name, times in Counter(own or ()).items() if times > 1]:
        raise DataError(f"{path}: class_names holds {repeated[0]!r} twice. Give each class a name of its own.")
    if reports is not None and (reports.dtype.kind != "U" or reports.shape != (len(images),)):
        raise DataError(f"{path}: reports must be one text for each picture, got {reports.dtype} {reports.shape}.")
    written = None if reports is None else tuple(reports.tolist())
    if own and class_names is None:
        _refuse_own(path, own)
    names = own or class_names or tuple(nameless(labels))
    hold_out = HoldOut(
        images, labels, names, written, left_out=tuple(map(told, held.left_out)), places=tuple(map(str, held.rows))
    )
    return hold_out if own is None or class_names is None else _in_order(hold_out, class_names)


def _refuse_own(path: Path, names: tuple[str, ...]) -> None:
    """Refuses names of a file's own that a hospital's ingest would refuse.

    Raises:
        DataError: With the file.
    """
    try:
        refuse_own_names(names)
    except DataError as error:
        raise type(error)(f"{path}: {error.public} {error.private.partition(chr(10))[0]}".strip()) from error


def _from_source(root: Path, class_names: tuple[str, ...] | None, form: PictureForm | None) -> HoldOut:
    listings = list_hold_out(root, class_names or (), form)
    several = len(listings) > 1
    listed = [one for listing in listings for one in listing.pictures]
    sites = [listing.root.name for listing in listings for _ in listing.pictures]
    without = [one for listing in listings for one in listing.left_out]
    images, read, left_out = read_pictures(listed, form or form_of(listings, root), without)
    listed, sites = [listed[place] for place in read], [sites[place] for place in read]
    reports = [one.report for one in listed]
    if any(report is not None for report in reports) and None in reports:
        raise DataError(f"{root}: {REPORTS_FILE} must name every picture of a hold-out, or none.")
    written = None if None in reports else tuple(str(report) for report in reports)
    labels = np.array([one.labels for one in listed], dtype=np.int64)
    if listings[0].label_kind == "single":
        labels = labels[:, 0]
    patients = [one.patient for one in listed]
    hold_out = HoldOut(
        images,
        labels,
        listings[0].class_names,
        written,
        left_out=tuple(map(told, left_out)),
        places=tuple(
            f"{site}/{one.picture.place}" if several else one.picture.place
            for site, one in zip(sites, listed, strict=True)
        ),
        patients=None if None in patients else tuple(map(str, patients)),
        sites=tuple(sites) if several else None,
    )
    return hold_out if class_names is None else _in_order(hold_out, class_names)


def _in_order(hold_out: HoldOut, class_names: tuple[str, ...]) -> HoldOut:
    """The hold-out with its classes or findings in the model's order; a finding that it does not name is unknown."""
    if tuple(map(one_form, hold_out.class_names)) == tuple(map(one_form, class_names)):
        return replace(hold_out, class_names=class_names)
    positions = _positions(hold_out.class_names, class_names)
    if hold_out.label_kind == "single":
        return replace(hold_out, labels=positions[hold_out.labels], class_names=class_names)
    findings = np.full((len(hold_out.images), len(class_names)), -1, dtype=np.int8)
    findings[:, positions] = hold_out.labels
    return replace(hold_out, labels=findings, class_names=class_names)


def _positions(own: tuple[str, ...], expected: tuple[str, ...]) -> np.ndarray:
    """Where each of `own` class names is in `expected`."""
    places = {one_form(name): place for place, name in enumerate(expected)}
    if unknown := sorted(name for name in set(own) if one_form(name) not in places):
        named = ", ".join(map(repr, unknown))
        raise DataError(f"The hold-out has a class {named}; the model's are {', '.join(expected)}.")
    return np.array([places[one_form(name)] for name in own], dtype=np.int64)
