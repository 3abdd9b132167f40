"""The way in which pydicom calls these decoders: one frame's codestream in, its samples out as bytes."""

from __future__ import annotations

from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

from datasites.picture_files.dicom.jpeg.extended import decode_extended
from datasites.picture_files.dicom.jpeg.lossless import decode_lossless

NAME = "wanwu"
SYNTAXES = (JPEGLossless, JPEGLosslessSV1, JPEGExtended12Bit)


def is_available(uid: str) -> bool:
    """Whether a syntax is decoded; pydicom asks."""
    return uid in SYNTAXES


def decode_frame(stream: bytes, runner: DecodeRunner) -> bytes:
    """The samples of a frame, colour by pixel, in as many bytes as `runner` is told."""
    is_extended = runner.transfer_syntax == JPEGExtended12Bit
    samples, bits = decode_extended(stream) if is_extended else decode_lossless(stream)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    runner.set_option("bits_allocated", 8 if bits <= 8 else 16)
    return samples.astype("u1" if bits <= 8 else "<u2").tobytes()
