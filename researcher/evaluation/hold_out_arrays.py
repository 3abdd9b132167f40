"""An .npz file of a public hold-out, read by the rules that hospitals' arrays are read by. Never private ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.depth import white_of
from datasites.picture_files.picture_refused import PictureRefused
from datasites.sources.arrays.array_labels import is_one_hot, numbers_of, own_class_names
from datasites.sources.arrays.array_picture import ArrayPicture
from datasites.sources.arrays.members import MappedArray, NpzFile
from datasites.sources.arrays.npz_pictures import layout_of
from datasites.sources.dataset_settings import is_named
from datasites.sources.folders.splits import part_beside, parts_among
from datasites.sources.folders.unnamed import refuse_unnamed_hospitals
from datasites.sources.listing import LeftOut, ListedPicture
from policies.errors import DataError
from policies.plans.picture_form import PictureForm
from researcher.evaluation.hold_out_files import read_pictures, refuse_many_left_out


@dataclass(frozen=True, eq=False)
class HeldArrays:
    """What an .npz holds: pictures, (N, H, W, C), labels, (N,) or (N, K), names and reports where it has them.

    What is left out of it is in none of these; `rows` says where in the file's arrays each picture is.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    class_names: tuple[str, ...] | None
    reports: NDArray[Any] | None
    rows: Sequence[int]
    left_out: tuple[LeftOut, ...] = ()


def read_arrays(
    file: Path,
    form: PictureForm | None,
    image_shape: tuple[int, int, int] | None = None,
    label_kind: str | None = None,
    class_names: Sequence[str] = (),
) -> HeldArrays:
    """The pictures of an .npz file of a hold-out, by the rules that hospitals' arrays are read by.

    Of a file in parts, as MedMNIST writes them, its test part is the hold-out.

    Args:
        file: It.
        form: By which the hospitals' pictures were read; None takes these as they are.
        image_shape: (height, width, channels) of the hospitals' pictures: an array of it has its axes in this order.
        label_kind: The hospitals', `single` or `multi`; by default it is told by the labels.
        class_names: That labels have where the file names none.

    Raises:
        DataError: It holds no pictures and labels, or it is not certain which axis or class is which.
    """
    try:
        archive = NpzFile(file)
        prefix = "" if "images" in archive.keys else "test_"
        _refuse_sites(archive)
        labels = archive.array(f"{prefix}labels")
        if labels is None or f"{prefix}images" not in archive.keys:
            raise DataError("It must hold images and labels, or test_images and test_labels.")
        array = archive.mapped(f"{prefix}images")
        is_certain = array.shape[1:] == image_shape and array.dtype.endswith(("u1", "u2"))
        layout = "NHWC" if is_certain else layout_of(f"{prefix}images", array)
        rows = [ArrayPicture(array, f"{prefix}images", row, layout) for row in range(array.shape[0])]
        labels = _numbers(f"{prefix}labels", labels, label_kind)
        reports = archive.array("reports")
        if form is None:
            images, read, left_out = _as_they_are(array, layout, rows)
        else:
            images, read, left_out = read_pictures([ListedPicture(row, ()) for row in rows], form)
        if left_out and len(labels) == len(rows):
            labels, reports = labels[read], None if reports is None else reports[read]
        return HeldArrays(images, labels, own_class_names(archive, class_names), reports, read, tuple(left_out))
    except DataError as error:
        raise DataError(f"{file}: {error.public}") from error


def _numbers(key: str, labels: NDArray[Any], label_kind: str | None) -> NDArray[np.int64]:
    """Labels by the hospitals' rules, (N,) or (N, K): one 1 in each row is a class, unless labels are findings."""
    several = labels.ndim == 2 and labels.shape[1] > 1
    is_single = not several or (label_kind != "multi" and is_one_hot(labels))
    return numbers_of(key, labels, "single" if is_single else "multi")


def _refuse_sites(archive: NpzFile) -> None:
    """Refuses parts of a data set, new folders and copies that stand where hospitals do.

    Raises:
        DataError: With the parts, or the name.
    """
    sites = archive.array("sites")
    names = set() if sites is None else set(map(str, sites.ravel().tolist()))
    if parts := list(parts_among(names)) or list(filter(None, [part_beside(names)])):
        raise DataError(
            f"Its sites name parts of one data set ({', '.join(parts)}), and a model is not to be measured on what it "
            "was trained on. Write the part that no hospital trained on to a file, or give a TOML file with a table "
            "[dataset] that names this file as data_path and the part as site."
        )
    refuse_unnamed_hospitals(names)


def _as_they_are(
    array: MappedArray, layout: str, rows: Sequence[ArrayPicture]
) -> tuple[NDArray[Any], list[int], list[LeftOut]]:
    """All of an array but pictures whose white is in doubt, (N, H, W, C); their rows; and those that are left out."""
    values = _as_it_is(array, layout)
    read, left_out = list[int](), list[LeftOut]()
    for row in rows:
        try:
            if values.dtype.itemsize > 1:
                white_of(values[row.row], stated=None, declared=0)
            read.append(row.row)
        except PictureRefused as refused:
            left_out.append(LeftOut(row.place, refused.reason))
    try:
        refuse_many_left_out(left_out, len(rows))
    except DataError as error:
        raise DataError(f"{error.public} A TOML file with a table [dataset] says bits of this data_path.") from error
    return values[read] if left_out else values, read, left_out


def _as_it_is(array: MappedArray, layout: str) -> NDArray[Any]:
    values = np.array(array.opened())
    if layout == "NHW":
        return values[..., None]
    return np.moveaxis(values, 1, -1) if layout == "NCHW" else values


def takes_test_part(path: Path) -> bool:
    """Whether of a source in parts `load_hold_out` takes the test part alone: `medmnist:NAME`, and files like it."""
    if is_named(str(path)):
        return True
    is_file = path.suffix.lower() == ".npz" and path.is_file()
    return is_file and "images" not in NpzFile(path).keys
