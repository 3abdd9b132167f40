"""What a file says of itself beside its pixels counts, where Pillow passes over it and shows another picture."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import jpeg_writing
from support import made_files as made
from support.made_files import write

from datasites.picture_files.containers.jpeg_scans import lacks_scans
from datasites.picture_files.decode import decode, probe
from datasites.picture_files.picture_refused import PictureRefused
from policies.plans.picture_form import PictureForm

GREYS = np.array([[0, 100, 255]], dtype=np.uint8)
DESCRIPTION, PROGRAM, COLOURS, XMP, DEPTH, HAMAMATSU = 270, 305, 320, 700, 32997, 65420


def read(path: Path, channels: int = 1, frame: int = 0, **form: Any) -> list:
    values = np.asarray(decode(path, PictureForm(probe(path).size, channels, **form), frame))
    return values[..., 0].tolist() if channels == 1 else values.tolist()


def refused(path: Path, reading: Any = read) -> str:
    with pytest.raises(PictureRefused) as caught:
        reading(path)
    return caught.value.reason.code


def text(words: str) -> list[int]:
    return list(words.encode() + b"\0")


def tiff(path: Path, *pages: Mapping[int, Sequence[int]], values: Any = GREYS) -> Path:
    """One file, each of whose pages has these tags; texts are written as such."""
    content = made.tiff(*[(values, tags) for tags in pages])
    for tags in pages:
        for tag in set(tags) & {DESCRIPTION, PROGRAM, XMP}:
            numbers = struct.pack(f"<{len(tags[tag])}I", *tags[tag])
            letters = bytes(tags[tag]).ljust(len(numbers), b"\0")
            kind = 1 if tag == XMP else 2
            content = content.replace(
                struct.pack("<HHI", tag, 4, len(tags[tag])), struct.pack("<HHI", tag, kind, len(tags[tag]))
            )
            content = content.replace(numbers, letters)
    return write(path, content)


# --- TIFF -----------------------------------------------------------------------------------------------------


def test_values_of_eight_bits_with_a_sign_are_refused(tmp_path: Path) -> None:
    assert read(tiff(tmp_path / "a.tif", {made.SAMPLE_FORMAT: [1]})) == GREYS.tolist()
    for reading in (read, probe):
        assert refused(tiff(tmp_path / "b.tif", {made.SAMPLE_FORMAT: [2]}), reading) == "long_values"


def test_a_page_that_does_not_say_what_its_zero_is_is_refused(tmp_path: Path) -> None:
    content = made.tiff((GREYS, {})).replace(struct.pack("<HHII", 262, 4, 1, 1), struct.pack("<HHII", 263, 4, 1, 1))
    assert refused(write(tmp_path / "a.tif", content)) == "colour_space"


def test_inks_that_are_others_than_cmyk_are_refused(tmp_path: Path) -> None:
    inks = np.array([[[200, 0, 0, 40]]], dtype=np.uint8)
    tags = {made.PHOTOMETRIC: [5]}
    assert read(tiff(tmp_path / "cmyk.tif", tags, values=inks), 3) == [[[46, 215, 215]]]
    assert refused(tiff(tmp_path / "others.tif", {**tags, 332: [2]}, values=inks)) == "colour_space"


def test_a_palette_of_eight_bits_in_sixteen_is_refused_and_not_black(tmp_path: Path) -> None:
    def palette(white: int) -> Path:
        reds = [white * number // 255 for number in range(256)]
        return tiff(tmp_path / "a.tif", {made.PHOTOMETRIC: [3], COLOURS: [*reds, *[0] * 512]})

    assert read(palette(65535), 3) == [[[0, 0, 0], [100, 0, 0], [255, 0, 0]]]
    assert refused(palette(255)) == "colour_space"


@pytest.mark.parametrize("is_said", [True, False])
def test_pixels_that_share_their_tints_are_not_read_on_into_the_next_strip(tmp_path: Path, is_said: bool) -> None:
    # Two strips of 2 x 2 pixels: four brightnesses and two tints each, where 12 bytes would be read.
    content = struct.pack("<4s2I", b"II*\0", 8, 0)[:8]
    tags = [(256, 2), (257, 4), (258, 8), (259, 1), (262, 6), (277, 3), (278, 2)]
    table = [*tags, (273, 0), (279, 0), *([(530, 0)] if is_said else [])]
    start = 8 + 2 + 12 * len(table) + 4
    content += struct.pack("<H", len(table))
    for tag, number in sorted(table):
        if tag in (273, 279):
            content += struct.pack("<HHII", tag, 4, 2, start + 8 * (tag == 279))
        elif tag == 258:
            content += struct.pack("<HHII", tag, 3, 3, start + 16)
        elif tag == 530:
            content += struct.pack("<HHIHH", tag, 3, 2, 2, 2)
        else:
            content += struct.pack("<HHII", tag, 4, 1, number)
    data = start + 22
    content += bytes(4) + struct.pack("<4I3H", data, data + 6, 6, 6, 8, 8, 8)
    content += bytes([10, 20, 30, 40, 128, 128, 50, 60, 70, 80, 128, 128]) + bytes(40)
    for reading in (read, probe):
        assert refused(write(tmp_path / "a.tif", content), reading) == "unknown_layout"


@pytest.mark.parametrize(
    "words",
    ["ImageJ=1.54f\nimages=3\nslices=3\n", '{"shape": [3, 1, 3], "truncated": true}'],
    ids=["ImageJ", "tifffile"],
)
def test_slices_without_a_page_of_their_own_are_told_and_not_dropped(tmp_path: Path, words: str) -> None:
    path = tiff(tmp_path / "a.tif", {DESCRIPTION: text(words)})
    for reading in (read, probe):
        assert refused(path, reading) == "hidden_pages"


def test_a_stack_with_a_page_for_each_slice_is_read(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", {DESCRIPTION: text("ImageJ=1.54f\nimages=2\n")}, {})
    assert (probe(path).frames, read(path, frame=1)) == (2, GREYS.tolist())
    assert refused(tiff(tmp_path / "deep.tif", {DEPTH: [4]})) == "hidden_pages"


def test_of_an_aperio_slide_the_first_page_is_the_slide_and_no_other_a_picture(tmp_path: Path) -> None:
    says = {DESCRIPTION: text("Aperio Image Library v11\n3x1")}
    path = tiff(tmp_path / "a.svs", says, says, {made.SUBFILE: [9]})
    assert (probe(path).frames, read(path)) == (1, GREYS.tolist())
    assert refused(path, lambda file: read(file, frame=1)) == "no_such_frame"


@pytest.mark.parametrize(
    "tags",
    [
        {HAMAMATSU: [1]},
        {DESCRIPTION: text('<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">')},
        {DESCRIPTION: text("level=0 mag=40 quality=95")},
        {XMP: text("<?xml?><Metadata><iScan/></Metadata>")},
        {PROGRAM: text("Philips DP v1.0")},
    ],
    ids=["Hamamatsu", "Leica", "Ventana", "Ventana's words", "Philips"],
)
def test_other_scanners_slides_are_refused_since_a_page_may_be_the_label(tmp_path: Path, tags: Any) -> None:
    for reading in (read, probe):
        assert refused(tiff(tmp_path / "a.tif", {}, tags), reading) == "slide_file"
    assert read(tiff(tmp_path / "one.tif", tags)) == GREYS.tolist()  # a region that was exported by itself


def test_what_is_half_transparent_already_is_taken_as_it_is(tmp_path: Path) -> None:
    grey = np.array([[[40, 80], [3, 7], [0, 0]]], dtype=np.uint8)
    assert read(tiff(tmp_path / "g.tif", {made.EXTRA: [1]}, values=grey)) == [[40, 3, 0]]
    colour = np.array([[[40, 80, 3, 90], [1, 2, 3, 7]]], dtype=np.uint8)
    assert read(tiff(tmp_path / "c.tif", {made.EXTRA: [1]}, values=colour), 3) == [[[40, 80, 3], [1, 2, 3]]]


# --- PNG ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 4])
def test_a_transparent_grey_of_few_bits_is_black(tmp_path: Path, bits: int) -> None:
    # Greys 1, 2 and 3 from the highest bits on; 2 is transparent. Pillow compares 2 with greys of 8 bits.
    row = (1 << 8 - bits | 2 << 8 - 2 * bits | 3 << 8 - 3 * bits) if bits == 2 else 0x1230
    content = made.png(np.zeros((1, 3), np.uint8), made.PNG_GREY, made.chunk(b"tRNS", b"\0\2"), bits=8)
    packed = made.chunk(b"IDAT", zlib.compress(b"\0" + row.to_bytes(1 if bits == 2 else 2, "big")))
    head = made.chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 1, bits, 0, 0, 0, 0))
    start = content.index(b"IDAT") - 4
    path = write(tmp_path / "a.png", content[:8] + head + content[33:start] + packed + content[-12:])
    assert read(path) == [[255 // (2**bits - 1) * grey for grey in (1, 0, 3)]]


def test_twelve_bits_are_as_bright_beside_a_transparency_of_sixteen(tmp_path: Path) -> None:
    says = made.chunk(b"sBIT", bytes([12, 12, 12, 16]))
    values = np.array([[[4095, 0, 2048, 65535], [4095, 4095, 0, 0]]], dtype=np.uint16)
    path = write(tmp_path / "a.png", made.png(values, made.PNG_COLOUR_ALPHA, says))
    assert read(path, 3) == [[[255, 0, 128], [0, 0, 0]]]
    values[..., 3] >>= 4
    path = write(tmp_path / "b.png", made.png(values, made.PNG_COLOUR_ALPHA, says))
    assert read(path, 3) == [[[255, 0, 128], [0, 0, 0]]]


def test_bits_that_were_only_shifted_up_reach_white(tmp_path: Path) -> None:
    values = np.arange(0, 1024, 3, dtype=np.uint16)[None] << 6
    path = write(tmp_path / "a.png", made.png(values, made.PNG_GREY, made.chunk(b"sBIT", b"\x0a")))
    assert read(path) == [[(value * 255 + 511) // 1023 for value in range(0, 1024, 3)]]


# --- JPEG and BMP ---------------------------------------------------------------------------------------------


def test_a_jpeg_that_ends_before_its_last_scans_is_refused_and_not_coarse(tmp_path: Path) -> None:
    stream = io.BytesIO()
    values = np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(values).save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    scans = [at for at in range(len(content)) if content.startswith(b"\xff\xda", at)]
    assert len(scans) > 5
    assert len(read(write(tmp_path / "whole.jpg", content), 3)) == 16
    for scan in scans[1:]:
        assert refused(write(tmp_path / "cut.jpg", content[:scan] + b"\xff\xd9")) == "damaged"


def test_a_sequential_jpeg_whose_encoder_wrote_no_frequencies_is_read_as_libjpeg_reads_it(tmp_path: Path) -> None:
    made_jpeg = io.BytesIO()
    Image.fromarray(np.add.outer(np.arange(24), np.arange(16)).astype(np.uint8) * 5).save(made_jpeg, "JPEG")
    content = made_jpeg.getvalue()
    at = content.index(b"\xff\xda") + 7
    assert content[at : at + 3] == b"\x00\x3f\x00"
    other = content[:at] + b"\0\0\0" + content[at + 3 :]
    assert read(write(tmp_path / "a.jpg", other)) == read(write(tmp_path / "b.jpg", content))


@pytest.mark.parametrize("apart", [False, True])
def test_a_jpeg_without_loss_has_scans_of_another_kind(tmp_path: Path, apart: bool) -> None:
    values = np.random.default_rng(4).integers(0, 256, (16, 16, 3))
    content = jpeg_writing.lossless(values, 8, apart=apart)
    path = write(tmp_path / "a.jpg", content)
    assert not lacks_scans(path.read_bytes())
    if apart:
        second = content.index(b"\xff\xda", content.index(b"\xff\xda") + 2)
        assert lacks_scans(content[:second] + b"\xff\xd9")


def test_an_orientation_that_is_none_turns_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    Image.new("L", (8, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert probe(tmp_path / "a.jpg").size == (4, 8)
    assert np.shape(read(tmp_path / "a.jpg")) == (4, 8)


def test_a_bitmap_of_five_and_six_bits_a_colour_is_read(tmp_path: Path) -> None:
    row = struct.pack("<HH", 31 << 11 | 63 << 5, 31)
    head = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0) + struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    path = write(tmp_path / "a.bmp", b"BM" + struct.pack("<IHHI", 70, 0, 0, 66) + head + row)
    assert read(path, 3) == [[[255, 255, 0], [0, 0, 255]]]
