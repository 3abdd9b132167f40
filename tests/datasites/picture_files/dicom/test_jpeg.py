"""JPEG without loss and of 12 bits come in to the last bit, from every predictor, restart and order of colours."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import UID, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless
from support import jpeg_writing
from support.dicom_files import FORM, made, written

from datasites.picture_files.dicom import reasons
from datasites.picture_files.dicom.jpeg.coded import NotThisJpeg
from datasites.picture_files.dicom.jpeg.extended import decode_extended
from datasites.picture_files.dicom.jpeg.lossless import decode_lossless
from datasites.picture_files.dicom.pixels import pixels
from datasites.picture_files.picture_refused import PictureRefused

DCMTK = shutil.which("dcmcjpeg")


def random_samples(bits: int, components: int = 1, size: tuple[int, int] = (7, 9)) -> NDArray[np.int64]:
    """Noise with both ends of the range beside each other, so that differences of all sizes come."""
    samples = np.random.default_rng(bits).integers(0, 1 << bits, (*size, components))
    samples[0, :4] = 0
    samples[1, :4:2], samples[2, 1:4:2] = (1 << bits) - 1, (1 << bits) - 1
    return samples


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", [2, 8, 12, 16])
def test_every_predictor_gives_back_what_was_put_in(bits: int, predictor: int) -> None:
    samples = random_samples(bits)
    for rows_between in (0, 2):
        found, said = decode_lossless(
            jpeg_writing.lossless(samples, bits, predictor=predictor, rows_between=rows_between)
        )
        assert (found.tolist(), said) == (samples.tolist(), bits)


def test_a_difference_of_half_the_range_is_read() -> None:
    samples = np.array([[[0], [32768], [0], [32768]]])
    assert decode_lossless(jpeg_writing.lossless(samples, 16))[0].tolist() == samples.tolist()


@pytest.mark.parametrize("apart", [False, True])
def test_colours_with_tables_of_their_own_are_read_together_or_apart(apart: bool) -> None:
    samples = random_samples(8, components=3)
    assert decode_lossless(jpeg_writing.lossless(samples, 8, apart=apart))[0].tolist() == samples.tolist()


def test_bits_that_were_dropped_are_put_back_as_zeros() -> None:
    samples = random_samples(12) & ~3
    assert decode_lossless(jpeg_writing.lossless(samples, 12, shift=2))[0].tolist() == samples.tolist()


def test_codes_that_lie_across_what_is_looked_up_at_once_are_read() -> None:
    samples = random_samples(16, components=3, size=(60, 700))  # of 330,000 bytes
    assert (decode_lossless(jpeg_writing.lossless(samples, 16, predictor=4))[0] == samples).all()


def test_twelve_bits_are_what_their_blocks_say() -> None:
    # The first coefficient is eight times a block's mean: 8 * 8 / 8 = 8 above 2048, then 8 * (8 - 264) / 8 from it.
    found, bits = decode_extended(jpeg_writing.blocks([8, -264], [{}, {}], (8, 16)))
    assert (bits, found[:, :8].min(), found[:, :8].max()) == (12, 2056, 2056)
    assert (found[:, 8:].min(), found[:, 8:].max()) == (1792, 1792)
    # One wave along the rows: place 1 of the diagonals. 64 * 8 / 4 * sqrt(1/2) * cos((2x + 1) pi / 16).
    wave = np.rint(2048 + 64 * 8 / 4 / np.sqrt(2) * np.cos((2 * np.arange(8) + 1) * np.pi / 16))
    assert decode_extended(jpeg_writing.blocks([0], [{1: 64}], (5, 8)))[0][..., 0].tolist() == [wave.tolist()] * 5
    assert decode_extended(jpeg_writing.blocks([0], [{2: 64}], (8, 5)))[0][:, 0, 0].tolist() == wave.tolist()
    # The last of all: behind 62 zeros, which three codes of sixteen stand for, and the range's end is kept to.
    corner = decode_extended(jpeg_writing.blocks([0], [{63: 2000}], (8, 8)))[0]
    assert (corner.min(), corner.max()) == (0, 4095)


def dicom(stream: bytes, syntax: UID, path: Path, values: Any, bits: int, **elements: Any) -> Path:
    dataset = made(values, bits=bits, PixelData=encapsulate([stream]), **elements)
    dataset["PixelData"].is_undefined_length = True
    return written(dataset, path, syntax)


def test_a_dicom_file_without_loss_is_seen_as_the_uncompressed_one(tmp_path: Path) -> None:
    values = (random_samples(12)[..., 0] - 2048) * (np.arange(9) > 0)
    shown = {"WindowCenter": 0, "WindowWidth": 3000}
    plain = pixels(written(made(values, bits=12, **shown), tmp_path / "plain.dcm"), FORM).levels
    stream = jpeg_writing.lossless((values & 0xFFF)[..., None], 12)
    for syntax in (JPEGLossless, JPEGLosslessSV1):
        seen = pixels(dicom(stream, syntax, tmp_path / "coded.dcm", values, 12, **shown), FORM).levels
        assert seen.tolist() == plain.tolist()


def test_ybr_without_loss_becomes_rgb_once(tmp_path: Path) -> None:
    values = np.array([[[128, 128, 128], [76, 85, 255]]], dtype=np.int64)  # grey, and pure red by BT.601
    path = dicom(
        jpeg_writing.lossless(values, 8),
        JPEGLosslessSV1,
        tmp_path / "coded.dcm",
        values,
        8,
        PhotometricInterpretation="YBR_FULL",
    )
    assert pixels(path, FORM).levels.tolist() == [[[128, 128, 128], [254, 0, 0]]]


@pytest.mark.parametrize("kind", ["lossless", "extended"])
def test_no_damage_of_a_codestream_does_more_than_refuse_it(kind: str) -> None:
    rng = np.random.default_rng(0)
    decode = decode_lossless if kind == "lossless" else decode_extended
    whole = (
        jpeg_writing.lossless(random_samples(8, 3), 8, predictor=6, rows_between=2)
        if kind == "lossless"
        else jpeg_writing.blocks([8, -264], [{1: 64, 40: -3}, {63: 9}], (8, 16))
    )
    shape = decode(whole)[0].shape
    for _ in range(300):
        stream = bytearray(whole)
        for at in rng.integers(0, len(stream), 3):
            stream[at] = rng.integers(256)
        del stream[int(rng.integers(20, len(stream))) :][: int(rng.integers(0, 40))]
        start = stream.find(b"\xff\xc3" if kind == "lossless" else b"\xff\xc1")
        if bytes(stream[start + 5 : start + 9]) != whole[start + 5 : start + 9]:
            continue  # whose size is another than the file's header says, and is not decoded
        with suppress(ValueError):
            assert decode(bytes(stream))[0].shape[:2] == shape[:2]


def test_a_codestream_that_is_cut_short_is_refused() -> None:
    for stream in (jpeg_writing.lossless(random_samples(8), 8), jpeg_writing.blocks([8, 9], [{}, {}], (8, 16))):
        for end in (30, len(stream) - 4):
            for tail in (b"", b"\xff\xd9"):
                with pytest.raises(NotThisJpeg):
                    (decode_lossless if b"\xff\xc3" in stream else decode_extended)(stream[:end] + tail)


def test_twelve_bits_in_colour_are_refused_by_name(tmp_path: Path) -> None:
    stream = jpeg_writing.lossless(random_samples(12, 3), 12)
    with pytest.raises(PictureRefused) as refused:
        pixels(dicom(stream, JPEGExtended12Bit, tmp_path / "coded.dcm", random_samples(12, 3), 12), FORM)
    assert refused.value.reason == reasons.UNDECODABLE


def test_a_jpeg_ls_frame_is_read_and_one_that_was_cut_refused(tmp_path: Path) -> None:
    jpeg_ls = pytest.importorskip("jpeg_ls")
    values = random_samples(8, size=(64, 64))[..., 0]
    whole = bytes(jpeg_ls.encode_array(values.astype(np.uint8)))
    path = tmp_path / "coded.dcm"
    assert pixels(dicom(whole, JPEGLSLossless, path, values, 8), FORM).levels.tolist() == values.tolist()
    for cut in range(100, len(whole), len(whole) // 12):
        with pytest.raises(PictureRefused) as refused:
            pixels(dicom(whole[:cut], JPEGLSLossless, path, values, 8), FORM)
        assert refused.value.reason == reasons.UNDECODABLE


@pytest.mark.skipif(DCMTK is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("how", ["+e1", "+el +sv 7", "+ee"])
def test_what_dcmtk_codes_is_what_dcmtk_decodes(how: str, tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(40) * 50, np.arange(33) * 20)
    values = ramp + np.random.default_rng(1).integers(0, 60, ramp.shape)
    plain = written(made(values, bits=12), tmp_path / "plain.dcm")
    coded, back = tmp_path / "coded.dcm", tmp_path / "back.dcm"
    subprocess.run(["dcmcjpeg", *how.split(), str(plain), str(coded)], check=True, capture_output=True)
    subprocess.run(["dcmdjpeg", str(coded), str(back)], check=True, capture_output=True)
    theirs = dcmread(back).pixel_array.astype(int)
    frame = dcmread(coded)
    decode = decode_extended if how == "+ee" else decode_lossless
    ours = decode(get_frame(frame.PixelData, 0, number_of_frames=1))[0][..., 0].astype(int)
    assert np.abs(ours - theirs).max() <= (1 if how == "+ee" else 0)
