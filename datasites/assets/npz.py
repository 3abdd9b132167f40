"""Reads pictures from an .npz file, whole or one hospital's: private rows, which stay inside. Nothing is unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.assets.pictures import SourcePictures, check_class_names
from policies.errors import DataError

KEYS = ("images", "labels", "sites", "groups", "class_names")
REPORTS = "reports"
Array = NDArray[Any]


def read_npz(
    file: Path, *, site: str | None = None, classes: Sequence[str] | None = None, reports: bool = False
) -> SourcePictures:
    """Reads `images` uint8 (N, H, W, C) or (N, H, W) and `labels` (N,), and, where present, the columns below.

    `sites` (N,) says whose picture each is, `groups` (N,) is the patient, `class_names` (K,) names the labels. The
    classes are those of the whole file, so that all hospitals of one file agree on them.

    Args:
        file: The .npz file.
        site: Reads only the rows with this value in `sites`; None reads all.
        classes: Class names in label order; by default `class_names`, else class_0, class_1 and so on.
        reports: Also reads `reports` (N,), the text that was written about each picture.

    Raises:
        DataError: Not an .npz file, a missing or misshaped array, labels with gaps, or an unknown site.
    """
    arrays = _load(file, (*KEYS, REPORTS) if reports else KEYS)
    images, labels = _images(arrays), _labels(arrays)
    if len(images) != len(labels):
        raise DataError("'images' and 'labels' must be equally long, they are not.")
    names = _class_names(arrays, labels, classes)
    patients = _column(arrays, "groups", len(labels))
    written = _reports(arrays, len(labels)) if reports else None
    if site is not None:
        chosen = _rows_of(site, _column(arrays, "sites", len(labels)))
        images, labels = images[chosen], labels[chosen]
        patients = None if patients is None else patients[chosen]
        written = None if written is None else written[chosen]
    return SourcePictures(images, labels, names, _texts(patients), _texts(written))


def npz_sites(file: Path) -> list[str]:
    """Sorted values of `sites`; empty where the file has no such array.

    Raises:
        DataError: Not an .npz file, or `sites` is not one text or number for each label.
    """
    arrays = _load(file, ("labels", "sites"))
    sites = _column(arrays, "sites", len(_labels(arrays)))
    return [] if sites is None else sorted(set(sites.tolist()))


def _load(file: Path, keys: tuple[str, ...]) -> dict[str, Array]:
    try:
        with file.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError("Expected an .npz file of several arrays, got a single array.", private=str(file))
            return {key: archive[key] for key in keys if key in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            "The .npz file cannot be read. Write it with numpy.savez, without Python objects.",
            private=f"{file}: {type(error).__name__}: {error}",
        ) from error


def _images(arrays: Mapping[str, Array]) -> NDArray[np.uint8]:
    images = _required(arrays, "images")
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DataError(
            f"'images' must be uint8 of shape (N, H, W, C) or (N, H, W), got {images.dtype} with {images.ndim} axes."
        )
    return images[..., None] if images.ndim == 3 else images


def _labels(arrays: Mapping[str, Array]) -> NDArray[np.int64]:
    labels = _required(arrays, "labels")
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or labels.size == 0:
        raise DataError(f"'labels' must be whole numbers of shape (N,), got {labels.dtype} with {labels.ndim} axes.")
    return labels.astype(np.int64)


def _required(arrays: Mapping[str, Array], key: str) -> Array:
    if key not in arrays:
        raise DataError(f"The .npz file must hold '{key}', it does not. Its arrays are 'images' and 'labels'.")
    return arrays[key]


def _class_names(
    arrays: Mapping[str, Array], labels: NDArray[np.int64], classes: Sequence[str] | None
) -> tuple[str, ...]:
    in_file = arrays.get("class_names")
    if in_file is not None and (in_file.dtype.kind != "U" or in_file.ndim != 1):
        raise DataError("'class_names' must be text of shape (K,), one name for each label.")
    if in_file is not None and classes is not None and in_file.tolist() != list(classes):
        raise DataError("The file's class_names must be those of the configuration, in the same order.")
    if classes is not None or in_file is not None:
        names = check_class_names(in_file.tolist() if classes is None and in_file is not None else classes or ())
        if labels.min() < 0 or labels.max() >= len(names):
            raise DataError(f"Labels must lie from 0 to {len(names) - 1}, one for each class name.")
        return names
    found = np.unique(labels)
    if not np.array_equal(found, np.arange(len(found))):
        raise DataError("Labels must be 0, 1, 2 and so on without a gap. Renumber them, or add class_names.")
    return check_class_names([f"class_{label}" for label in found])


def _column(arrays: Mapping[str, Array], key: str, count: int) -> Array | None:
    column = arrays.get(key)
    if column is None:
        return None
    if column.dtype.kind not in "Uiu" or column.shape != (count,):
        raise DataError(f"'{key}' must be one text or whole number for each picture.")
    return column.astype(np.str_)


def _reports(arrays: Mapping[str, Array], count: int) -> Array:
    if REPORTS not in arrays:
        raise DataError(
            "The .npz file must hold 'reports', since text_length is not 0; it does not. Add one text for each "
            "picture, or set text_length to 0."
        )
    reports = arrays[REPORTS]
    if reports.dtype.kind != "U" or reports.shape != (count,):
        raise DataError("'reports' must be one text for each picture, as numpy's str_ of shape (N,).")
    return reports


def _texts(column: Array | None) -> tuple[str, ...] | None:
    return None if column is None else tuple(column.tolist())


def _rows_of(site: str, sites: Array | None) -> NDArray[np.bool_]:
    if sites is None:
        raise DataError("The .npz file must hold 'sites' to read one hospital's pictures, it does not.")
    chosen: NDArray[np.bool_] = sites == site
    if not chosen.any():
        raise DataError(f"No picture belongs to the site {site!r}. The file's sites are listed by list_sites.")
    return chosen
