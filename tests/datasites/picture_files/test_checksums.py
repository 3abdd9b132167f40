"""A PNG or a TIFF that changed on a disk is refused, as far as checksums and codes of its form can tell."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from datasites.picture_files.containers import checksums
from datasites.picture_files.decode import decode
from datasites.picture_files.file_bytes import FileBytes
from datasites.picture_files.picture_refused import PictureRefused
from policies.plans.picture_form import PictureForm

SIZE = (150, 120)
SECTOR = 512
TELLING = {
    "PNG": {},
    "TIFF in Deflate": {"compression": "tiff_adobe_deflate"},
    "TIFF in old Deflate": {"compression": "tiff_deflate"},
}


def painted(mode: str = "RGB") -> Image.Image:
    """Bands and grain, of which no row is another's."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    shape = 128 + 100 * np.sin(x / 9 + y / 5)[:, :, None] * np.array([1, 0.6, 0.3])
    grain = np.random.default_rng(5).normal(0, 5, shape.shape)
    return Image.fromarray((shape + grain).clip(0, 255).astype(np.uint8)).convert(mode)


def saved(name: str, mode: str = "RGB") -> bytes:
    into = io.BytesIO()
    painted(mode).save(into, name.split()[0], **TELLING[name])
    return into.getvalue()


def read(content: bytes) -> NDArray[Any]:
    return decode(FileBytes(Path("a"), content), PictureForm((SIZE[1], SIZE[0]), 3))


def is_damaged(content: bytes) -> bool:
    try:
        read(content)
    except PictureRefused as refused:
        return refused.reason.code == "damaged"
    return False


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("name", TELLING)
def test_a_sector_of_zeros_is_told_wherever_it_lies(name: str, mode: str) -> None:
    content = saved(name, mode)
    assert read(content).shape == (SIZE[1], SIZE[0], 3)
    places = range(600, len(content) - 2000, 487)
    assert len(places) > 10
    assert all(is_damaged(content[:at] + bytes(SECTOR) + content[at + SECTOR :]) for at in places)


@pytest.mark.parametrize("name", ["PNG", "TIFF in Deflate"])
def test_a_single_bit_is_told(name: str) -> None:
    content = saved(name)
    for at in range(200, len(content) - 1000, 1501):
        assert is_damaged(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])


def test_the_checksum_of_a_png_alone_tells() -> None:
    """Pillow reads past it: what it guards is right here, and the checksum is not."""
    content = saved("PNG")
    end = content.rindex(b"IEND") - 8
    other = content[:end] + bytes([content[end] ^ 1]) + content[end + 1 :]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(other))), np.asarray(painted()))
    assert is_damaged(other)


def test_a_chunk_beside_the_picture_may_have_changed() -> None:
    content = saved("PNG")
    text = b"tEXtwhat\0ever"
    for checksum in (zlib.crc32(text), 1):
        end = content.rindex(b"IEND") - 4
        other = content[:end] + (9).to_bytes(4, "big") + text + checksum.to_bytes(4, "big") + content[end:]
        assert np.array_equal(read(other), np.asarray(painted()))


def test_a_strip_whose_end_is_missing_is_damaged() -> None:
    content = saved("TIFF in Deflate", "L")
    with Image.open(io.BytesIO(content)) as picture:
        end = picture.tag_v2[273][-1] + picture.tag_v2[279][-1]
    for ending in (bytes(4), content[end - 4 : end - 1] + b"\0"):
        assert is_damaged(content[: end - 4] + ending + content[end:])


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
@pytest.mark.parametrize("tags", [{}, {278: 7}, {278: 7, 317: 2}, {317: 2}], ids=str)
def test_a_whole_strip_is_held_against_its_pixels_and_not_unpacked_again(
    mode: str, tags: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To unpack each strip a second time took half as long again as to read the picture."""
    into = io.BytesIO()
    picture = painted("L" if mode == "I;16" else mode)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * np.uint16(257))
    picture.save(into, "TIFF", compression="tiff_adobe_deflate", tiffinfo=tags)
    content, again = into.getvalue(), list[bytes]()
    real = checksums._is_wrongly_deflated
    monkeypatch.setattr(checksums, "_is_wrongly_deflated", lambda strip: (again.append(strip), real(strip))[1])
    expected = np.asarray(painted(mode if mode == "RGB" else "L"))
    assert np.array_equal(read(content), expected if expected.ndim == 3 else np.repeat(expected[:, :, None], 3, axis=2))
    assert not again
    with Image.open(io.BytesIO(content)) as opened:
        places, lengths = opened.tag_v2[273], opened.tag_v2[279]
    assert (len(places) > 5) == (278 in tags)
    for place, length in zip(places[:: max(1, len(places) // 3)], lengths, strict=False):
        changed = place + length // 2
        assert is_damaged(content[:changed] + bytes([content[changed] ^ 4]) + content[changed + 1 :])


def test_pixels_that_are_packed_otherwise_than_pillow_has_them_are_unpacked_again() -> None:
    """Eight of them in a byte."""
    into = io.BytesIO()
    painted("L").point(lambda grey: 255 * (grey > 128), "1").save(into, "TIFF", compression="tiff_adobe_deflate")
    content = into.getvalue()
    expected = np.where(np.asarray(painted("L")) > 128, 255, 0)
    assert np.array_equal(read(content)[:, :, 0], expected)
    with Image.open(io.BytesIO(content)) as opened:
        end = opened.tag_v2[273][0] + opened.tag_v2[279][0]
    assert is_damaged(content[: end - 1] + bytes([content[end - 1] ^ 1]) + content[end:])
