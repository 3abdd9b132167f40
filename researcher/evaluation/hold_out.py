"""A public hold-out, read from disk. Never private pictures: those are ingested and scored at home."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from policies.errors import DataError
from policies.plans.picture_form import PictureForm
from researcher.evaluation.hold_out_folder import picture_files, read_hold_out_reports, read_pictures


@dataclass(frozen=True, eq=False)
class HoldOut:
    """Public pictures that no hospital trained on.

    Attributes:
        images: uint8, or uint16 where the form keeps 16 bits, (N, H, W, C), N >= 1.
        labels: int64, (N,), each an index into class_names.
        class_names: Of the classes, in the order of the model's outputs.
        reports: What was written about each picture; None where there are pictures alone.
        features: float32, (N, width), what a frozen public backbone says of each picture; None where not computed.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    reports: tuple[str, ...] | None = None
    features: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype not in (np.uint8, np.uint16) or not len(self.images):
            raise DataError(
                f"Hold-out pictures must be uint8 or uint16 (N, H, W, C), got {self.images.dtype} {self.images.shape}."
            )
        if self.labels.shape != (len(self.images),) or self.labels.dtype.kind not in "iu":
            raise DataError(
                f"The hold-out needs {len(self.images)} whole numbers as labels, "
                f"got {self.labels.dtype} {self.labels.shape}."
            )
        classes = len(self.class_names)
        if self.labels.min() < 0 or self.labels.max() >= classes:
            raise DataError(
                f"Hold-out labels must be 0 to {classes - 1}, one of {classes} classes, "
                f"got {self.labels.min()} to {self.labels.max()}."
            )
        object.__setattr__(self, "labels", self.labels.astype(np.int64))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if self.reports is not None:
            if len(self.reports) != len(self.images) or not all(isinstance(text, str) for text in self.reports):
                raise DataError(f"The hold-out needs {len(self.images)} texts as reports, one for each picture.")
            object.__setattr__(self, "reports", tuple(self.reports))


def load_hold_out(
    path: Path | str,
    *,
    class_names: Sequence[str] | None = None,
    image_shape: tuple[int, int, int] | None = None,
    form: PictureForm | None = None,
) -> HoldOut:
    """Reads a hold-out in the forms that hospitals' pictures have, by the decoder that reads those.

    Args:
        path: An `.npz` with images, labels and optionally class_names and reports; or a folder `<class>/<picture>`, or
            `<hospital>/<class>/<picture>`, with or without a `reports.csv` beside the class folders.
        class_names: The classes in the order of the model's outputs. Without them a folder's classes are
            sorted by name, and an `.npz` without names has `0`, `1`, ...
        image_shape: (height, width, channels) that a folder's pictures are brought to where no form is given; by
            default all must have one size.
        form: By which the hospitals' files became pictures, as their schema says.

    Raises:
        DataError: Not one of these forms, or a class that is not in class_names.
    """
    path = Path(path)
    names = None if class_names is None else tuple(class_names)
    if path.is_dir():
        if form is None and image_shape is not None:
            form = PictureForm(image_shape[:2], image_shape[2])
        return _from_folder(path, names, form)
    if path.suffix.lower() == ".npz" and path.is_file():
        return _from_npz(path, names)
    raise DataError(f"A hold-out must be an .npz file or a folder of class folders, {path} is neither.")


def _from_npz(path: Path, class_names: tuple[str, ...] | None) -> HoldOut:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
            images = images[..., None] if images.ndim == 3 else images  # grey
            own = tuple(str(name) for name in arrays["class_names"]) if "class_names" in arrays else None
            reports = arrays.get("reports")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} must be an .npz with images and labels, without Python objects.") from error
    if reports is not None and (reports.dtype.kind != "U" or reports.shape != (len(images),)):
        raise DataError(f"{path}: reports must be one text for each picture, got {reports.dtype} {reports.shape}.")
    written = None if reports is None else tuple(reports.tolist())
    if own is None:
        highest = int(labels.max()) if labels.size and labels.dtype.kind in "iu" else 0
        return HoldOut(images, labels, class_names or tuple(str(k) for k in range(highest + 1)), written)
    if class_names is None or own == class_names:
        return HoldOut(images, labels, own, written)
    hold_out = HoldOut(images, labels, own)
    return HoldOut(images, _positions(own, class_names)[hold_out.labels], class_names, written)


def _from_folder(root: Path, class_names: tuple[str, ...] | None, form: PictureForm | None) -> HoldOut:
    files = picture_files(root)
    own = tuple(sorted({file.parent.name for file in files}))
    names = own if class_names is None else class_names
    position = dict(zip(own, _positions(own, names), strict=True))
    labels = np.array([position[file.parent.name] for file in files], dtype=np.int64)
    return HoldOut(read_pictures(files, form), labels, names, read_hold_out_reports(files))


def _positions(own: tuple[str, ...], expected: tuple[str, ...]) -> np.ndarray:
    """Where each of `own` class names is in `expected`."""
    if unknown := sorted(set(own) - set(expected)):
        raise DataError(f"The hold-out has a class {unknown[0]!r}; the study's are {', '.join(expected)}.")
    return np.array([expected.index(name) for name in own], dtype=np.int64)
