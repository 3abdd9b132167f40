"""Grey pictures become what a radiologist would see: each trap is a file made here and a value computed by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import jpeg_ls
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
    XRayAngiographicImageStorage,
)
from support import jpeg_writing
from support.dicom_files import FORM, item, levels, made, table, written

from datasites.picture_files.dicom.pixels import pixels
from datasites.picture_files.dicom.reasons import (
    BAD_WINDOW,
    FRAME_GROUPS,
    LOOKUP_TABLE,
    NO_RANGE,
    NO_WINDOW,
    PHOTOMETRIC,
    RESCALE,
)
from datasites.picture_files.picture_refused import PictureRefused, Reason
from policies.plans.picture_form import PictureForm

FULL, PERCENTILE = replace(FORM, window="full"), replace(FORM, window="percentile")


def _refused(dataset: Dataset, folder: Path, form: PictureForm = FORM) -> Reason:
    with pytest.raises(PictureRefused) as refused:
        levels(dataset, folder, form)
    return refused.value.reason


# --- modality ------------------------------------------------------------------------------------------------


def test_slope_and_intercept_come_before_the_window(tmp_path: Path) -> None:
    # 0, 1024, 2048 become -1000, 24, 1048; the window 24 +- 50 is black up to -26.5 and white above 73.5.
    ct = made([[0, 1024, 2048]], bits=12, RescaleSlope=1, RescaleIntercept=-1000, WindowCenter=24.5, WindowWidth=101)
    assert levels(ct, tmp_path) == [[0, 128, 255]]


@pytest.mark.parametrize("alone", ["RescaleSlope", "RescaleIntercept"])
def test_a_slope_or_an_intercept_alone_is_refused(alone: str, tmp_path: Path) -> None:
    assert _refused(made([[0, 1]], **{alone: 2}), tmp_path) == RESCALE


def test_a_slope_of_zero_is_refused(tmp_path: Path) -> None:
    assert _refused(made([[0, 1]], RescaleSlope=0, RescaleIntercept=0), tmp_path) == RESCALE


def test_a_negative_slope_turns_white_into_black(tmp_path: Path) -> None:
    assert levels(made([[0, 51, 255]], RescaleSlope=-1, RescaleIntercept=255), tmp_path, FULL) == [[255, 204, 0]]


def test_a_modality_table_takes_its_ends_for_all_beyond(tmp_path: Path) -> None:
    # Values 10, 11, 12 become 0, 32768, 65535; smaller ones the first entry, larger ones the last.
    picture = made([[0, 10, 11, 12, 99]], ModalityLUTSequence=[table(10, 16, [0, 32768, 65535])])
    assert levels(picture, tmp_path, FULL) == [[0, 0, 128, 255, 255]]


def test_the_modality_table_of_angiography_is_not_for_display(tmp_path: Path) -> None:
    squares = [table(0, 16, [value * value for value in range(256)])]
    picture = made([[0, 128, 255]], SOPClassUID=XRayAngiographicImageStorage, ModalityLUTSequence=squares)
    assert levels(picture, tmp_path) == [[0, 128, 255]]


# --- windows -------------------------------------------------------------------------------------------------


def test_the_declared_one_of_several_windows_is_taken(tmp_path: Path) -> None:
    picture = made([[0, 100, 200]], bits=12, WindowCenter=[50.5, 150.5], WindowWidth=[101, 101])
    assert levels(picture, tmp_path) == [[0, 255, 255]]
    assert levels(picture, tmp_path, replace(FORM, window_number=1)) == [[0, 0, 255]]
    assert _refused(picture, tmp_path, replace(FORM, window_number=2)) == NO_WINDOW


def test_tables_count_before_windows(tmp_path: Path) -> None:
    negative = [table(0, 8, [255, 128, 0])]
    picture = made([[0, 1, 2]], bits=12, VOILUTSequence=negative, WindowCenter=1.5, WindowWidth=3)
    assert levels(picture, tmp_path) == [[255, 128, 0]]
    assert levels(picture, tmp_path, replace(FORM, window_number=1)) == [[0, 128, 255]]


def test_a_table_of_eight_bits_serves_values_of_twelve(tmp_path: Path) -> None:
    # pydicom 3.0.2 looks these up by the value's low byte.
    picture = made([[0, 255, 256, 1000, 4095]], bits=12, VOILUTSequence=[table(0, 8, [n // 16 for n in range(4096)])])
    assert levels(picture, tmp_path) == [[0, 15, 16, 62, 255]]


@pytest.mark.parametrize("first", [-1000, 65536 - 1000], ids=["signed", "as writers put it who know no signed number"])
def test_a_table_may_begin_below_zero(first: int, tmp_path: Path) -> None:
    values = made([[0, 24, 25, 26, 4095]], bits=12, RescaleSlope=1, RescaleIntercept=-1024)
    values.VOILUTSequence = [table(first, 8, [10, 20, 30])]
    assert levels(values, tmp_path) == [[10, 10, 20, 30, 30]]


def test_a_table_that_uses_few_of_its_bits_is_refused_and_not_dark(tmp_path: Path) -> None:
    twelve = [entry * 273 for entry in range(16)]  # up to 4095, which is white of 12 bits and dark of 16
    assert levels(made([[0, 8, 15]], bits=12, VOILUTSequence=[table(0, 12, twelve)]), tmp_path) == [[0, 136, 255]]
    assert _refused(made([[0, 8, 15]], bits=12, VOILUTSequence=[table(0, 16, twelve)]), tmp_path) == LOOKUP_TABLE


@pytest.mark.parametrize(
    "broken", [table(0, 8, [1, 2, 300]), item(LUTDescriptor=[5, 0, 8], LUTData=b"12"), item(LUTData=b"12")]
)
def test_a_table_that_does_not_fit_its_descriptor_is_refused(broken: Dataset, tmp_path: Path) -> None:
    for name in ("LUTDescriptor", "LUTData"):
        if name in broken and isinstance(broken[name].value, bytes):
            broken[name].VR = "OW"
        elif name in broken:
            broken[name].VR = "US"
    assert _refused(made([[0, 1]], bits=12, VOILUTSequence=[broken]), tmp_path) == LOOKUP_TABLE


@pytest.mark.parametrize(
    ("function", "seen"), [("LINEAR", [0, 129, 255]), ("LINEAR_EXACT", [0, 128, 255]), ("SIGMOID", [30, 128, 225])]
)
def test_the_windows_function_is_the_files(function: str, seen: list[int], tmp_path: Path) -> None:
    # Centre 50, width 100. LINEAR at 50: (0.5/99 + 0.5) * 255 = 128.79; SIGMOID at 0: 255/(1 + e^2) = 30.4.
    picture = made([[0, 50, 100]], bits=12, WindowCenter=50, WindowWidth=100, VOILUTFunction=function)
    assert levels(picture, tmp_path) == [seen]


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 1, "WindowWidth": 0},
        {"WindowCenter": [1, 2], "WindowWidth": 3},
        {"WindowCenter": 1, "WindowWidth": 3, "VOILUTFunction": "CUBIC"},
    ],
)
def test_a_window_that_is_none_is_refused(window: dict[str, Any], tmp_path: Path) -> None:
    assert _refused(made([[0, 1]], bits=12, **window), tmp_path) == BAD_WINDOW


def test_eight_bits_without_a_window_are_shown_as_they_are_and_more_are_refused(tmp_path: Path) -> None:
    assert levels(made([[0, 7, 255]]), tmp_path) == [[0, 7, 255]]
    assert _refused(made([[0, 7, 255]], bits=12), tmp_path) == NO_WINDOW


def test_the_full_range_is_that_of_the_stored_bits(tmp_path: Path) -> None:
    assert levels(made([[0, 2048, 4095]], bits=12), tmp_path, FULL) == [[0, 128, 255]]
    assert levels(made([[-2048, 0, 2047]], bits=12), tmp_path, FULL) == [[0, 128, 255]]


def test_sixteen_bits_are_kept_where_the_form_keeps_them(tmp_path: Path) -> None:
    seen = levels(made([[0, 2048, 4095]], bits=12), tmp_path, replace(FULL, store_bits=16))
    assert seen == [[0, 32776, 65535]]  # 2048 * 65535 / 4095 = 32775.50 and a bit


def test_padding_does_not_move_the_percentiles(tmp_path: Path) -> None:
    # Without the padding all pixels are from 0 to 100; with it the 0.5th percentile would be -2000.
    values = np.full((20, 20), -2000)
    values[5:15, 5:15] = np.arange(100).reshape(10, 10) + 1
    padded = made(values, bits=16, PixelPaddingValue=-2000)
    padded["PixelPaddingValue"].VR = "SS"
    seen = np.array(levels(padded, tmp_path, PERCENTILE))
    assert seen[5, 5] == 0
    assert seen[5, 6] == round(255 / 99)
    assert seen[14, 14] == 255
    assert seen[0, 0] == 0
    all_padding = made(np.full((2, 2), 7), PixelPaddingValue=5, PixelPaddingRangeLimit=9)
    for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        all_padding[name].VR = "US"
    assert _refused(all_padding, tmp_path, PERCENTILE) == NO_RANGE


# --- what black is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photometric", "shape", "seen"),
    [
        ("MONOCHROME2", None, [0, 100, 255]),
        ("MONOCHROME2", "IDENTITY", [0, 100, 255]),
        ("MONOCHROME1", None, [255, 155, 0]),
        ("MONOCHROME1", "INVERSE", [255, 155, 0]),  # said twice, done once
        ("MONOCHROME2", "INVERSE", [255, 155, 0]),
    ],
)
def test_a_picture_is_inverted_once(photometric: str, shape: str | None, seen: list[int], tmp_path: Path) -> None:
    more = {} if shape is None else {"PresentationLUTShape": shape}
    assert levels(made([[0, 100, 255]], PhotometricInterpretation=photometric, **more), tmp_path) == [seen]


def test_a_picture_that_contradicts_itself_on_what_black_is_is_refused(tmp_path: Path) -> None:
    both = made([[0, 100]], PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY")
    assert _refused(both, tmp_path) == PHOTOMETRIC


# --- bits ----------------------------------------------------------------------------------------------------


def test_overlays_in_unused_bits_are_not_seen(tmp_path: Path) -> None:
    with_overlay = np.array([[0x8000, 0xF123, 0x0FFF]])
    picture = made(with_overlay, bits=16, BitsStored=12, HighBit=11)
    assert levels(picture, tmp_path, FULL) == [[0, round(0x123 * 255 / 4095), 255]]


def test_signed_values_in_fewer_bits_are_extended(tmp_path: Path) -> None:
    # 0x0FFF is -1 of 12 bits: (2047 / 4095) * 255 = 127.47.
    picture = made([[0x0FFF, 0x0800, 0x07FF]], bits=16, BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert levels(picture, tmp_path, FULL) == [[127, 0, 255]]


def test_single_bits_are_black_and_white(tmp_path: Path) -> None:
    picture = made([[0] * 8], BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=b"\x05\0")
    assert levels(picture, tmp_path) == [[255, 0, 255, 0, 0, 0, 0, 0]]


def test_frames_of_single_bits_may_begin_within_a_byte(tmp_path: Path) -> None:
    # Three frames of 3 pixels: 101, 010 and 110, from the lowest bit on. pydicom 3.0.2 cuts them at whole bytes.
    three = made([[[0] * 3]] * 3, frames=3, BitsAllocated=1, BitsStored=1, HighBit=0)
    three.PixelData = (0b011_010_101).to_bytes(2, "little")
    seen = [levels(three, tmp_path, frame=frame)[0] for frame in range(3)]
    assert seen == [[255, 0, 255], [0, 255, 0], [255, 255, 0]]


def test_floating_point_needs_a_window_or_percentiles(tmp_path: Path) -> None:
    picture = made([[0]], PixelRepresentation=None, BitsStored=None, HighBit=None, BitsAllocated=32, Columns=3)
    del picture.PixelData
    picture.FloatPixelData = np.array([-0.5, 0.0, 0.5], "<f4").tobytes()
    file = _float_file(picture, tmp_path)
    assert pixels(file, PERCENTILE).levels.tolist() == [[0, 128, 255]]
    with pytest.raises(PictureRefused) as refused:
        pixels(file, FULL)
    assert refused.value.reason == NO_RANGE
    picture.FloatPixelData = np.array([0, np.nan, 1], "<f4").tobytes()
    with pytest.raises(PictureRefused) as refused:
        pixels(_float_file(picture, tmp_path), PERCENTILE)
    assert refused.value.reason == NO_RANGE


def _float_file(picture: Dataset, folder: Path) -> Path:
    return written(picture, folder / "float.dcm")


# --- frames --------------------------------------------------------------------------------------------------


def _enhanced(own: list[Dataset], **shared: Any) -> Dataset:
    both = made([[[0, 100]], [[0, 100]]], bits=12, frames=2)
    both.SharedFunctionalGroupsSequence = [item(**shared)]
    both.PerFrameFunctionalGroupsSequence = own
    return both


def test_values_of_a_frame_come_before_those_of_all_frames(tmp_path: Path) -> None:
    narrow, wide = item(WindowCenter=50.5, WindowWidth=101), item(WindowCenter=100.5, WindowWidth=201)
    both = _enhanced(
        [item(), item(FrameVOILUTSequence=[wide])],
        FrameVOILUTSequence=[narrow],
        PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=0)],
    )
    assert levels(both, tmp_path) == [[0, 255]]
    assert levels(both, tmp_path, frame=1) == [[0, 128]]


def test_rescale_and_spacing_of_enhanced_objects_are_found_where_they_stand(tmp_path: Path) -> None:
    both = _enhanced(
        [item(), item(PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=0)])],
        FrameVOILUTSequence=[item(WindowCenter=100.5, WindowWidth=201)],
        PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=0)],
        PixelMeasuresSequence=[item(PixelSpacing=[3, 1.5])],
    )
    assert levels(both, tmp_path) == [[0, 128]]
    assert levels(both, tmp_path, frame=1) == [[0, 255]]
    assert pixels(tmp_path / "made.dcm", replace(FORM, square_pixels=True)).pixel_aspect == 2


def test_groups_for_another_number_of_frames_are_refused(tmp_path: Path) -> None:
    assert _refused(_enhanced([item()]), tmp_path) == FRAME_GROUPS


# --- transfer syntaxes ---------------------------------------------------------------------------------------


def test_a_file_is_the_same_in_every_uncompressed_syntax(tmp_path: Path) -> None:
    for number, syntax in enumerate([ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]):
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        picture = made([[0, 4095, 256]], bits=12, order=order, VOILUTSequence=[table(0, 12, list(range(4096)))])
        seen = pixels(written(picture, tmp_path / f"{number}.dcm", syntax), FORM).levels.tolist()
        assert seen == [[0, 255, 16]], syntax.name


def test_a_table_of_bytes_follows_the_files_byte_order(tmp_path: Path) -> None:
    for order, syntax in (("<", ImplicitVRLittleEndian), (">", ExplicitVRBigEndian)):
        entries = item(LUTDescriptor=[3, 0, 16], LUTData=np.array([0, 0x8000, 0xFFFF], f"{order}u2").tobytes())
        entries["LUTDescriptor"].VR, entries["LUTData"].VR = "US", "OW"
        picture = made([[0, 1, 2]], bits=12, order=order, VOILUTSequence=[entries])
        seen = pixels(written(picture, tmp_path / "table.dcm", syntax), FORM).levels.tolist()
        assert seen == [[0, 128, 255]], syntax.name


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_values_lose_what_lies_above_their_bits(syntax: UID, tmp_path: Path) -> None:
    picture = made(np.tile([0x8000, 0xF123, 0x0FFF], (64, 22)), bits=16)
    picture.compress(syntax)
    picture.BitsStored, picture.HighBit = 12, 11
    seen = pixels(written(picture, tmp_path / "coded.dcm", syntax), FULL).levels.tolist()
    assert seen == [[0, 18, 255] * 22] * 64  # 0x123 * 255 / 4095 = 18.1


def test_what_a_lossy_coder_overshoots_by_is_white_and_not_black(tmp_path: Path) -> None:
    # Stripes of the largest value of 12 bits in a codestream of 16, which gives some of them back larger.
    stripes = np.where(np.arange(47) % 7 < 3, 4095, 0) + np.zeros((33, 1), np.int64)
    stream = io.BytesIO()
    options: dict[str, Any] = {"no_jp2": True, "irreversible": True, "quality_mode": "dB", "quality_layers": [50]}
    Image.fromarray(stripes.astype(np.uint16)).save(stream, "JPEG2000", **options)
    assert np.asarray(Image.open(stream)).max() > 4095
    content = stream.getvalue()
    coded = made(stripes, bits=16, BitsStored=12, HighBit=11)
    coded.PixelData = encapsulate([content + b"\0" * (len(content) % 2)])
    seen = np.array(pixels(written(coded, tmp_path / "lossy.dcm", JPEG2000), FULL).levels, int)
    assert np.abs(seen - stripes * 255 / 4095).max() < 30


def test_values_with_a_sign_lose_what_lies_above_their_bits_in_every_codestream(tmp_path: Path) -> None:
    # -1, -2048, 2047 and 0 of 12 bits, with other bits above them: 2047 / 4095 x 255 = 127.47.
    signed = np.tile(np.array([0x8FFF, 0x0800, 0x07FF, 0], np.uint16), (16, 4))
    stream = bytes(jpeg_ls.encode_array(signed))
    of_jpeg = jpeg_writing.lossless(signed[:, :, None].astype(np.int64), 16)
    for syntax, content in ((JPEGLSLossless, stream), (JPEGLossless, of_jpeg)):
        picture = made(signed, bits=16, BitsStored=12, HighBit=11, PixelRepresentation=1)
        picture.PixelData = encapsulate([content + b"\0" * (len(content) % 2)])
        seen = pixels(written(picture, tmp_path / "signed.dcm", syntax), FULL).levels.tolist()
        assert seen == [[127, 0, 255, 128] * 4] * 16, syntax.name
