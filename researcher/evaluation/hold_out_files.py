"""A public hold-out's files, listed by the rules and read by the decoder of hospitals' pictures. Never private ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.picture_refused import PictureRefused, Reason
from datasites.sources.arrays.array_picture import ArrayPicture
from datasites.sources.arrays.members import MappedArray, NpzFile
from datasites.sources.arrays.npz_pictures import layout_of
from datasites.sources.class_names import in_label_order
from datasites.sources.contents import content_of
from datasites.sources.dataset_settings import IDENTITIES, DatasetSettings
from datasites.sources.folders.walk import Found, Walk
from datasites.sources.listing import ListedPicture, Listing
from datasites.sources.read_listing import list_pictures
from policies.errors import ConfigError, DataError
from policies.plans.picture_form import PictureForm
from policies.plans.reports_file import REPORTS_FILE


def list_hold_out(root: Path, class_names: Sequence[str], form: PictureForm | None) -> list[Listing]:
    """The pictures of FOLDER/<class>/<picture>, or of each FOLDER/<hospital>/<class>/<picture>, with their labels.

    Args:
        root: The folder.
        class_names: In label order; those of all class folders where there are none.
        form: By which they will be read; None takes their own size and channels.

    Raises:
        DataError: A folder of another kind, or a file that a hospital would have to leave out, with its name.
    """
    try:
        found = list(_pictures(root))
        if not found:
            raise DataError("It must hold <class>/<picture> or <hospital>/<class>/<picture>, it holds no picture.")
        several = all(len(one.folders) == 2 for one in found)
        names = class_names or in_label_order({one.folders[-1] for one in found if one.folders})
        hospitals = sorted({one.folders[0] for one in found}) if several else [""]
        return [_listing(root / hospital, names, form) for hospital in hospitals]
    except (DataError, ConfigError) as error:  # whose private texts are of the researcher's own files
        raise DataError(f"{root}: {error.public} {error.private.partition(chr(10))[0]}".strip()) from error


def form_of(listings: Sequence[Listing]) -> PictureForm:
    """The form of pictures that are taken as they are.

    Raises:
        DataError: They have not one size.
    """
    sizes = {listing.own_size for listing in listings}
    size = sizes.pop()
    if size is None or sizes:
        raise DataError("All pictures of a hold-out must have one size, these have several.")
    return PictureForm(size, max(listing.own_channels or 1 for listing in listings))


def read_pictures(listed: Sequence[ListedPicture], form: PictureForm) -> NDArray[Any]:
    """uint8, or uint16 where the form keeps 16 bits, (N, H, W, C).

    Raises:
        DataError: A picture cannot be taken, with its name and the reason.
    """
    kind = np.uint16 if form.store_bits == 16 else np.uint8
    images: NDArray[Any] = np.empty((len(listed), *form.size, form.channels), dtype=kind)
    for row, one in enumerate(listed):
        try:
            images[row] = one.picture.pixels(form)
        except PictureRefused as refused:
            raise _named(one.picture.place, refused.reason) from refused
    return images


@dataclass(frozen=True, eq=False)
class HeldArrays:
    """What an .npz holds: pictures, (N, H, W, C), labels, (N,) or (N, K), names and reports where it has them."""

    images: NDArray[Any]
    labels: NDArray[Any]
    class_names: NDArray[Any] | None
    reports: NDArray[Any] | None


def read_arrays(file: Path, form: PictureForm | None, image_shape: tuple[int, int, int] | None = None) -> HeldArrays:
    """The pictures of an .npz file of a hold-out, by the rules that hospitals' arrays are read by.

    Of a file in parts, as MedMNIST writes them, its test part is the hold-out.

    Args:
        file: It.
        form: By which the hospitals' pictures were read; None takes these as they are.
        image_shape: (height, width, channels) of the hospitals' pictures: an array of it has its axes in this order.

    Raises:
        DataError: It holds no pictures and labels, or it is not certain which axis is which.
    """
    try:
        archive = NpzFile(file)
        prefix = "" if "images" in archive.keys else "test_"
        labels = archive.array(f"{prefix}labels")
        if labels is None or f"{prefix}images" not in archive.keys:
            raise DataError("It must hold images and labels, or test_images and test_labels.")
        array = archive.mapped(f"{prefix}images")
        is_certain = array.shape[1:] == image_shape and array.dtype.endswith(("u1", "u2"))
        layout = "NHWC" if is_certain else layout_of(f"{prefix}images", array)
        rows = [ArrayPicture(array, f"{prefix}images", row, layout) for row in range(array.shape[0])]
        images = (
            _as_it_is(array, layout) if form is None else read_pictures([ListedPicture(row, ()) for row in rows], form)
        )
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        return HeldArrays(images, labels, archive.array("class_names"), archive.array("reports"))
    except DataError as error:
        raise DataError(f"{file}: {error.public}") from error


def _as_it_is(array: MappedArray, layout: str) -> NDArray[Any]:
    values = np.array(array.opened())
    if layout == "NHW":
        return values[..., None]
    return np.moveaxis(values, 1, -1) if layout == "NCHW" else values


def _pictures(root: Path) -> Iterator[Found]:
    for found in Walk(root).files():
        if not isinstance(content_of(root / found.inside), Reason):
            yield found


def _listing(folder: Path, names: Sequence[str], form: PictureForm | None) -> Listing:
    settings = DatasetSettings(
        data_path=str(folder),
        class_names=tuple(names),
        folder_levels=("class",),
        size=(0, 0) if form is None else form.size,
        channels=0 if form is None else form.channels,
        safe_kinds=IDENTITIES,  # a public hold-out names nobody who is not public
        text_length=int((folder / REPORTS_FILE).is_file()),
    )
    listing = list_pictures(settings)
    for one in listing.left_out:
        if one.lost:
            raise _named(one.place, one.reason)
    return listing


def _named(place: str, reason: Reason) -> DataError:
    return DataError(f"{place} cannot be taken: {reason.means} {reason.advice}")
