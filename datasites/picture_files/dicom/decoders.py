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
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
JPEG_2000 = (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
# Plugins of pydicom. Where two are named they give the same numbers, and neither is installed with this library: `gdcm`
# is python-gdcm (Apache-2.0), `pylibjpeg` here is pylibjpeg-libjpeg (GPL-3).
INSTALLED = {JPEGBaseline8Bit: "pillow", RLELossless: "pylibjpeg", **dict.fromkeys(JPEG_2000, "pylibjpeg")}
OPTIONAL = {
    JPEGLossless: ("gdcm", "pylibjpeg"),
    JPEGLosslessSV1: ("gdcm", "pylibjpeg"),
    JPEGLSLossless: ("gdcm", "pylibjpeg"),
    JPEGLSNearLossless: ("gdcm", "pylibjpeg"),
    JPEGExtended12Bit: ("pylibjpeg",),
}


def decoder_plugin(syntax: UID, stored: int) -> str | None:
    """The plugin for compressed pixels of `stored` bits; None where this installation has none."""
    wanted = (INSTALLED[syntax],) if syntax in INSTALLED else OPTIONAL.get(syntax, ())
    if syntax == JPEGExtended12Bit and stored == 8:  # which is JPEG baseline by another name
        wanted = ("pillow",)
    there = get_decoder(syntax).available_plugins if wanted else ()
    return next((name for name in wanted if name in there), None)
