"""Values of more than 8 bits come in whole; which of them is white is the file's word or the form's, never a guess."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import made_files as made
from support.made_files import write

from datasites.picture_files.decode import decode, probe
from datasites.picture_files.picture_refused import PictureRefused
from policies.plans.picture_form import PictureForm

LEVELS = np.array([[0, 8192, 32768, 65535]], dtype=np.uint16)
IN_EIGHT = [0, 32, 128, 255]  # 8192 x 255 / 65535 = 31.9; 32768 x 255 / 65535 = 127.502
COLOURS = np.array([[[65535, 257, 0], [32639, 32640, 12593]]], dtype=np.uint16)
COLOURS_IN_EIGHT = [[[255, 1, 0], [127, 127, 49]]]  # of 257: 126.999, 127.004, 49; upper bytes are 127, 127, 49
RAMP = np.linspace(0, 4095, 256).round().astype(np.uint16)[None]


def read(path: Path, channels: int = 1, **form: Any) -> list:
    values = decode(path, PictureForm(probe(path).size, channels, **form))
    return np.asarray(values)[0, :, 0].tolist() if channels == 1 else values.tolist()


def refused(path: Path, channels: int = 1, **form: Any) -> str:
    with pytest.raises(PictureRefused) as caught:
        read(path, channels, **form)
    return caught.value.reason.code


def grey_files(folder: Path, values: np.ndarray) -> dict[str, Path]:
    zero_is_white = {made.PHOTOMETRIC: [0]}
    return {
        "png": write(folder / "a.png", made.png(values)),
        "little": write(folder / "l.tif", made.tiff((values, {}))),
        "big": write(folder / "b.tif", made.tiff((values, {}), order=">")),
        "packed": write(folder / "p.tif", made.tiff((values, {made.COMPRESSION: [8]}))),
        "packed big": write(folder / "pb.tif", made.tiff((values, {made.COMPRESSION: [8]}), order=">")),
        "zero is white": write(folder / "w.tif", made.tiff((65535 - values, zero_is_white))),
    }


def test_sixteen_grey_bits_become_eight_in_every_file_that_holds_them(tmp_path: Path) -> None:
    for name, path in grey_files(tmp_path, LEVELS).items():
        assert (probe(path).bits, probe(path).bits_stated, probe(path).channels) == (16, False, 1), name
        assert read(path) == IN_EIGHT, name
        assert read(path, 3)[0][2] == [128, 128, 128], name


def test_sixteen_grey_bits_stay_sixteen_where_the_store_keeps_them(tmp_path: Path) -> None:
    for name, path in grey_files(tmp_path, LEVELS).items():
        kept = decode(path, PictureForm((1, 4), 1, store_bits=16))
        assert kept.dtype == np.uint16, name
        assert kept[0, :, 0].tolist() == LEVELS[0].tolist(), name


def test_eight_bits_fill_the_range_of_sixteen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", made.png(np.array([[0, 1, 128, 255]]), bits=8))
    assert read(path, store_bits=16) == [0, 257, 32896, 65535]


def test_colours_of_sixteen_bits_are_rounded_from_both_their_bytes(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.png", made.png(COLOURS, made.PNG_COLOUR)),
        write(tmp_path / "l.tif", made.tiff((COLOURS, {}))),
        write(tmp_path / "b.tif", made.tiff((COLOURS, {}), order=">")),
        write(tmp_path / "p.tif", made.tiff((COLOURS, {made.COMPRESSION: [8]}))),
        write(tmp_path / "pb.tif", made.tiff((COLOURS, {made.COMPRESSION: [8]}), order=">")),
    ]
    for path in files:
        assert (probe(path).bits, probe(path).channels) == (16, 3), path.name
        assert read(path, 3) == COLOURS_IN_EIGHT, path.name


def test_twelve_bits_in_colours_of_sixteen_are_not_black(tmp_path: Path) -> None:
    values = np.array([[[4095, 0, 2048]]], dtype=np.uint16)
    path = write(tmp_path / "a.png", made.png(values, made.PNG_COLOUR))
    assert refused(path, 3) == "bits_in_doubt"
    assert read(path, 3, bits=12) == [[[255, 0, 128]]]  # 2048 x 255 / 4095 = 127.53
    stated = write(tmp_path / "b.png", made.png(values, made.PNG_COLOUR, made.chunk(b"sBIT", bytes([10, 12, 11]))))
    assert (probe(stated).bits, read(stated, 3)) == (12, [[[255, 0, 128]]])


def test_colours_of_sixteen_bits_are_black_where_they_are_transparent(tmp_path: Path) -> None:
    seen = np.array([[[65535, 0, 32768, 65535], [65535, 65535, 65535, 0], [65535, 0, 0, 13107]]], dtype=np.uint16)
    files = [
        write(tmp_path / "a.png", made.png(seen, made.PNG_COLOUR_ALPHA)),
        write(tmp_path / "a.tif", made.tiff((seen, {made.EXTRA: [2]}))),
    ]
    for path in files:
        assert read(path, 3) == [[[255, 0, 128], [0, 0, 0], [51, 0, 0]]], path.name  # 13107 is a fifth of 65535
    key = made.chunk(b"tRNS", struct.pack(">HHH", *COLOURS[0, 0]))
    path = write(tmp_path / "key.png", made.png(COLOURS, made.PNG_COLOUR, key))
    assert read(path, 3) == [[[0, 0, 0], COLOURS_IN_EIGHT[0][1]]]


def test_a_transparent_grey_of_sixteen_bits_is_black(tmp_path: Path) -> None:
    key = made.chunk(b"tRNS", struct.pack(">H", 32768))
    assert read(write(tmp_path / "a.png", made.png(LEVELS, made.PNG_GREY, key))) == [0, 32, 0, 255]


def test_deep_pictures_that_were_stored_turned_are_upright(tmp_path: Path) -> None:
    stored, colours = LEVELS.T[::-1], COLOURS[0][::-1, None]  # turned a quarter clockwise it is read from left to right
    exif = Image.Exif()
    exif[0x0112] = 6
    turn = made.chunk(b"eXIf", exif.tobytes()[6:])
    tags = {made.ORIENTATION: [6]}
    for path in (
        write(tmp_path / "a.png", made.png(stored, made.PNG_GREY, turn)),
        write(tmp_path / "a.tif", made.tiff((stored, tags))),
    ):
        assert (probe(path).size, read(path)) == ((1, 4), IN_EIGHT), path.name
    for path in (
        write(tmp_path / "c.png", made.png(colours, made.PNG_COLOUR, turn)),
        write(tmp_path / "c.tif", made.tiff((colours, tags))),
    ):
        assert (probe(path).size, read(path, 3)) == ((1, 2), COLOURS_IN_EIGHT), path.name


# --- which value is white -------------------------------------------------------------------------------------


def significant(bits: int) -> bytes:
    return made.chunk(b"sBIT", bytes([bits]))


def test_a_png_s_own_word_says_how_many_bits_count(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", made.png(RAMP, made.PNG_GREY, significant(12)))
    assert (probe(path).bits, probe(path).bits_stated) == (12, True)
    assert read(path) == list(range(256))
    assert read(path, bits=14) == list(range(256))  # the file knows better than the form
    sixteen = write(tmp_path / "dark.png", made.png(RAMP, made.PNG_GREY, significant(16)))
    assert max(read(sixteen)) == 16  # 4095 of 65535, and the file says that it means that


def test_a_png_whose_values_were_shifted_up_as_its_standard_wants_is_as_bright(tmp_path: Path) -> None:
    shifted = RAMP << 4 | RAMP >> 8  # twelve bits fill sixteen
    path = write(tmp_path / "a.png", made.png(shifted, made.PNG_GREY, significant(12)))
    assert read(path) == list(range(256))
    dark = np.array([[0, 16, 2048, 4080]], dtype=np.uint16)  # shifted up too: none has anything in its lower bits
    path = write(tmp_path / "dark.png", made.png(dark, made.PNG_GREY, significant(12)))
    assert read(path) == [0, 0, 8, 16]


def test_a_tiff_s_own_tags_say_how_many_bits_count(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", made.tiff((RAMP, {made.LARGEST: [4095]})))
    assert (probe(path).bits, probe(path).bits_stated, read(path)) == (12, True, list(range(256)))
    measured = write(tmp_path / "b.tif", made.tiff((RAMP, {made.LARGEST: [3000]})))  # the largest that came, not white
    assert (probe(measured).bits_stated, refused(measured)) == (False, "bits_in_doubt")
    too_large = write(tmp_path / "c.tif", made.tiff((RAMP, {made.LARGEST: [1023]})))
    assert refused(too_large) == "bits_exceeded"


def test_a_tiff_of_twelve_packed_bits_has_its_white_at_their_largest(tmp_path: Path) -> None:
    # 4095 and 16 in three bytes, and 0 and 2048 in three
    rows = np.frombuffer(bytes.fromhex("fff010000800"), dtype=np.uint8)[None]
    content = made.tiff((rows, {made.WIDTH: [4], made.BITS: [12]}))
    path = write(tmp_path / "a.tif", content)
    assert (probe(path).bits, probe(path).bits_stated) == (12, True)
    assert read(path) == [255, 1, 0, 128]


def test_the_form_s_word_holds_where_the_file_says_nothing(tmp_path: Path) -> None:
    for name, path in grey_files(tmp_path, RAMP).items():
        turned = name == "zero is white"
        assert refused(path, bits=12) == "bits_exceeded" if turned else read(path, bits=12) == list(range(256)), name
        assert read(path, bits=16)[-1] == 16, name
    zero_is_white = write(tmp_path / "z.tif", made.tiff((4095 - RAMP, {made.PHOTOMETRIC: [0]})))
    assert read(zero_is_white, bits=12) == list(range(256))
    kept = decode(tmp_path / "a.png", PictureForm((1, 256), 1, bits=12, store_bits=16))
    assert kept[0, [0, 1, 255], 0].tolist() == [0, 256, 65535]  # 16 x 65535 / 4095 = 256.06


def test_values_above_the_declared_bits_are_refused(tmp_path: Path) -> None:
    values = np.array([[0, 4095, 4096]], dtype=np.uint16)
    path = write(tmp_path / "a.png", made.png(values))
    assert refused(path, bits=12) == "bits_exceeded"
    assert read(path, bits=13) == [0, 127, 128]  # 4095 x 255 / 8191 = 127.48


@pytest.mark.parametrize(("largest", "answer"), [(4095, "bits_in_doubt"), (1, "bits_in_doubt"), (4096, 16), (0, 0)])
def test_a_picture_in_doubt_about_its_white_is_refused_and_a_black_one_is_not(
    tmp_path: Path, largest: int, answer: str | int
) -> None:
    path = write(tmp_path / "a.png", made.png(np.array([[0, largest]], dtype=np.uint16)))
    found = refused(path) if isinstance(answer, str) else read(path)[1]
    assert found == answer
    assert refused(path) == answer if isinstance(answer, str) else True


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ([0, 4095, 65535], "bits_in_doubt"),  # a picture of 12 bits, with a letter burned in as white
        ([0, 4096, 65535], [0, 16, 255]),
        ([0, 4095, 65534], [0, 16, 255]),
        ([0, 0, 65535], [0, 0, 255]),
        ([65535, 65535, 65535], [255, 255, 255]),
    ],
)
def test_white_that_was_burned_in_says_nothing_of_the_values_beside_it(
    tmp_path: Path, values: list[int], answer: str | list[int]
) -> None:
    content = made.png(np.array([values], dtype=np.uint16))
    path = write(tmp_path / "a.png", content)
    assert (refused(path) if isinstance(answer, str) else read(path)) == answer
    assert read(path, bits=16) == [round(value / 257) for value in values]


# --- what no rule is declared for -----------------------------------------------------------------------------


def test_what_does_not_say_where_white_is_is_refused_by_name(tmp_path: Path) -> None:
    half = np.array([[[65535, 32768], [0, 65535]]], dtype=np.uint16)
    planes = {made.PLANAR: [2]}
    files = {
        "float_values": made.tiff((np.array([[0.5, 1.0]], dtype=np.float32), {made.SAMPLE_FORMAT: [3]})),
        "long_values": made.tiff((np.array([[5, 9]], dtype=np.uint32), {})),
        "colour_depth": made.png(half, made.PNG_GREY_ALPHA),
        "unknown_layout": made.tiff((LEVELS, {made.PHOTOMETRIC: [0]}), order=">"),
    }
    signed = made.tiff((np.array([[-5, 9]], dtype=np.int16), {made.SAMPLE_FORMAT: [2]}))
    in_planes = made.tiff((np.zeros((1, 3, 3), dtype=np.uint16), planes))
    inks = made.tiff((np.zeros((1, 1, 4), dtype=np.uint16), {made.PHOTOMETRIC: [5]}))
    more = [("long_values", signed), ("colour_depth", in_planes), ("colour_depth", inks)]
    for number, (code, content) in enumerate([*files.items(), *more]):
        path = write(tmp_path / f"{number}.file", content)
        with pytest.raises(PictureRefused) as caught:
            probe(path)
        assert caught.value.reason.code == code
        with pytest.raises(PictureRefused) as caught:
            decode(path, PictureForm((1, 1), 1, bits=16))
        assert caught.value.reason.code == code
