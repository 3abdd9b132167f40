"""Which decoder reads which transfer syntax: one for each, so that every hospital gets the same numbers from a file."""

from __future__ import annotations

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
# The plugin of pydicom for each; `pylibjpeg` needs pylibjpeg-libjpeg (GPL-3) for the last five, which is not installed
# with this library.
PLUGINS = {
    JPEGBaseline8Bit: "pillow",
    RLELossless: "pylibjpeg",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
    JPEGExtended12Bit: "pylibjpeg",
    JPEGLossless: "pylibjpeg",
    JPEGLosslessSV1: "pylibjpeg",
    JPEGLSLossless: "pylibjpeg",
    JPEGLSNearLossless: "pylibjpeg",
}
JPEG_2000 = (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)


def plugin(syntax: UID, stored: int) -> str | None:
    """The name of the plugin for pixels of `stored` bits; None where there is none. Native syntaxes need none: empty."""
    if syntax in NATIVE:
        return ""
    if syntax == JPEGExtended12Bit and stored == 8:
        return "pillow"
    return PLUGINS.get(syntax)
