"""Coloured DICOM pictures: palettes by their own depth, YBR turned into RGB once, every depth brought to eight bits."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit
from support.dicom_files import FORM, levels, made, written

from datasites.picture_files.dicom.levels.lookup_table import Descriptor
from datasites.picture_files.dicom.levels.palette import expanded
from datasites.picture_files.dicom.pixels import pixels
from datasites.picture_files.dicom.reasons import LOOKUP_TABLE, PHOTOMETRIC
from datasites.picture_files.picture_refused import PictureRefused


def _palette(indices: Any, first: int, depth: int, entries: bytes, *, segmented: str = "", **more: Any) -> Dataset:
    """A picture whose red is the palette `entries`; green and blue are black."""
    count = more.pop("count", len(entries) * 8 // depth)
    picture = made(indices, PhotometricInterpretation="PALETTE COLOR", **more)
    for colour in ("Red", "Green", "Blue"):
        descriptor, data = (
            f"{colour}PaletteColorLookupTableDescriptor",
            f"{segmented}{colour}PaletteColorLookupTableData",
        )
        setattr(picture, descriptor, [count, first, depth])
        setattr(picture, data, entries if colour == "Red" or segmented else bytes(len(entries)))
        picture[descriptor].VR, picture[data].VR = "SS" if first < 0 else "US", "OW"
    return picture


def _reds(picture: Dataset, folder: Path) -> list[int]:
    return [pixel[0] for pixel in levels(picture, folder)[0]]


def test_a_palettes_ends_are_taken_for_all_beyond(tmp_path: Path) -> None:
    assert _reds(_palette([[0, 2, 3, 4, 9]], 2, 8, bytes([10, 20, 30, 40])), tmp_path) == [10, 10, 20, 30, 40]


def test_a_palette_of_sixteen_bits_is_scaled_by_its_depth(tmp_path: Path) -> None:
    entries = np.array([0, 0x8000, 0xFFFF], "<u2").tobytes()
    assert _reds(_palette([[0, 1, 2]], 0, 16, entries), tmp_path) == [0, 128, 255]


def test_eight_bits_may_lie_in_words_of_sixteen(tmp_path: Path) -> None:
    entries = np.array([0, 128, 255], "<u2").tobytes()
    assert _reds(_palette([[0, 1, 2]], 0, 8, entries, count=3), tmp_path) == [0, 128, 255]


def test_a_palette_of_eight_bits_serves_indices_of_sixteen(tmp_path: Path) -> None:
    # pydicom 3.0.2 looks these up by the index's low byte.
    entries = bytes(number // 2 for number in range(512))
    assert _reds(_palette([[0, 100, 300, 511]], 0, 8, entries, bits=16), tmp_path) == [0, 50, 150, 255]


def test_indices_may_be_negative(tmp_path: Path) -> None:
    assert _reds(_palette([[-3, -2, 0, 5]], -2, 8, bytes([1, 2, 3, 4])), tmp_path) == [1, 1, 3, 4]


def test_a_palette_follows_the_files_byte_order(tmp_path: Path) -> None:
    for order, syntax in (("<", ImplicitVRLittleEndian), (">", ExplicitVRBigEndian)):
        picture = _palette([[0, 1]], 0, 16, np.array([0x0100, 0xFFFF], f"{order}u2").tobytes())
        picture["PixelData"].VR = "OB"
        seen = pixels(written(picture, tmp_path / "palette.dcm", syntax), FORM).levels
        assert seen[0, :, 0].tolist() == [1, 255], syntax.name


def test_a_palette_that_is_missing_or_too_short_is_refused(tmp_path: Path) -> None:
    short = _palette([[0]], 0, 8, bytes(4), count=9)
    missing = _palette([[0]], 0, 8, bytes(4))
    del missing.GreenPaletteColorLookupTableData
    for picture in (short, missing, made([[0]], PhotometricInterpretation="PALETTE COLOR")):
        with pytest.raises(PictureRefused) as refused:
            levels(picture, tmp_path)
        assert refused.value.reason == LOOKUP_TABLE


def test_a_palette_of_sixteen_bits_that_holds_eight_is_refused_and_not_black(tmp_path: Path) -> None:
    entries = np.array([0, 128, 255], "<u2").tobytes()
    with pytest.raises(PictureRefused) as refused:
        levels(_palette([[0, 1, 2]], 0, 16, entries), tmp_path)
    assert refused.value.reason == LOOKUP_TABLE
    assert _reds(_palette([[0, 1]], 0, 16, bytes(4)), tmp_path) == [0, 0]  # which is black, whatever white is


# --- segments ------------------------------------------------------------------------------------------------


def test_segments_are_values_lines_and_copies(tmp_path: Path) -> None:
    # Four values, a line of three from 24,000 to 60,000, and a copy of the one segment at byte 0.
    segments = np.array([0, 4, 6000, 12000, 18000, 24000, 1, 3, 60000, 2, 1, 0, 0], "<u2")
    assert expanded(segments.astype(np.uint16), Descriptor(11, 0, 16)).tolist() == [
        *(6000, 12000, 18000, 24000, 36000, 48000, 60000),
        *(6000, 12000, 18000, 24000),
    ]
    picture = _palette([list(range(11))], 0, 16, segments.tobytes() + b"", segmented="Segmented", count=11)
    assert _reds(picture, tmp_path)[3:8] == [93, 140, 187, 233, 23]  # 24000 x 255 / 65535 = 93.4, and so on


def test_copies_count_in_bytes(tmp_path: Path) -> None:
    # The segment of 50 and 60 begins at byte 12; pydicom 3.0.2 takes this for the twelfth word.
    segments = np.array([0, 4, 10, 20, 30, 40, 0, 2, 50, 60, 2, 1, 12, 0], np.uint16)
    assert expanded(segments, Descriptor(8, 0, 16)).tolist() == [10, 20, 30, 40, 50, 60, 50, 60]
    of_bytes = np.array([0, 2, 7, 9, 2, 1, 0, 0, 0, 0], np.uint16)
    assert expanded(of_bytes, Descriptor(4, 0, 8)).tolist() == [7, 9, 7, 9]


@pytest.mark.parametrize(
    "segments",
    [
        [1, 3, 5],  # a line that begins nowhere
        [2, 1, 0, 0],  # a copy of nothing
        [0, 2, 1, 2, 2, 1, 8, 0],  # a copy of itself
        [3, 1, 5],  # no segment
        [0, 9, 1, 2],  # fewer values than it says
        [0, 5, 1, 2, 3, 4, 5],  # more entries than the table has
    ],
)
def test_segments_that_are_none_are_refused(segments: list[int]) -> None:
    with pytest.raises(PictureRefused) as refused:
        expanded(np.array(segments, np.uint16), Descriptor(4, 0, 16))
    assert refused.value.reason == LOOKUP_TABLE


@given(st.lists(st.integers(0, 65535), max_size=40), st.integers(1, 65536))
def test_any_segments_are_expanded_or_refused_without_growing(segments: list[int], entries: int) -> None:
    try:
        assert len(expanded(np.array(segments, np.uint16), Descriptor(entries, 0, 16))) == entries
    except PictureRefused as refused:
        assert refused.reason == LOOKUP_TABLE


# --- red, green, blue ----------------------------------------------------------------------------------------

RED, GREY = [255, 0, 0], [128, 128, 128]


def test_planes_of_colours_are_put_together(tmp_path: Path) -> None:
    planes = made([[RED, [1, 2, 3]]], PlanarConfiguration=1, PixelData=bytes([255, 1, 0, 2, 0, 3]))
    assert levels(planes, tmp_path) == [[RED, [1, 2, 3]]]


GREEN, BLUE, WHITE = (0, 255, 0), (0, 0, 255), (255, 255, 255)


def _coloured(photometric: str, planar: int, folder: Path) -> NDArray[np.uint8]:
    """A field of four colours by 8 x 8 pixels, compressed, whose header says `planar` of it."""
    colours = np.repeat(np.repeat(np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8), 8, 0), 8, 1)
    stream = io.BytesIO()
    if photometric == "YBR_FULL_422":
        Image.fromarray(colours).save(stream, "JPEG", quality=100, subsampling=0)
    else:
        Image.fromarray(colours).save(stream, "JPEG2000", no_jp2=True, mct=int(photometric == "YBR_RCT"))
    content = stream.getvalue()
    picture = made(colours, PhotometricInterpretation=photometric, PlanarConfiguration=planar)
    picture.PixelData = encapsulate([content + b"\0" * (len(content) % 2)])
    syntax = JPEGBaseline8Bit if photometric == "YBR_FULL_422" else JPEG2000Lossless
    return pixels(written(picture, folder / "coloured.dcm", syntax), FORM).levels.astype(int)


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_RCT", "RGB"])
def test_colours_of_a_codestream_lie_as_it_says_and_not_as_the_header_does(photometric: str, tmp_path: Path) -> None:
    # Of JPEG and JPEG 2000 pydicom 3.0.2 goes by the header, and mixes colours and places where that says planes.
    seen = _coloured(photometric, 1, tmp_path)
    assert np.abs(seen[::8, ::8] - [[RED, GREEN], [BLUE, WHITE]]).max() <= (2 if photometric == "YBR_FULL_422" else 0)
    assert np.array_equal(seen, _coloured(photometric, 0, tmp_path))


def test_deep_colours_are_scaled_by_their_bits(tmp_path: Path) -> None:
    assert levels(made([[[0, 2048, 4095], [4095, 8, 9]]], bits=12), tmp_path) == [[[0, 128, 255], [255, 0, 1]]]


def test_uncompressed_colours_that_share_their_tint_are_spread(tmp_path: Path) -> None:
    # Y 76, Cb 85, Cr 255 is red, within rounding; both pixels have the tint that is stored once.
    shared = made([[RED, RED]], PhotometricInterpretation="YBR_FULL_422", PixelData=bytes([76, 76, 85, 255]))
    assert levels(shared, tmp_path) == [[[254, 0, 0], [254, 0, 0]]]


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("marker", ["JFIF", "none", "Adobe"])
def test_jpegs_become_red_green_and_blue_once_whatever_markers_they_have(
    marker: str, photometric: str, tmp_path: Path
) -> None:
    picture = made(np.full((16, 16, 3), 7), PhotometricInterpretation=photometric)
    picture.PixelData = encapsulate([_jpeg((200, 30, 60), marker)])
    seen = pixels(written(picture, tmp_path / "coded.dcm", JPEGBaseline8Bit), FORM).levels
    assert np.abs(seen.astype(int) - (200, 30, 60)).max() <= 1


def _jpeg(colour: tuple[int, int, int], marker: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(stream, "JPEG", quality=95, subsampling=0)
    coded = stream.getvalue()
    if marker != "JFIF":
        length = int.from_bytes(coded[4:6], "big")
        adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01" if marker == "Adobe" else b""
        coded = coded[:2] + adobe + coded[4 + length :]
    return coded + b"\0" * (len(coded) % 2)


def test_tints_of_more_than_eight_bits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureRefused) as refused:
        levels(made([[RED, GREY]], bits=16, PhotometricInterpretation="YBR_FULL"), tmp_path)
    assert refused.value.reason == PHOTOMETRIC


@pytest.mark.parametrize(
    ("values", "photometric"),
    [
        ([[0, 1]], "RGB"),
        ([[RED, GREY]], "MONOCHROME2"),
        ([[RED, GREY]], "HSV"),
        ([[RED, GREY]], "YBR_PARTIAL_422"),
        ([[RED, GREY]], "YBR_RCT"),
        ([[[-1, 2, 3]]], "RGB"),
        ([[0, 1]], ""),
    ],
)
def test_colours_that_are_not_shown_here_are_refused(values: Any, photometric: str, tmp_path: Path) -> None:
    with pytest.raises(PictureRefused) as refused:
        levels(made(values, PhotometricInterpretation=photometric), tmp_path)
    assert refused.value.reason == PHOTOMETRIC


def test_a_palette_that_is_laid_over_grey_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureRefused) as refused:
        levels(made([[0]], PixelPresentation="COLOR"), tmp_path)
    assert refused.value.reason == PHOTOMETRIC
