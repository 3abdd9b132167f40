"""The lie of a file's pixels: rows, columns, samples, bits, frames. It is checked before a pixel is read."""

from __future__ import annotations

from dataclasses import dataclass

from datasites.picture_files.dicom.elements import text, whole
from datasites.picture_files.dicom.header import Header
from datasites.picture_files.dicom.reasons import BITS, CUT_OFF, NO_PIXELS, PHOTOMETRIC
from datasites.picture_files.file_pixels import MAX_PIXELS
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import NO_SUCH_FRAME, TOO_LARGE

MOST_FRAMES = 1 << 20
GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
WHOLE = (1, 8, 16, 32, 64)
OF_EIGHT_BITS = ("YBR_FULL", "YBR_FULL_422")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


@dataclass(frozen=True)
class DescribedPixels:
    """How the pixels of a file lie.

    Attributes:
        rows: Height of a frame.
        columns: Width of a frame.
        samples: 1 or 3.
        photometric: What a sample means, as the file says.
        allocated: Bits that a sample takes; of floating-point values too.
        stored: Bits of it that hold a value.
        signed: Whether values may be negative.
        planar: 1 where each colour has a plane of its own.
        frames: How many frames the file says it has.
    """

    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    signed: bool
    planar: int
    frames: int

    @property
    def channels(self) -> int:
        """1 of grey pictures, 3 of coloured ones, which those with a palette are."""
        return 1 if self.photometric in GREY else 3


def described(header: Header) -> DescribedPixels:
    """Reads and checks what the header says of the pixels.

    Raises:
        PictureRefused: It has none, says too little, contradicts itself, or is too large.
    """
    dataset = header.dataset
    if header.place is None:
        raise PictureRefused(CUT_OFF if header.cut_off else NO_PIXELS)
    samples = whole(dataset, "SamplesPerPixel", low=1, high=4)
    allocated = whole(dataset, "BitsAllocated", low=1, high=64)
    if allocated not in WHOLE:
        raise PictureRefused(BITS)
    floating = header.place.keyword != "PixelData"
    stored = allocated if floating else whole(dataset, "BitsStored", low=1, high=allocated)
    if not floating and whole(dataset, "HighBit", low=0, high=63, absent=stored - 1) != stored - 1:
        raise PictureRefused(BITS)
    found = DescribedPixels(
        rows=whole(dataset, "Rows", low=1, high=0xFFFF),
        columns=whole(dataset, "Columns", low=1, high=0xFFFF),
        samples=samples,
        photometric=text(dataset, "PhotometricInterpretation"),
        allocated=allocated,
        stored=stored,
        signed=not floating and whole(dataset, "PixelRepresentation", low=0, high=1) == 1,
        planar=whole(dataset, "PlanarConfiguration", low=0, high=1) if samples == 3 else 0,
        frames=whole(dataset, "NumberOfFrames", low=1, high=MOST_FRAMES, absent=1),
    )
    if found.rows * found.columns > MAX_PIXELS:
        raise PictureRefused(TOO_LARGE)
    _check_meaning(found, floating)
    return found


def _check_meaning(found: DescribedPixels, floating: bool) -> None:
    """A photometric interpretation that is shown here and fits the samples and their bits."""
    single = found.photometric in GREY or (found.photometric == PALETTE and not floating)
    three = found.photometric in COLOUR and not found.signed and not floating
    three = three and (found.allocated == 8 or found.photometric not in OF_EIGHT_BITS)
    if (found.samples == 1 and single) or (found.samples == 3 and three):
        return
    raise PictureRefused(PHOTOMETRIC)


def check_frame(found: DescribedPixels, frame: int) -> None:
    """Refuses a frame that the file does not say it has."""
    if not 0 <= frame < found.frames:
        raise PictureRefused(NO_SUCH_FRAME)
