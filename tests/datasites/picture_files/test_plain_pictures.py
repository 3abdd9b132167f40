"""Pictures of up to 8 bits a value come in with the values that they are looked at with, whatever form they have."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import made_files as made
from support.made_files import write

from datasites.picture_files import raster
from datasites.picture_files.decode import decode, probe
from datasites.picture_files.picture_refused import PictureRefused
from datasites.picture_files.reasons import MANY_PAGES
from policies.plans.picture_form import PictureForm

RED = (200, 30, 40)
ONE_PIXEL = (1, 1)


def read(path: Path, channels: int, size: tuple[int, int] | None = None, frame: int = 0) -> list:
    return decode(path, PictureForm(size or probe(path).size, channels), frame).tolist()


def saved(path: Path, picture: Image.Image, kind: str, **options) -> Path:
    picture.save(path, kind, **options)
    return path


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_colours_and_rows_come_in_as_they_were_written(tmp_path: Path, kind: str) -> None:
    values = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14
    options = {"lossless": True} if kind == "WEBP" else {}
    path = saved(tmp_path / "picture", Image.fromarray(values), kind, **options)
    assert probe(path).kind == kind.lower()
    assert (probe(path).size, probe(path).channels) == ((2, 3), 3)
    assert read(path, 3) == values.tolist()


def test_a_jpeg_comes_in_to_within_its_loss(tmp_path: Path) -> None:
    path = saved(tmp_path / "picture.jpg", Image.new("RGB", (8, 8), RED), "JPEG")
    assert np.abs(np.asarray(read(path, 3)) - RED).max() <= 3
    assert probe(path).kind == "jpeg"


def test_colours_become_grey_by_their_brightness(tmp_path: Path) -> None:
    path = saved(tmp_path / "picture.png", Image.new("RGB", (1, 1), RED), "PNG")
    assert read(path, 1) == [[[82]]]  # 0.299 x 200 + 0.587 x 30 + 0.114 x 40 = 81.97


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    path = saved(tmp_path / "picture.png", Image.new("L", (1, 1), 77), "PNG")
    assert probe(path).channels == 1
    assert read(path, 3) == [[[77, 77, 77]]]


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 0, *RED])
    picture.putdata([1, 0])
    path = saved(tmp_path / "picture.png", picture, "PNG")
    assert probe(path).channels == 3
    assert read(path, 3) == [[list(RED), [0, 0, 0]]]


def test_transparent_parts_of_any_kind_are_black(tmp_path: Path) -> None:
    colour = Image.new("RGBA", (3, 1))
    colour.putdata([(*RED, 255), (*RED, 0), (*RED, 51)])  # 51 is a fifth of 255
    seen = [[list(RED), [0, 0, 0], [40, 6, 8]]]
    assert read(saved(tmp_path / "a.png", colour, "PNG"), 3) == seen
    assert read(saved(tmp_path / "a.tif", colour, "TIFF"), 3) == seen
    assert read(saved(tmp_path / "a.webp", colour, "WEBP", lossless=True), 3)[0][1] == [0, 0, 0]
    grey = Image.new("LA", (2, 1))
    grey.putdata([(80, 255), (80, 0)])
    path = saved(tmp_path / "grey.png", grey, "PNG")
    assert (read(path, 1), probe(path).channels) == ([[[80], [0]]], 1)


def test_a_transparent_entry_of_a_palette_and_a_transparent_grey_are_black(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, *RED])
    picture.putdata([0, 1])
    assert read(saved(tmp_path / "a.png", picture, "PNG", transparency=1), 3) == [[list(RED), [0, 0, 0]]]
    grey = np.array([[80, 81]], dtype=np.uint8)
    content = made.png(grey, made.PNG_GREY, made.chunk(b"tRNS", struct.pack(">H", 81)), bits=8)
    assert read(write(tmp_path / "grey.png", content), 1) == [[[80], [0]]]


def test_fewer_bits_than_eight_are_spread_over_all_greys(tmp_path: Path) -> None:
    picture = Image.new("1", (2, 1))
    picture.putdata([1, 0])
    assert read(saved(tmp_path / "a.png", picture, "PNG"), 1) == [[[255], [0]]]
    assert read(saved(tmp_path / "a.tif", picture, "TIFF", compression="group4"), 1) == [[[255], [0]]]


@pytest.mark.parametrize("white_is_zero", [True, False])
def test_a_tiff_whose_zero_is_white_is_turned_round(tmp_path: Path, white_is_zero: bool) -> None:
    values = np.array([[0, 55, 255]], dtype=np.uint8)
    path = write(tmp_path / "a.tif", made.tiff((values, {made.PHOTOMETRIC: [0 if white_is_zero else 1]})))
    assert np.ravel(read(path, 1)).tolist() == ([255, 200, 0] if white_is_zero else [0, 55, 255])


def test_inks_become_light_by_what_each_leaves(tmp_path: Path) -> None:
    inks = Image.new("CMYK", (8, 8), (200, 0, 0, 40))
    assert read(saved(tmp_path / "a.tif", inks, "TIFF"), 3, ONE_PIXEL) == [[[46, 215, 215]]]  # 215 x 55 / 255 = 46.4
    path = saved(tmp_path / "a.jpg", inks, "JPEG", quality=100, subsampling=0)
    assert np.abs(np.asarray(read(path, 3)) - (46, 215, 215)).max() <= 3
    assert b"Adobe" in path.read_bytes()  # whose mark says that the file has its inks the other way round


# How a picture of 3 columns and 2 rows, 1 2 3 over 4 5 6, is stored for each EXIF orientation is undone to the same.
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, [[1, 2, 3], [4, 5, 6]]),
        (2, [[3, 2, 1], [6, 5, 4]]),
        (3, [[6, 5, 4], [3, 2, 1]]),
        (4, [[4, 5, 6], [1, 2, 3]]),
        (5, [[1, 4], [2, 5], [3, 6]]),
        (6, [[3, 6], [2, 5], [1, 4]]),
        (7, [[6, 3], [5, 2], [4, 1]]),
        (8, [[4, 1], [5, 2], [6, 3]]),
    ],
)
def test_a_picture_that_was_stored_turned_is_upright(tmp_path: Path, orientation: int, stored: list) -> None:
    values = np.asarray(stored, dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    colour = Image.fromarray(np.repeat(values[:, :, None], 3, axis=2))
    paths = [
        saved(tmp_path / "a.png", Image.fromarray(values), "PNG", exif=exif),
        saved(tmp_path / "a.webp", colour, "WEBP", exif=exif, lossless=True),
        write(tmp_path / "a.tif", made.tiff((values, {made.ORIENTATION: [orientation]}))),
        write(tmp_path / "packed.tif", made.tiff((values, {made.ORIENTATION: [orientation], made.COMPRESSION: [8]}))),
    ]
    for path in paths:
        assert probe(path).size == (2, 3), path.name
        assert np.asarray(read(path, 1))[:, :, 0].tolist() == [[1, 2, 3], [4, 5, 6]], path.name


def test_a_jpeg_that_was_stored_turned_is_upright(tmp_path: Path) -> None:
    values = np.zeros((16, 32), dtype=np.uint8)
    values[:, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise: left becomes above
    path = saved(tmp_path / "a.jpg", Image.fromarray(values), "JPEG", exif=exif, quality=100)
    assert probe(path).size == (32, 16)
    rows = np.asarray(read(path, 1))[:, 8, 0]
    assert rows[:14].min() >= 250 and rows[18:].max() <= 5


def test_pages_of_a_tiff_are_its_pictures_without_smaller_copies_and_masks(tmp_path: Path) -> None:
    def one(value: int, subfile: int) -> tuple:
        return np.full((2, 2), value, dtype=np.uint8), {made.SUBFILE: [subfile]}

    path = write(tmp_path / "a.tif", made.tiff(one(10, 0), one(99, 1), one(20, 2), one(98, 4)))
    assert probe(path).frames == 2
    assert [read(path, 1, ONE_PIXEL, frame) for frame in range(2)] == [[[[10]]], [[[20]]]]


def test_a_tiff_of_more_pages_than_are_counted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster, "MOST_PAGES", 3)
    page: tuple = (np.zeros((1, 1), dtype=np.uint8), {})
    assert probe(write(tmp_path / "three.tif", made.tiff(*[page] * 3))).frames == 3
    path = write(tmp_path / "four.tif", made.tiff(*[page] * 4))
    for reading in (probe, lambda file: decode(file, PictureForm(ONE_PIXEL, 1))):
        with pytest.raises(PictureRefused) as refused:
            reading(path)
        assert refused.value.reason is MANY_PAGES


def test_a_phone_s_jpeg_with_a_preview_is_one_picture(tmp_path: Path) -> None:
    pair = [Image.new("L", (8, 8), 200), Image.new("L", (8, 8), 10)]
    path = saved(tmp_path / "a.jpg", pair[0], "MPO", save_all=True, append_images=pair[1:])
    assert (probe(path).kind, probe(path).frames) == ("jpeg", 1)
    assert read(path, 1, ONE_PIXEL) == [[[200]]]


def test_profiles_and_gamma_change_nothing(tmp_path: Path) -> None:
    plain = np.array([[100]], dtype=np.uint8)
    content = made.png(plain, made.PNG_GREY, made.chunk(b"gAMA", struct.pack(">I", 100_000)), bits=8)
    assert read(write(tmp_path / "a.png", content), 1) == [[[100]]]
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    path = saved(tmp_path / "b.png", Image.new("RGB", (1, 1), RED), "PNG", icc_profile=profile)
    assert read(path, 3) == [[list(RED)]]


def test_a_header_is_read_without_the_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7)).save(stream, "PNG")
    path = write(tmp_path / "a.png", stream.getvalue())
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    assert (probe(path).size, probe(path).channels, probe(path).bits, probe(path).frames) == ((7, 9), 3, 8, 1)
