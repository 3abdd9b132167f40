"""A DICOM file that cannot be taken says why by a named reason: whatever is in it, nothing crashes, nothing grows."""

from __future__ import annotations

import io
import pickle
import random
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)
from support.dicom_files import FORM, item, levels, made, written

from datasites.picture_files.decode import probe
from datasites.picture_files.dicom import header, reasons, stored_values
from datasites.picture_files.dicom.pixels import pixels
from datasites.picture_files.file_pixels import PictureInfo
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import NO_SUCH_FRAME, TOO_LARGE

ROW = [[0, 100, 255, 7]]


def _refused(path: Path, frame: int = 0, **form: Any) -> PictureRefused:
    with pytest.raises(PictureRefused) as refused:
        pixels(path, replace(FORM, **form), frame)
    return refused.value


def test_other_files_are_no_dicom(tmp_path: Path) -> None:
    for number, content in enumerate([b"", b"\x89PNG", bytes(200), bytes(128) + b"DICN"]):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert _refused(path).reason == reasons.NOT_DICOM


def test_a_file_that_names_no_syntax_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.dcm"
    path.write_bytes(bytes(128) + b"DICM" + b"\x08\0\x16\0UI\x02\x001\0")
    assert _refused(path).reason == reasons.SYNTAX


@pytest.mark.parametrize(
    "name",
    ["Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation"],
)
def test_what_describes_the_pixels_must_be_there(name: str, tmp_path: Path) -> None:
    refused = _refused(written(made(ROW, **{name: None}), tmp_path / "made.dcm"))
    assert refused.reason == reasons.MISSING_ELEMENT
    assert name in refused.private


def test_a_file_without_pixels_says_so(tmp_path: Path) -> None:
    whole = made(ROW)
    del whole.PixelData
    assert _refused(written(whole, tmp_path / "made.dcm")).reason == reasons.NO_PIXELS


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\0\1", reasons.WRONG_LENGTH),
        (bytes([0, 100, 255, 7, 9, 9]), reasons.WRONG_LENGTH),
        (bytes([0, 100, 255, 7, *[1] * 200]), reasons.WRONG_LENGTH),
        (bytes([0, 100, 255, 7]), None),
    ],
)
def test_pixels_are_as_long_as_rows_and_columns_say(data: bytes, reason: Any, tmp_path: Path) -> None:
    path = written(made(ROW, PixelData=data), tmp_path / "made.dcm")
    if reason is None:
        assert pixels(path, FORM).levels.tolist() == ROW
    else:
        assert _refused(path).reason == reason


def test_a_little_padding_behind_the_pixels_is_no_matter(tmp_path: Path) -> None:
    values = np.arange(100).reshape(10, 10)
    padded = made(values, PixelData=values.astype("u1").tobytes() + bytes(30))
    assert levels(padded, tmp_path) == values.tolist()


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = written(made(np.zeros((50, 50))), tmp_path / "made.dcm")
    path.write_bytes(path.read_bytes()[:-600])
    assert _refused(path).reason == reasons.WRONG_LENGTH


def test_frames_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = written(made([ROW, ROW], frames=2), tmp_path / "made.dcm")
    assert pixels(path, FORM, 1).levels.tolist() == ROW
    assert _refused(path, 2).reason == NO_SUCH_FRAME
    assert _refused(path, -1).reason == NO_SUCH_FRAME
    more = made([ROW, ROW], frames=2)
    more.NumberOfFrames = 3
    assert _refused(written(more, path), 2).reason == reasons.WRONG_LENGTH


def test_high_bits_that_are_not_the_highest_stored_are_refused(tmp_path: Path) -> None:
    assert _refused(written(made(ROW, bits=12, HighBit=15), tmp_path / "made.dcm")).reason == reasons.BITS


def test_values_that_fill_no_whole_bytes_are_refused(tmp_path: Path) -> None:
    packed = made(ROW, bits=12, BitsAllocated=12)
    assert _refused(written(packed, tmp_path / "made.dcm")).reason == reasons.BITS


def test_a_jpeg_of_fewer_bits_than_the_header_says_is_refused_and_not_dark(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (20, 20), 255).save(stream, "JPEG")
    content = stream.getvalue()
    for bits, is_refused in ((8, False), (12, True)):
        coded = made(np.zeros((20, 20)), bits=bits, PixelData=encapsulate([content + b"\0" * (len(content) % 2)]))
        file = written(coded, tmp_path / "made.dcm", JPEGExtended12Bit)
        if is_refused:
            assert _refused(file, window="full").reason == reasons.BITS
        else:
            assert pixels(file, replace(FORM, window="full")).levels.min() == 255


def test_a_syntax_without_a_decoder_is_named_to_the_hospital(tmp_path: Path) -> None:
    video = made(ROW, PixelData=encapsulate([bytes(8)]))
    refused = _refused(written(video, tmp_path / "made.dcm", MPEG2MPML))
    assert refused.reason == reasons.SYNTAX
    assert MPEG2MPML.name in refused.private


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless, RLELossless])
def test_noise_in_place_of_compressed_pixels_is_refused(syntax: Any, tmp_path: Path) -> None:
    noise = random.Random(7).randbytes(600)
    coded = made(np.zeros((20, 20)), PixelData=encapsulate([noise]))
    assert _refused(written(coded, tmp_path / "made.dcm", syntax)).reason == reasons.UNDECODABLE


