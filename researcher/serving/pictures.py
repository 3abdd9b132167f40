"""From the bytes of a request to the picture that a model sees: bounded, and by the decoder that hospitals have.

A reason for a refusal names no value of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.decode import decode, probe
from datasites.picture_files.file_bytes import FileBytes
from datasites.picture_files.kind import kind_of
from datasites.picture_files.picture_refused import PictureRefused, Reason
from datasites.picture_files.reasons import BITS_EXCEEDED, BITS_IN_DOUBT, DAMAGED, NO_SUCH_FRAME, UNKNOWN_FORMAT
from policies.plans.picture_form import PictureForm

KINDS = ("png", "jpeg", "tiff", "bmp", "webp", "dicom")
"""By content, whatever a file or its Content-Type is called."""
_SENT = Path("sent")  # files of a request have no name here
NO_PICTURE = Reason(
    "no_picture",
    "Expected PNG, JPEG, TIFF, BMP, WebP or DICOM; by its content the file is none of these.",
    "Save the picture in one of these formats.",
)
VOLUME = Reason(
    "volume",
    "Expected one picture, a volume (NIfTI) came.",
    "Cut out the slice that counts, and send it as PNG of 8 or 16 bits.",
)
SEVERAL = Reason(
    "several_pictures",
    "Expected one picture a file, this file holds several.",
    "Name the one that counts by ?frame=N, from 0, or send it in a file of its own.",
)
MANY_PIXELS = Reason(
    "too_many_pixels",
    "The picture has more pixels than this server takes.",
    "Make it smaller, or start the server with a larger --max_pixels.",
)
_DEEP = "Save it with 8 bits a value, or as PNG of 16 bits that says how many of them count (sBIT)."
_FOR_CLIENTS = {
    UNKNOWN_FORMAT.code: NO_PICTURE,
    DAMAGED.code: Reason(DAMAGED.code, DAMAGED.means, "Send the whole file, or save the picture anew."),
    NO_SUCH_FRAME.code: Reason(NO_SUCH_FRAME.code, NO_SUCH_FRAME.means, "Count the file's pictures from 0."),
    BITS_IN_DOUBT.code: Reason(BITS_IN_DOUBT.code, BITS_IN_DOUBT.means, _DEEP),
    BITS_EXCEEDED.code: Reason(BITS_EXCEEDED.code, BITS_EXCEEDED.means, _DEEP),
}
"""Reasons whose advice is another one than at a hospital that takes pictures in."""


@dataclass(frozen=True, eq=False, repr=False)
class SentPicture:
    """A picture of a request, as the model sees it.

    Attributes:
        values: (height, width, channels) of the model's form, uint8 or uint16.
        kind: One of `KINDS`.
    """

    values: NDArray[np.generic]
    kind: str


def read_picture(content: bytes, form: PictureForm, *, frame: int | None, max_pixels: int) -> SentPicture:
    """Reads one picture.

    Args:
        content: The file's bytes.
        form: The model's.
        frame: Which of the file's pictures, from 0; None for the only one.
        max_pixels: The most that are decoded; the header is asked first.

    Raises:
        PictureRefused: It cannot be read as that, with what was expected and what to do.
    """
    file = FileBytes(_SENT, content)
    try:
        kind = kind_of(file)
        if kind not in KINDS:
            raise PictureRefused(VOLUME)
        info = probe(file)
        if info.size[0] * info.size[1] > max_pixels:
            raise PictureRefused(MANY_PIXELS)
        if info.frames > 1 and frame is None:
            raise PictureRefused(SEVERAL)
        return SentPicture(decode(file, form, frame or 0), kind)
    except PictureRefused as refused:
        raise PictureRefused(_FOR_CLIENTS.get(refused.reason.code, refused.reason)) from None
