"""The stored values of one frame: decoded alone, of the size that the header says, without bits that hold no value."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import ExplicitVRBigEndian, JPEGLSTransferSyntaxes, RLELossless

from datasites.picture_files.dicom.codestream import coded_bits, coded_size, has_end, without_adobe
from datasites.picture_files.dicom.decoders import JPEG_OF_COSINES, LOSSY, NATIVE, PIXEL_BY_PIXEL, decoder_plugin
from datasites.picture_files.dicom.described import COLOUR, DescribedPixels
from datasites.picture_files.dicom.elements import value
from datasites.picture_files.dicom.header import UNDEFINED_LENGTH, Header, PixelPlace
from datasites.picture_files.dicom.reasons import BITS, NO_PIXELS, PHOTOMETRIC, SYNTAX, UNDECODABLE, WRONG_LENGTH
from datasites.picture_files.picture_refused import PictureRefused

MOST_CODED = 4  # times as large as decoded: what no coder writes
SMALL_CODED = 1 << 20  # bytes, for the headers of a small picture


@dataclass(frozen=True, repr=False)
class StoredValues:
    """One frame's values, (rows, columns) or (rows, columns, 3), and what the decoder says they mean."""

    values: NDArray[Any]
    photometric: str


def stored_values(header: Header, of: DescribedPixels, frame: int) -> StoredValues:
    """Decodes one frame and no other.

    Raises:
        PictureRefused: No decoder, too few or too many bytes, a codestream of another size, or it cannot be decoded.
        OSError: The file cannot be read.
    """
    place = header.place
    if place is None:
        raise PictureRefused(NO_PIXELS)
    if header.syntax == ExplicitVRBigEndian and of.allocated > 16:
        raise PictureRefused(BITS)
    name = "" if header.syntax in NATIVE else decoder_plugin(header.syntax, of.stored)
    if name is None:
        raise PictureRefused(SYNTAX, private=f"the transfer syntax is {header.syntax.name}")
    with header.open() as source, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source.seek(place.start)
        try:
            return _decoded(header, place, of, source, frame, name)
        except (MemoryError, PictureRefused, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # decoders fail in ways of their own; one in Rust by what is no Exception
            if isinstance(error, OSError) and error.errno is not None:
                raise
            text = f"the transfer syntax is {header.syntax.name}, the error {type(error).__name__}"
            raise PictureRefused(UNDECODABLE, private=text) from error


def _decoded(
    header: Header, place: PixelPlace, of: DescribedPixels, source: BinaryIO, frame: int, name: str
) -> StoredValues:
    options: dict[str, int | str] = {
        "rows": of.rows,
        "columns": of.columns,
        "samples_per_pixel": of.samples,
        "photometric_interpretation": of.photometric,
        "planar_configuration": 0 if header.syntax in PIXEL_BY_PIXEL else of.planar,
        "correct_unused_bits": header.syntax not in LOSSY,  # which would make white a little above it black
        "bits_allocated": of.allocated,
        "bits_stored": of.stored,
        "pixel_representation": int(of.signed),
        "pixel_keyword": place.keyword,
        "pixel_vr": place.vr,
        "number_of_frames": of.frames,
    }
    if header.syntax in NATIVE:
        _check_length(header, place, of)
        if of.allocated == 1 and header.syntax != ExplicitVRBigEndian:
            return StoredValues(_single_bits(place, of, source, frame), of.photometric)
        src: BinaryIO | bytes = source
    else:
        src = encapsulate([_coded_frame(header, of, source, frame)])
        options["number_of_frames"], frame = 1, 0
    decoder: Any = get_decoder(header.syntax)  # which is typed as if each option held all of them
    values, made = decoder.as_array(src, index=frame, decoding_plugin=name, **options)
    photometric = str(made["photometric_interpretation"])
    if of.photometric in COLOUR and photometric != "RGB":
        raise PictureRefused(PHOTOMETRIC)
    if header.syntax in LOSSY:
        low = -(1 << of.stored - 1) if of.signed else 0
        values = np.clip(values, low, low + (1 << of.stored) - 1)
    elif header.syntax not in NATIVE:
        _drop_unused_bits(values, of)
    return StoredValues(values, photometric)


def _single_bits(place: PixelPlace, of: DescribedPixels, source: BinaryIO, frame: int) -> NDArray[np.uint8]:
    """A frame of single bits, (rows, columns), which may begin within a byte; pydicom reads whole bytes."""
    bits = of.rows * of.columns
    byte, first = divmod(frame * bits, 8)
    source.seek(place.start + byte)
    read = np.frombuffer(source.read((first + bits + 7) // 8), np.uint8)
    return np.unpackbits(read, bitorder="little")[first : first + bits].reshape(of.rows, of.columns)


def _check_length(header: Header, place: PixelPlace, of: DescribedPixels) -> None:
    """Uncompressed pixels: at least what the header says, and less than half a frame more."""
    bits = of.rows * of.columns * of.samples * of.allocated
    if of.photometric == "YBR_FULL_422":  # two pixels share their colour
        bits = bits * 2 // 3
    needed = (bits * of.frames + 7) // 8
    there = min(place.length, header.source_size - place.start)
    if place.length == UNDEFINED_LENGTH or there < needed or (there - needed) * 16 >= max(bits, 32):
        raise PictureRefused(WRONG_LENGTH)


def _coded_frame(header: Header, of: DescribedPixels, source: BinaryIO, frame: int) -> bytes:
    """The bytes of one compressed frame, whose own size is that of the header."""
    offsets, lengths = (value(header.dataset, f"ExtendedOffsetTable{more}") for more in ("", "Lengths"))
    extended = (offsets, lengths) if offsets and lengths else None
    coded = get_frame(source, frame, extended_offsets=extended, number_of_frames=of.frames)
    size = of.rows * of.columns * of.samples * ((of.allocated + 7) // 8)
    said = (of.rows, of.columns, of.samples) if header.syntax == RLELossless else coded_size(coded)
    if said is None:
        raise PictureRefused(UNDECODABLE, private="the frame does not say its size")
    if len(coded) > MOST_CODED * size + SMALL_CODED or said != (of.rows, of.columns, of.samples):
        raise PictureRefused(WRONG_LENGTH)
    if header.syntax in JPEG_OF_COSINES and of.stored > (coded_bits(coded) or of.stored):
        raise PictureRefused(BITS, private="the frame has fewer bits than the header says")
    if header.syntax in JPEGLSTransferSyntaxes and not has_end(coded):
        raise PictureRefused(UNDECODABLE, private="the frame lacks its end")
    return without_adobe(coded) if of.photometric.startswith("YBR") else coded


def _drop_unused_bits(values: NDArray[Any], of: DescribedPixels) -> None:
    """Bits above those stored, which pydicom leaves where a codestream holds more than the header says."""
    unused = 8 * values.dtype.itemsize - of.stored
    if unused and values.dtype.kind in "iu":
        np.left_shift(values, unused, out=values)
        np.right_shift(values, unused, out=values)
