"""Sources of a hospital's pictures: a folder or an .npz file. Everything read here is private to the hospital."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasites.assets.folder import check_inside, class_folders, read_folders, subfolders
from datasites.assets.npz import npz_sites, read_npz
from datasites.assets.pictures import SourcePictures
from policies.errors import DataError

__all__ = ["SourcePictures", "list_sites", "read_source"]


def list_sites(path: Path | str) -> list[str]:
    """Names of the hospitals in a source, sorted; empty if it is one hospital's own.

    Args:
        path: FOLDER of FOLDER/<hospital>/<class>/<picture>, or an .npz file with `sites`. A folder whose subfolders
            hold no folders is one hospital's own FOLDER/<class>/<picture>.

    Raises:
        DataError: Neither a folder nor an .npz file, or unreadable.
    """
    path = _existing(path)
    if path.is_file():
        return npz_sites(path)
    inner = subfolders(path)
    return [folder.name for folder in inner] if any(subfolders(folder) for folder in inner) else []


def read_source(
    path: Path | str,
    *,
    site: str | None = None,
    classes: Sequence[str] | None = None,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    reports: bool = False,
) -> SourcePictures:
    """Reads one hospital's pictures, or those of all hospitals of a source.

    Args:
        path: A folder or an .npz file, as for `list_sites`.
        site: Which hospital's; None reads all that is there, as a hold-out is read.
        classes: Class names in label order; by default those of the whole source, over all its hospitals.
        image_size: (height, width) to resize a folder's pictures to; an .npz file must have it already.
        channels: 1 (grey) or 3 to convert a folder's pictures to; an .npz file must have it already.
        reports: Also reads each picture's report: `reports` of an .npz file, `reports.csv` of a hospital's folder.

    Raises:
        DataError: The source cannot be read as described, or holds no such hospital.
    """
    path = _existing(path)
    if path.is_file():
        source = read_npz(path, site=site, classes=classes, reports=reports)
        _check_shape(source, image_size, channels)
        return source
    sites = list_sites(path)
    if site is not None and site not in sites:
        raise DataError(f"The folder must hold a folder for the hospital {site!r}, with its class folders in it.")
    hospitals = [path / name for name in sites] or [path]
    for hospital in hospitals:
        check_inside(hospital, path)
    return read_folders(
        hospitals if site is None else [path / site],
        classes=class_folders(hospitals) if classes is None else classes,
        image_size=image_size,
        channels=channels,
        reports=reports,
    )


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if path.is_dir() or (path.is_file() and path.suffix.lower() == ".npz"):
        return path
    raise DataError(
        "The data path must be an existing folder or an .npz file, it is neither. Check the path.",
        private=f"Path: {path}",
    )


def _check_shape(source: SourcePictures, image_size: tuple[int, int] | None, channels: int | None) -> None:
    height, width, depth = source.image_shape
    wanted = (*(image_size or (height, width)), channels or depth)
    if wanted != source.image_shape:
        raise DataError(
            f"The .npz file's pictures must be {' x '.join(map(str, wanted))} as configured, they are "
            f"{height} x {width} x {depth}. Convert the file, or leave image_size and channels out."
        )
