"""Lists the pictures of an .npz file, ours or MedMNIST's, whole or one hospital's. Class names become public."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.sources.arrays.array_labels import nameless, numbers_of, own_class_names
from datasites.sources.arrays.array_picture import ArrayPicture
from datasites.sources.arrays.members import MappedArray, NpzFile
from datasites.sources.class_names import check_class_names, refuse_alike_classes
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.levels import one_form
from datasites.sources.identity import NamesSeen
from datasites.sources.listing import LeftOut, ListedPicture, Listing
from datasites.sources.reasons import OTHER_SPLIT
from policies.errors import DataError

PARTS = ("train", "val", "test")
MAX_SIDE_PIXELS = 4096
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class _Part:
    """The pictures of one array, with their labels."""

    key: str
    array: MappedArray
    layout: str
    labels: NDArray[np.int64]


def list_npz(
    file: Path, settings: DatasetSettings, watch: Callable[[int], None], own_names: Sequence[str] = ()
) -> Listing:
    """Lists the pictures of an .npz file; see `list_pictures`.

    Args:
        file: The file.
        settings: The dataset's.
        watch: Told how many pictures were listed.
        own_names: Names of the classes, where they are known and neither the settings nor the file have them.
    """
    archive = NpzFile(file)
    prefixes, left_out = _prefixes(archive, settings.split)
    parts = [_part(archive, prefix, settings.label_kind) for prefix in prefixes]
    layouts = {(part.array.shape[1:], part.layout) for part in parts}
    if len(layouts) > 1:
        raise DataError("All parts of the .npz file must have pictures of one shape, these have several.")
    names = _class_names(archive, parts, settings, own_names)
    count = sum(len(part.labels) for part in parts)
    patients, sites = (_column(archive, key, count) for key in ("groups", "sites"))
    reports = _reports(archive, count) if settings.text_length else None
    chosen = _chosen(sites, one_form(settings.site), count)
    listed, row = [], 0
    for part in parts:
        for index, label in enumerate(part.labels.tolist()):
            if chosen[row]:
                listed.append(
                    ListedPicture(
                        ArrayPicture(part.array, part.key, index, part.layout),
                        tuple(label) if isinstance(label, list) else (label,),
                        None if patients is None else patients[row],
                        None if reports is None else reports[row],
                    )
                )
            row += 1
        watch(row)
    size, channels = _form(parts[0])
    elsewhere = frozenset(patient for patient, here in zip(patients or (), chosen, strict=False) if not here)
    return Listing(file, listed, names, settings.label_kind, left_out, size, channels, elsewhere)


def npz_sites(file: Path) -> list[str]:
    """Sorted values of `sites`; empty where the file has no such array.

    Raises:
        DataError: Not an .npz file, or `sites` is not one text or number for each label.
    """
    archive = NpzFile(file)
    labels = archive.array("labels")
    sites = _column(archive, "sites", 0 if labels is None else len(labels))
    return [] if sites is None else sorted(set(sites))


def _prefixes(archive: NpzFile, split: str) -> tuple[list[str], list[LeftOut]]:
    """(what the names of the arrays that are taken begin with, the others)."""
    if "images" in archive.keys:
        return [""], []
    there = [part for part in PARTS if f"{part}_images" in archive.keys]
    taken = there if split == "all" else [part for part in there if part == split]
    if not taken:
        raise DataError(
            f"The .npz file must hold the part {split!r}, which split names; it holds {', '.join(there)}."
            if there
            else "The .npz file must hold 'images' and 'labels', or parts such as 'train_images' and 'train_labels'; "
            "it does not."
        )
    others = [LeftOut(f"{part}_images", OTHER_SPLIT, lost=False) for part in there if part not in taken]
    return [f"{part}_" for part in taken], others


def _part(archive: NpzFile, prefix: str, kind: str) -> _Part:
    key = f"{prefix}labels"
    labels = archive.array(key)
    if labels is None:
        raise DataError(f"The .npz file must hold '{key}', it does not.")
    numbers = numbers_of(key, labels, kind)
    array = archive.mapped(f"{prefix}images")
    layout = layout_of(f"{prefix}images", array)
    if array.shape[0] != len(numbers):
        raise DataError(f"'{prefix}images' and '{key}' must be equally long, they are not.")
    return _Part(f"{prefix}images", array, layout, numbers)


def layout_of(key: str, array: MappedArray) -> str:
    """What the axes of an array of pictures are, NHW, NHWC or NCHW.

    Raises:
        DataError: No pictures, or it is not certain which axis is which.
    """
    shape = array.shape
    if array.dtype.lstrip("|<>=") not in ("u1", "u2") or len(shape) not in (3, 4):
        raise DataError(
            f"'{key}' must be uint8 or uint16 of shape (N, H, W), (N, H, W, C) or (N, C, H, W), got "
            f"{np.dtype(array.dtype).name} with {len(shape)} axes."
        )
    layout = "NHW"
    if len(shape) == 4:
        last, first = shape[3] in _CHANNELS, shape[1] in _CHANNELS
        if last == first:
            shown = ", ".join(map(str, shape[1:]))
            raise DataError(
                f"'{key}' must have 1 or 3 channels; in the shape (N, {shown}) both axes could be channels. Save it as "
                "(N, H, W, C)."
                if last
                else f"'{key}' must have 1 or 3 channels, in its last axis or its second; in the shape (N, {shown}) no "
                "axis is of channels. Save it as (N, H, W, C)."
            )
        layout = "NHWC" if last else "NCHW"
    sides = shape[1:3] if layout != "NCHW" else shape[2:4]
    if not all(1 <= side <= MAX_SIDE_PIXELS for side in sides):
        raise DataError(
            f"Pictures must have sides of 1 to {MAX_SIDE_PIXELS} pixels, got {' x '.join(map(str, sides))}."
        )
    return layout


def _form(part: _Part) -> tuple[tuple[int, int], int]:
    """((height, width), channels) of a part's pictures."""
    shape = part.array.shape
    if part.layout == "NCHW":
        return (shape[2], shape[3]), shape[1]
    return (shape[1], shape[2]), 1 if part.layout == "NHW" else shape[3]


