"""Attributes of a hospital's DICOM files that labels could come from, with their values, for the hospital alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from datasites.picture_files.dicom.elements import texts
from datasites.picture_files.dicom.header import read_header
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.dicom.dicom_listing import source_of
from datasites.sources.dicom.found_file import CODED_LABELS, WRITTEN_LABELS
from datasites.sources.dicom.frames import dicom_frames

_MOST_VALUES = 20


def label_attributes(settings: DatasetSettings) -> dict[str, dict[str, int]]:
    """Which attributes tell the pictures apart into 2 to 20 kinds, and how many files are of each.

    Only what labels may come from is read; files that lack an attribute are counted under an empty value.

    Args:
        settings: The source, and which files of it would be taken.

    Raises:
        PictureRefused, DataError, OSError: As `dicom_frames`.
    """
    found = dicom_frames(source_of(settings), frames=settings.frames, safe=settings.safe_dicom)
    files = sorted({one.picture.inside for one in found.pictures})
    attributes = (*CODED_LABELS, *WRITTEN_LABELS)
    counts: dict[str, Counter[str]] = {name: Counter() for name in attributes}
    for inside in files:
        for name, value in zip(attributes, _values(found.root / inside, attributes), strict=True):
            counts[name][value] += 1
    return {name: dict(values.most_common()) for name, values in counts.items() if _tells_apart(values)}


def _values(file: Path, attributes: Sequence[str]) -> list[str]:
    dataset = read_header(file, attributes).dataset
    return [" ".join(texts(dataset, name)) for name in attributes]


def _tells_apart(values: Counter[str]) -> bool:
    return 2 <= len(values.keys() - {""}) <= _MOST_VALUES
