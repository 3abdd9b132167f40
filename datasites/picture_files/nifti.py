"""Slices of NIfTI volumes, turned to how a radiologist looks at them. What is read stays inside.

A volume is brought to the closest of the patient's axes: from left to right, from back to front, from feet to head. A
slice across one of them has the patient's front (of axial slices) or head above; the patient's right is at the left of
axial and coronal slices, the patient's front at the left of sagittal ones.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.file_bytes import PictureFile, seen
from datasites.picture_files.file_pixels import MAX_PIXELS, FilePixels, PictureInfo
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import (
    DAMAGED,
    NO_ORIENTATION,
    NO_SUCH_FRAME,
    NO_WINDOW,
    SEVERAL_VOLUMES,
    TOO_LARGE,
    VOXEL_KIND,
)
from policies.plans.picture_form import PictureForm

MAX_VOXELS = 2**29
MOST_PACKED = 1100  # bytes that one byte of a packed file can become
PERCENTILES = (0.5, 99.5)
_AT_ONCE = 1 << 20  # bytes


@dataclass(frozen=True, eq=False, repr=False)
class _Volume:
    """A volume in the patient's axes.

    Attributes:
        stored: Numbers as the file has them, (left to right, back to front, feet to head).
        slope: What they are multiplied with.
        intercept: What is then added.
        shown: The values that the file wants black and white; equal where it does not say.
    """

    stored: NDArray[Any]
    slope: float
    intercept: float
    shown: tuple[float, float]


def info(path: PictureFile, axis: int) -> PictureInfo:
    """What the header says of the slices across one of the patient's axes.

    Raises:
        PictureRefused: The volume cannot be taken.
    """
    with _opened(path) as image:
        turned = _turned(image)
        sides = [image.shape[int(axis)] for axis in np.argsort(turned[:, 0])]
        steps = [float(image.header.get_zooms()[int(axis)]) for axis in np.argsort(turned[:, 0])]
        if not all(0 < step < np.inf for step in steps):
            raise PictureRefused(NO_ORIENTATION, private=f"{path}: voxels of {steps}")
        kind = image.header.get_data_dtype()
    across, down = [one for one in range(3) if one != axis]
    size = (int(sides[down]), int(sides[across]))
    return PictureInfo("nifti", size, 1, 8 * kind.itemsize, True, int(sides[axis]), steps[down] / steps[across])


def pixels(path: PictureFile, form: PictureForm, frame: int, axis: int) -> FilePixels:
    """One slice, from black to white by the form's window, which is one for all slices of the volume.

    Raises:
        PictureRefused: The volume or the slice cannot be taken.
    """
    about = info(path, axis)
    if not 0 <= frame < about.frames:
        raise PictureRefused(NO_SUCH_FRAME, private=f"{path}: {frame} of {about.frames}")
    volume = _volume(path, seen(path))
    low, high = _window(volume, form.window)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise PictureRefused(NO_WINDOW, private=f"{path}: from {low} to {high}")
    chosen = np.take(volume.stored, frame, axis=axis)[::-1, ::-1].T
    values = chosen.astype(np.float64) * volume.slope + volume.intercept
    shares = np.clip((np.nan_to_num(values, nan=low) - low) / ((high - low) or 1.0), 0, 1)
    return FilePixels(shares.astype(np.float32)[:, :, None], 1.0, about.aspect)


@contextmanager
def _opened(path: PictureFile) -> Iterator[Any]:
    """The image, whose voxels are read while this is open.

    Raises:
        PictureRefused: It cannot be read, or is not one volume of plain numbers.
    """
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            stream: Any = gzip.GzipFile(fileobj=plain) if packed else plain
            second = stream.read(4) in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
            stream.seek(0)
            image = (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_stream(stream)
            _check(image, path)
            _check_length(image, path, seen(path)[1] * (MOST_PACKED if packed else 1))
            yield image
    except (PictureRefused, MemoryError):
        raise
    except Exception as error:  # whatever the reader makes of a file that it does not expect
        raise PictureRefused(DAMAGED, private=f"{path}: {type(error).__name__}: {error}") from error


def _check(image: Any, path: PictureFile) -> None:
    shape = image.shape
    if len(shape) < 3 or any(side != 1 for side in shape[3:]):
        raise PictureRefused(SEVERAL_VOLUMES, private=f"{path}: {shape}")
    if min(shape) < 1 or np.prod(shape, dtype=float) > MAX_VOXELS or sorted(shape[:3])[1] * max(shape) > MAX_PIXELS:
        raise PictureRefused(TOO_LARGE, private=f"{path}: {shape}")
    if image.header.get_data_dtype().kind not in "iuf":
        raise PictureRefused(VOXEL_KIND, private=f"{path}: {image.header.get_data_dtype()}")


def _check_length(image: Any, path: PictureFile, most: int) -> None:
    """Refuses a volume that the file is too short for, before memory is made for what its header says."""
    voxels = int(np.prod(image.shape, dtype=float)) * int(image.header.get_data_dtype().itemsize)
    if float(image.dataobj.offset) + voxels > most:
        raise PictureRefused(DAMAGED, private=f"{path}: {voxels} bytes of voxels, at most {most} there")


def _turned(image: Any) -> NDArray[np.float64]:
    """Each of the file's axes' closest axis of the patient, and its direction.

    Raises:
        PictureRefused: The header gives none, or two that contradict each other.
    """
    header = image.header
    coded = [affine for affine, code in (header.get_sform(coded=True), header.get_qform(coded=True)) if code]
    found = [nibabel.io_orientation(affine) for affine in coded]
    if not found or np.isnan(found).any() or any(not np.array_equal(found[0], other) for other in found):
        raise PictureRefused(NO_ORIENTATION)
    turned: NDArray[np.float64] = found[0]
    return turned


@lru_cache(maxsize=1)  # slices come one after the other, and unpacking a volume for each takes its square
def _volume(path: PictureFile, state: tuple[int, int]) -> _Volume:
    with _opened(path) as image:
        stored = np.array(image.dataobj.get_unscaled()).reshape(image.shape[:3])  # no longer mapped to the file
        _read_to_the_end(image.dataobj.file_like)
        shown = float(image.header["cal_min"]), float(image.header["cal_max"])
        slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
        return _Volume(nibabel.apply_orientation(stored, _turned(image)), slope, intercept, shown)


def _read_to_the_end(stream: Any) -> None:
    """Reads what is left of a packed file: its checksum stands behind it, and is compared there alone."""
    while isinstance(stream, gzip.GzipFile) and stream.read(_AT_ONCE):
        pass


@lru_cache(maxsize=1)
def _window(volume: _Volume, window: str) -> tuple[float, float]:
    """The values that become black and white.

    Raises:
        PictureRefused: The file has no such window.
    """
    kind = volume.stored.dtype
    if window == "percentile":
        known = volume.stored if kind.kind in "iu" else volume.stored[np.isfinite(volume.stored)]
        if not known.size:
            raise PictureRefused(NO_WINDOW, private="No voxel is a number.")
        ends = np.percentile(known, PERCENTILES)
    elif window == "full" and kind.kind in "iu":
        ends = np.asarray([np.iinfo(kind).min, np.iinfo(kind).max], dtype=np.float64)
    elif window == "file" and volume.shown[1] > volume.shown[0]:
        return volume.shown
    else:
        raise PictureRefused(NO_WINDOW)
    low, high = sorted(float(end) * volume.slope + volume.intercept for end in ends)
    return low, high