def _class_names(
    archive: NpzFile, parts: Sequence[_Part], settings: DatasetSettings, own_names: Sequence[str]
) -> tuple[str, ...]:
    given = tuple(map(one_form, settings.class_names))
    own = own_class_names(archive, given or own_names)
    if own is not None and given and own != given:
        raise DataError("The file's class_names must be those of the configuration, in the same order.")
    labels = np.concatenate([part.labels for part in parts])
    if own is not None and not given:
        seen = NamesSeen(settings.safe_kinds)
        seen.look_at_classes(own, "class names")
        seen.refuse("If they are none, set safe_kinds in [dataset].")
        refuse_alike_classes(set(own))
    if found := given or (own_names if own is None else own):
        return _fitting(check_class_names(found), labels)
    numbers = np.unique(labels)
    if labels.ndim == 1 and not np.array_equal(numbers, np.arange(len(numbers))):
        raise DataError("Labels must be 0, 1, 2 and so on without a gap. Renumber them, or add class_names.")
    return check_class_names(nameless(labels))


def _fitting(names: tuple[str, ...], labels: NDArray[np.int64]) -> tuple[str, ...]:
    if labels.ndim == 2:
        if labels.shape[1] != len(names):
            raise DataError(f"Labels must have a column for each of {len(names)} class names.")
    elif labels.min() < 0 or labels.max() >= len(names):
        raise DataError(f"Labels must lie from 0 to {len(names) - 1}, one for each class name.")
    return names


def _column(archive: NpzFile, key: str, count: int) -> list[str] | None:
    column = archive.array(key)
    if column is None:
        return None
    if column.dtype.kind not in "Uiu" or column.shape != (count,):
        raise DataError(f"'{key}' must be one text or whole number for each picture.")
    found = list(map(one_form, column.astype(np.str_).tolist()))
    if key == "groups" and not all(found):
        raise DataError("Each picture must name its patient, or none may. Fill the missing patient identifiers.")
    return found


def _reports(archive: NpzFile, count: int) -> list[str]:
    reports = archive.array("reports")
    if reports is None:
        raise DataError(
            "The .npz file must hold 'reports', since text_length is not 0; it does not. Add one text for each "
            "picture, or set text_length to 0."
        )
    if reports.dtype.kind != "U" or reports.shape != (count,):
        raise DataError("'reports' must be one text for each picture, as numpy's str_ of shape (N,).")
    found: list[str] = reports.tolist()
    return found


def _chosen(sites: list[str] | None, site: str, count: int) -> Sequence[Any]:
    """Which pictures are the hospital's."""
    if not site:
        if sites is not None and len(set(sites)) > 1:
            raise DataError(
                "The .npz file holds several hospitals' pictures. Set site to one of them.",
                private=f"The hospitals are {', '.join(sorted(set(sites)))}.",
            )
        return [True] * count
    if sites is None:
        raise DataError("The .npz file must hold 'sites' to read one hospital's pictures, it does not.")
    if site not in sites:
        raise DataError(
            f"No picture belongs to the site {site!r}.",
            private=f"The hospitals are {', '.join(sorted(set(sites)))}.",
        )
    return [one == site for one in sites]
