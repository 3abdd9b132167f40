"""A DICOMDIR: which files of a medium it lists. Its records of patients and studies are not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydicom import Dataset

from datasites.picture_files.dicom.elements import text, texts, value
from datasites.picture_files.dicom.header import read_header
from datasites.picture_files.dicom.reasons import BROKEN
from datasites.picture_files.picture_refused import PictureRefused, Reason
from datasites.picture_files.reasons import NOT_A_FILE
from datasites.sources.dicom.stops import OTHER_OBJECT
from datasites.sources.listing import LeftOut

NAME = "DICOMDIR"
LEAVES_THE_FOLDER = Reason(
    "leaves_the_folder",
    "The DICOMDIR names a file outside its own folder.",
    "Copy the medium again, whole.",
)


def listed_files(directory: Path) -> tuple[list[str], list[LeftOut]]:
    """Where the files of all pictures lie that a DICOMDIR lists, in its order, and what else it lists.

    Raises:
        PictureRefused: It is no DICOMDIR, or broken.
        OSError: It cannot be opened.
    """
    records = value(read_header(directory, ("DirectoryRecordSequence",)).dataset, "DirectoryRecordSequence")
    if records is None:
        raise PictureRefused(BROKEN)
    found: dict[str, None] = {}
    left_out: list[LeftOut] = []
    for place, kind in _places(records):
        path = _inside(directory.parent, place)
        if isinstance(path, Reason):
            left_out.append(LeftOut("/".join(place), path))
        elif kind != "IMAGE":
            left_out.append(LeftOut("/".join(place), OTHER_OBJECT, lost=False))
        else:
            found[path.relative_to(directory.parent).as_posix()] = None
    return list(found), left_out


def _places(records: list[Dataset]) -> Iterator[tuple[tuple[str, ...], str]]:
    """(the parts of a file's path, the kind of its record) of each record that names a file."""
    for record in records:
        parts = texts(record, "ReferencedFileID")
        if parts:
            yield parts, text(record, "DirectoryRecordType").upper()


def _inside(folder: Path, parts: tuple[str, ...]) -> Path | Reason:
    """The file of that name in any case of letters, as media are copied in either."""
    at = folder
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\\" in part:
            return LEAVES_THE_FOLDER
        if not (at / part).exists() and at.is_dir():
            at = next((one for one in at.iterdir() if one.name.lower() == part.lower()), at / part)
        else:
            at = at / part
    if not at.is_file():
        return NOT_A_FILE
    return at if at.resolve().is_relative_to(folder.resolve()) else LEAVES_THE_FOLDER
