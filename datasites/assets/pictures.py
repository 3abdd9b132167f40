"""Pictures as a hospital reads them, before ingestion. They are private rows and never cross the boundary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasites.sources.class_names import check_class_names as check_class_names
from policies.errors import DataError

MAX_SIDE_PIXELS = 4096
MAX_CHANNELS = 4


@dataclass(frozen=True, eq=False, repr=False)
class SourcePictures:
    """Pictures of one size with their classes, all in memory.

    Attributes:
        images: uint8, (N, H, W, C).
        labels: int64, (N,), indices into `class_names`.
        class_names: Public names of the classes, in label order; a class may have no picture.
        patients: Private: whose picture each one is, (N,); None where the source does not say.
        reports: Private: what was written about each picture, (N,); None where no reports were read.

    Raises:
        DataError: A part has another type, shape or range than this.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    patients: tuple[str, ...] | None = None
    reports: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", check_class_names(self.class_names))
        _check_images(self.images)
        _check_labels(self.labels, len(self.images), len(self.class_names))
        if self.patients is not None:
            _check_patients(self.patients, len(self.images))
        if self.reports is not None:
            _check_reports(self.reports, len(self.images))

    def __repr__(self) -> str:
        return f"SourcePictures(image_shape={self.image_shape}, class_names={self.class_names})"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) in pixels."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels


def _check_images(images: NDArray[np.uint8]) -> None:
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
        raise DataError("Pictures must be one uint8 array of shape (N, height, width, channels).")
    count, height, width, channels = images.shape
    if count < 1:
        raise DataError("There must be at least one picture, none came. Check the path and its layout.")
    if not (1 <= height <= MAX_SIDE_PIXELS and 1 <= width <= MAX_SIDE_PIXELS and 1 <= channels <= MAX_CHANNELS):
        raise DataError(
            f"Pictures must have sides of 1 to {MAX_SIDE_PIXELS} pixels and 1 to {MAX_CHANNELS} channels, got "
            f"{height} x {width} x {channels}."
        )


def _check_labels(labels: NDArray[np.int64], count: int, num_classes: int) -> None:
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int64 or labels.shape != (count,):
        raise DataError("Labels must be one int64 array with one label for each picture.")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise DataError(f"Labels must lie from 0 to {num_classes - 1}, one for each class name.")


def _check_patients(patients: tuple[str, ...], count: int) -> None:
    if len(patients) != count or not all(isinstance(patient, str) and patient for patient in patients):
        raise DataError("Each picture must name its patient, or none may. Fill the missing patient identifiers.")


def _check_reports(reports: tuple[str, ...], count: int) -> None:
    if len(reports) != count or not all(isinstance(report, str) for report in reports):
        raise DataError("Each picture must have a report, or none may. Where nothing was written, leave it empty.")
