"""The DICOM files that pydicom ships, and what each becomes: an independent collection of the odd and the broken."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pydicom

from datasites.picture_files.dicom.header import Header, read_header
from datasites.picture_files.dicom.pixels import pixels
from datasites.picture_files.dicom.reasons import SYNTAX
from datasites.picture_files.picture_refused import PictureRefused
from policies.plans.picture_form import WINDOWS, PictureForm

FORM = PictureForm(size=(8, 8), channels=1)
FOLDER = Path(pydicom.__file__).parent / "data"


@cache
def with_pixels() -> dict[str, Header | None]:
    """Each file of the collection that holds pixels, by its place, and its header; None where it has no syntax."""
    found: dict[str, Header | None] = {}
    for path in sorted(FOLDER.rglob("*")):
        if not path.is_file() or path.suffix in (".py", ".pyc", ".json", ".txt", ".md"):
            continue
        try:
            header = read_header(path)
        except PictureRefused as refused:
            if refused.reason != SYNTAX:
                continue
            found[path.relative_to(FOLDER).as_posix()] = None
            continue
        if header.place is not None:
            found[path.relative_to(FOLDER).as_posix()] = header
    return found


def becomes(place: str, window: str) -> str:
    """What a file becomes by a window: its size and kind, or the code of its reason."""
    try:
        seen = pixels(FOLDER / place, replace(FORM, window=window)).levels
    except PictureRefused as refused:
        return f"`{refused.reason.code}`"
    return f"{seen.shape[0]} × {seen.shape[1]}, {'grey' if seen.ndim == 2 else 'colour'}"


def table() -> list[tuple[str, ...]]:
    """The rows of docs/ref-dicom-files.md."""
    rows: list[tuple[str, ...]] = [
        ("file", "transfer syntax", *(f"window `{window}`" for window in WINDOWS)),
        ("---",) * 5,
    ]
    for place, header in with_pixels().items():
        syntax = "none" if header is None else header.syntax.name
        rows.append((f"`{place}`", syntax, *(becomes(place, window) for window in WINDOWS)))
    return rows
