"""Tables of docs/ref-dicom.md: what is read of a DICOM file, and why one is not taken."""

from __future__ import annotations

from collections.abc import Iterable

from datasites.picture_files.dicom.header import FOR_PIXELS
from datasites.picture_files.dicom.reasons import REASONS
from datasites.picture_files.picture_refused import Reason
from datasites.sources.dicom.directory_file import LEAVES_THE_FOLDER
from datasites.sources.dicom.found_file import ABOUT_THE_PICTURE, CODED_LABELS, IDENTIFIERS, WRITTEN_LABELS
from datasites.sources.dicom.labels import NO_LABEL, OTHER_CLASS
from datasites.sources.dicom.patients import NO_PATIENT, UNCLEAR_PATIENT
from datasites.sources.dicom.stops import NO_PICTURES, SAFE_KINDS
from datasites.sources.dicom.table_labels import NO_SUCH_PICTURE

Rows = list[tuple[str, ...]]


def read() -> Rows:
    """Every element that is read, and what for."""
    told = (
        ("to decode and show the pixels", FOR_PIXELS),
        ("to tell what waits for a person", ABOUT_THE_PICTURE),
        ("to find a picture's patient and its row in a table", (*IDENTIFIERS, "IssuerOfPatientID")),
        ("one of them, where `labels_from` names it", CODED_LABELS),
        ("one of them, where `labels_from` names it and `class_names` all classes", WRITTEN_LABELS),
    )
    return [("what for", "elements"), ("---", "---"), *((what, ", ".join(names)) for what, names in told)]


def reasons() -> Rows:
    """Why the pixels of a file are not taken."""
    return _reasons(REASONS)


def stops() -> Rows:
    """Why a file is not listed."""
    kinds = (*SAFE_KINDS.values(), *NO_PICTURES)
    return _reasons((*kinds, NO_PATIENT, UNCLEAR_PATIENT, NO_LABEL, OTHER_CLASS, NO_SUCH_PICTURE, LEAVES_THE_FOLDER))


def _reasons(several: Iterable[Reason]) -> Rows:
    return [
        ("code", "what it means", "what to do"),
        ("---",) * 3,
        *((f"`{reason.code}`", reason.means, reason.advice) for reason in several),
    ]
