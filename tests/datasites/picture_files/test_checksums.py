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
