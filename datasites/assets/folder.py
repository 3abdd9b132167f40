"""Reads FOLDER/<class>/*.png|jpg of one hospital. Class names become public; pictures and file names stay inside."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from datasites.assets.pictures import SourcePictures, check_class_names
from policies.errors import DataError
from policies.plans.reports_file import read_reports

SUFFIXES = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG")
MAX_PIXELS = 64_000_000
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def read_folder(
    folder: Path,
    *,
    classes: Sequence[str] | None = None,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> SourcePictures:
    """Reads one hospital's pictures; see `read_folders`."""
    return read_folders([folder], classes=classes, image_size=image_size, channels=channels)


def read_folders(
    folders: Sequence[Path],
    *,
    classes: Sequence[str] | None = None,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    reports: bool = False,
) -> SourcePictures:
    """Reads the pictures of several folders as one source.

    16-bit grey is scaled to 8 bits (65535 becomes 255), transparent parts become black, EXIF orientation is applied.

    Args:
        folders: Each holds one folder for each class, with pictures in it. Hidden entries and other files are skipped.
        classes: Class names in label order; by default the sorted names of all class folders.
        image_size: (height, width) that every picture is resized to; by default all must have the first one's.
        channels: 1 (grey) or 3 (red, green, blue); by default 1 if every file is grey, else 3.
        reports: Also reads each picture's report from the `reports.csv` of its folder.

    Raises:
        DataError: A layout other than this, a class that is not in `classes`, no picture, pictures of several sizes,
            an unreadable picture, or a link that leads outside its folder. The private text names the file.
    """
    if channels not in (None, 1, 3):
        raise DataError(f"channels must be 1 or 3, got {channels!r}.")
    names = check_class_names(class_folders(folders) if classes is None else classes)
    files = [entry for folder in folders for entry in _list_pictures(folder, names)]
    if not files:
        raise DataError("The class folders must hold .png or .jpg pictures, none came. Check the path.")
    images = _read_all([file for file, _ in files], image_size, channels)
    labels = np.asarray([label for _, label in files], dtype=np.int64)
    return SourcePictures(images, labels, names, reports=_reports(folders, files) if reports else None)


def class_folders(folders: Sequence[Path]) -> list[str]:
    """Sorted names of all class folders in `folders`."""
    return sorted({entry.name for folder in folders for entry in subfolders(folder)})


def subfolders(folder: Path) -> list[Path]:
    """The visible subfolders, sorted by name.

    Raises:
        DataError: `folder` cannot be listed.
    """
    return [entry for entry in _visible(folder) if entry.is_dir()]


def check_inside(entry: Path, root: Path) -> None:
    """Refuses links that lead out of `root`, which may point to pictures nobody meant to ingest.

    Raises:
        DataError: `entry` resolves to a place outside `root`.
    """
    if not entry.resolve().is_relative_to(root.resolve()):
        raise DataError(
            "A link leads outside the picture folder. Copy what it points to into the folder, or remove it.",
            private=f"Link: {entry}",
        )


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError("The picture folder cannot be read. Check its path and rights.", private=str(error)) from error


def _list_pictures(folder: Path, classes: tuple[str, ...]) -> Iterator[tuple[Path, int]]:
    for entry in _visible(folder):
        check_inside(entry, folder)
        if entry.is_dir():
            if entry.name not in classes:
                raise DataError(
                    f"Class folders must be among {', '.join(classes)}; another came. Rename it or add the class.",
                    private=f"Folder: {entry}",
                )
            label = classes.index(entry.name)
            yield from ((file, label) for file in _list_class(entry, folder))
        elif entry.suffix.lower() in SUFFIXES:
            raise DataError(
                "Pictures must lie in the folder of their class, one lies beside the class folders. Move or remove it.",
                private=f"File: {entry}",
            )


def _list_class(class_folder: Path, root: Path) -> Iterator[Path]:
    for entry in _visible(class_folder):
        check_inside(entry, root)
        if entry.is_dir():
            raise DataError(
                "A class folder must hold pictures only, one holds a folder. The layout is FOLDER/<class>/<picture>.",
                private=f"Folder: {entry}",
            )
        if entry.suffix.lower() in SUFFIXES:
            if not entry.is_file():
                raise _unreadable(entry, "neither a file nor a link to one")
            yield entry


def _reports(folders: Sequence[Path], files: Sequence[tuple[Path, int]]) -> tuple[str, ...]:
    """The report of each file, from its folder's table."""
    tables = {folder: read_reports(folder) for folder in folders}
    found = []
    for file, _ in files:
        folder = file.parent.parent
        report = tables[folder].get(f"{file.parent.name}/{file.name}")
        if report is None:
            raise DataError(
                "reports.csv must name every picture, one is missing. Add its line; where nothing was written, leave "
                "the report empty.",
                private=f"File: {file}",
            )
        found.append(report)
    return tuple(found)


def _read_all(files: list[Path], image_size: tuple[int, int] | None, channels: int | None) -> NDArray[np.uint8]:
    first = _decode(files[0])
    height, width = image_size or (first.height, first.width)
    images = np.empty((len(files), height, width, channels or 3), dtype=np.uint8)
    all_grey = True
    for index, file in enumerate(files):
        picture = _decode(file)
        all_grey = all_grey and picture.mode == "L"
        if picture.size != (width, height):
            if image_size is None:
                raise DataError(
                    "All pictures must have one size, these have several. Set image_size to resize them.",
                    private=f"{file} is {picture.height} x {picture.width}, the first is {height} x {width}.",
                )
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
        images[index] = pixels[:, :, None] if channels == 1 else pixels
    return np.ascontiguousarray(images[..., :1]) if channels is None and all_grey else images


def _decode(file: Path) -> Image.Image:
    """The picture upright, in mode L (grey) or RGB."""
    try:
        with Image.open(file, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise _unreadable(file, f"more than {MAX_PIXELS} pixels")
            return _flatten(ImageOps.exif_transpose(picture))
    except (*_UNREADABLE, *_BOMB) as error:
        raise _unreadable(file, f"{type(error).__name__}: {error}") from error


def _flatten(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        levels = np.clip(np.asarray(picture), 0, 65535).astype(np.uint32)
        return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8))
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture.convert("RGBA"))
    return picture.convert("L" if grey else "RGB")


def _unreadable(file: Path, reason: str) -> DataError:
    return DataError(
        "A picture cannot be read as PNG or JPEG. Repair or remove it; the hospital's log names the file.",
        private=f"{file}: {reason}",
    )