@pytest.mark.parametrize(("kind", "syntax"), [("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)])
@pytest.mark.parametrize("size", [(1, 1), (2000, 1000)])
def test_a_compressed_picture_of_another_size_is_not_decoded(
    kind: str, syntax: Any, size: tuple[int, int], tmp_path: Path
) -> None:
    stream = io.BytesIO()
    Image.new("L", size).save(stream, kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
    content = stream.getvalue()
    coded = made(np.zeros((20, 20)), PixelData=encapsulate([content + b"\0" * (len(content) % 2)]))
    assert _refused(written(coded, tmp_path / "made.dcm", syntax)).reason == reasons.WRONG_LENGTH


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_read(tmp_path: Path) -> None:
    assert _refused(written(made(ROW, Rows=60000, Columns=60000), tmp_path / "made.dcm")).reason == TOO_LARGE


def test_a_file_that_is_deflated_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(made(np.zeros((100, 100))), tmp_path / "made.dcm", DeflatedExplicitVRLittleEndian)
    assert pixels(path, FORM).levels.max() == 0
    monkeypatch.setattr(header, "MOST_INFLATED", 1000)
    header._read.cache_clear()
    assert _refused(path).reason == TOO_LARGE


@pytest.mark.parametrize("spacing", [[0, 1], [-1, 1], [1, 30], [1]])
def test_a_shape_that_is_none_is_refused_where_shapes_count(spacing: list[float], tmp_path: Path) -> None:
    path = written(made(ROW, PixelSpacing=spacing), tmp_path / "made.dcm")
    assert pixels(path, FORM).pixel_aspect == 1
    assert _refused(path, square_pixels=True).reason == reasons.ASPECT


@pytest.mark.parametrize(
    ("elements", "aspect"),
    [
        ({}, 1),
        ({"PixelSpacing": [2, 1]}, 2),
        ({"ImagerPixelSpacing": [1, 2]}, 0.5),
        ({"PixelAspectRatio": [3, 2]}, 1.5),
        ({"PixelSpacing": [2, 1], "ImagerPixelSpacing": [1, 2], "PixelAspectRatio": [3, 2]}, 2),
    ],
)
def test_height_over_width_is_the_patients_before_the_detectors(
    elements: dict[str, Any], aspect: float, tmp_path: Path
) -> None:
    path = written(made(ROW, **elements), tmp_path / "made.dcm")
    assert pixels(path, replace(FORM, square_pixels=True)).pixel_aspect == aspect


def test_any_damage_is_a_reason_and_never_another_error(tmp_path: Path) -> None:
    whole = made(np.arange(64).reshape(8, 8), bits=12, WindowCenter=30, WindowWidth=50, PixelSpacing=[1, 1])
    whole.SharedFunctionalGroupsSequence = [item(FrameVOILUTSequence=[item(WindowCenter=1, WindowWidth=2)])]
    content = written(whole, tmp_path / "made.dcm").read_bytes()
    chance, path, seen = random.Random(13), tmp_path / "damaged.dcm", set()
    for _ in range(400):
        damaged = bytearray(content[: chance.choice([len(content), chance.randrange(len(content))])])
        for _ in range(chance.randrange(4)):
            damaged[chance.randrange(132, max(133, len(damaged))) % len(damaged)] = chance.randrange(256)
        path.write_bytes(bytes(damaged))
        try:
            pixels(path, replace(FORM, square_pixels=True))
        except PictureRefused as refused:
            seen.add(refused.reason.code)
    assert len(seen) >= 5


def test_a_refusal_holds_no_value_of_the_file_and_travels_between_processes(tmp_path: Path) -> None:
    path = written(made(ROW, RescaleSlope="3.14159"), tmp_path / "made.dcm", ExplicitVRLittleEndian)
    refused = pickle.loads(pickle.dumps(_refused(path)))
    assert refused.reason == reasons.RESCALE
    for text in (str(refused), refused.public, refused.private):
        assert not any(planted in text for planted in ("3.14159", "Planted", "PLANTED"))


def test_every_reason_has_its_own_code_and_none_says_what_it_is_not() -> None:
    codes = [reason.code for reason in reasons.REASONS]
    assert len(set(codes)) == len(codes)
    named = {value for value in vars(reasons).values() if isinstance(value, reasons.Reason)}
    assert named == set(reasons.REASONS)


def test_a_value_that_cannot_be_read_is_told_to_nobody(tmp_path: Path) -> None:
    path = written(made([ROW, ROW], frames=2), tmp_path / "made.dcm")
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x002 ", b"IS\x02\x002Q"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        refused = _refused(path)
    assert refused.reason == reasons.MISSING_ELEMENT
    assert told == []
    assert "2Q" not in f"{refused}{refused.private}"


def test_a_header_is_told_whatever_shape_its_pixels_have(tmp_path: Path) -> None:
    path = written(made(ROW, bits=12, PixelSpacing=[2, 1]), tmp_path / "made.dcm")
    assert probe(path) == PictureInfo("dicom", (1, 4), 1, 12, True, 1, 2.0)
    assert probe(written(made(ROW, PixelSpacing=[0, 1]), path)).aspect == 1


def test_a_decoder_that_fails_by_what_is_no_exception_refuses_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Panic(BaseException):
        """What a library in Rust raises."""

    def fails(*args: Any, **more: Any) -> Any:
        raise Panic

    path = written(made(ROW), tmp_path / "a.dcm")
    monkeypatch.setattr(stored_values, "get_decoder", fails)
    found = _refused(path)
    assert found.reason == reasons.UNDECODABLE and "Panic" in found.private
