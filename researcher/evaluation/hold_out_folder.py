"""A public hold-out's folder, read by the decoder that reads hospitals' pictures. Never private pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.decode import decode, probe
from datasites.picture_files.file_pixels import PictureInfo
from datasites.picture_files.kind import kind_of
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import UNKNOWN_FORMAT
from policies.errors import DataError
from policies.plans.picture_form import PictureForm
from policies.plans.reports_file import REPORTS_FILE, read_reports

# What is called so and is no picture is named; other files beside the pictures are passed by.
_CALLED_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".dcm", ".nii")


def picture_files(root: Path) -> list[Path]:
    """The pictures in `root`'s class folders, all of which lie one or all two levels down.

    Raises:
        DataError: There is none, or a file that is called one and is none.
    """
    for pattern in ("*", "*/*"):
        folders = [folder for folder in sorted(root.glob(pattern)) if folder.is_dir() and folder.name[0] != "."]
        if found := [file for folder in folders for file in _pictures(folder)]:
            return found
    raise DataError(f"{root} must hold <class>/<picture> or <hospital>/<class>/<picture>, it holds no picture.")


def read_pictures(files: Sequence[Path], form: PictureForm | None) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(N, height, width, channels) of `form`, or of the size and channels that the files have in common.

    Raises:
        DataError: A file cannot be taken, with its name and the reason; or their sizes differ and no form is given.
    """
    found = {file: _header(file) for file in files}
    form = form or _common_form(found)
    kind: Any = np.uint16 if form.store_bits == 16 else np.uint8
    images: NDArray[Any] = np.empty((len(files), *form.size, form.channels), dtype=kind)
    for row, file in enumerate(files):
        try:
            images[row] = decode(file, form)
        except PictureRefused as refused:
            raise _named(file, refused) from refused
    return images


def read_hold_out_reports(files: Sequence[Path]) -> tuple[str, ...] | None:
    """What `reports.csv` beside the class folders says of each file; None where no folder has one.

    Raises:
        DataError: A table that cannot be read, or that leaves a picture out.
    """
    tables = {}
    for folder in {file.parent.parent for file in files}:
        if (folder / REPORTS_FILE).is_file():
            tables[folder] = read_reports(folder)
    if not tables:
        return None
    found = []
    for file in files:
        report = tables.get(file.parent.parent, {}).get(f"{file.parent.name}/{file.name}")
        if report is None:
            raise DataError(f"{REPORTS_FILE} has no line for {file}. Every picture of a hold-out needs one, or none.")
        found.append(report)
    return tuple(found)


def _pictures(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or not file.is_file():
            continue
        try:
            kind_of(file)
        except PictureRefused as refused:
            if refused.reason is UNKNOWN_FORMAT and file.suffix.lower() not in _CALLED_PICTURES:
                continue
            raise _named(file, refused) from refused
        yield file


def _header(file: Path) -> PictureInfo:
    try:
        info = probe(file)
    except PictureRefused as refused:
        raise _named(file, refused) from refused
    if info.frames > 1:
        raise DataError(f"{file} holds {info.frames} pictures. Save those that count in files of their own.")
    return info


def _common_form(found: Mapping[Path, PictureInfo]) -> PictureForm:
    """The pictures' own size, and their channels: 1 where all are grey.

    Raises:
        DataError: Their sizes differ.
    """
    first, about = next(iter(found.items()))
    for file, info in found.items():
        if info.size != about.size:
            raise DataError(
                f"All pictures of a hold-out must have one size, {file} has {info.size}, {first} {about.size}."
            )
    return PictureForm(about.size, max(info.channels for info in found.values()))


def _named(file: Path, refused: PictureRefused) -> DataError:
    return DataError(f"{file} cannot be taken: {refused.reason.means} {refused.reason.advice}")
