"""The decoder of each transfer syntax: the syntax alone decides, so every hospital gets the same numbers."""

from __future__ import annotations

from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from datasites.picture_files.dicom.jpeg import plugin as jpeg

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
JPEG_2000 = (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
JPEG_OF_COSINES = (JPEGBaseline8Bit, JPEGExtended12Bit)
# Colours come pixel by pixel from their decoders, of which pydicom asks the header.
PIXEL_BY_PIXEL = (*JPEG_2000, *JPEG_OF_COSINES)
# What they decode to may reach beyond the values that were coded.
LOSSY = (*JPEG_OF_COSINES, JPEG2000, HTJ2K, JPEGLSNearLossless)
# Plugins of pydicom, one for each syntax: those of JPEG without loss and of 12 bits are this library's own.
PLUGINS = {
    JPEGBaseline8Bit: "pillow",
    RLELossless: "pylibjpeg",
    **dict.fromkeys(JPEG_2000, "pylibjpeg"),
    **dict.fromkeys(jpeg.SYNTAXES, jpeg.NAME),
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
}

for _syntax in jpeg.SYNTAXES:
    get_decoder(_syntax).add_plugin(jpeg.NAME, (jpeg.__name__, "decode_frame"))


def decoder_plugin(syntax: UID, stored: int) -> str | None:
    """The plugin for compressed pixels of `stored` bits; None where there is none."""
    if syntax not in PLUGINS:
        return None
    name = PLUGINS[syntax]
    if syntax == JPEGExtended12Bit and stored == 8:  # which is JPEG baseline by another name
        name = "pillow"
    return name if name in get_decoder(syntax).available_plugins else None


def is_decoded(syntax: UID, stored: int) -> bool:
    """Whether pixels of a transfer syntax, of `stored` bits, have a decoder here."""
    return syntax in NATIVE or decoder_plugin(syntax, stored) is not None
