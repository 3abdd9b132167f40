"""A JPEG whose coded values changed on a disk is refused, where its codes tell; libjpeg shows something else."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit
from support.dicom_files import made, written
from support.jpeg_writing import segment

from datasites.picture_files.containers.jpeg_codes import has_broken_codes
from datasites.picture_files.decode import decode
from datasites.picture_files.dicom.pixels import pixels
from datasites.picture_files.file_bytes import FileBytes
from datasites.picture_files.picture_refused import PictureRefused
from policies.plans.picture_form import PictureForm

SECTOR = 512
FORMS = {
    "a quarter of colours": {},
    "all colours": {"subsampling": 0},
    "half of colours": {"subsampling": 1},
    "tables of its own": {"optimize": True},
    "restarts": {"restart_marker_rows": 1},
    "restarts within rows": {"restart_marker_blocks": 3},
}


def painted(mode: str = "RGB", size: tuple[int, int] = (200, 150)) -> Image.Image:
    """A picture of discs and grain, which has codes of all lengths."""
    x, y = np.meshgrid(np.linspace(-3, 3, size[0]), np.linspace(-3, 3, size[1]))
    shape = 128 + 90 * np.sin(x * x + y * y)[:, :, None] * np.array([1, 0.7, 0.4])
    grain = np.random.default_rng(7).normal(0, 6, shape.shape)
    return Image.fromarray((shape + grain).clip(0, 255).astype(np.uint8)).convert(mode)


def jpeg(picture: Image.Image, **form: Any) -> bytes:
    into = io.BytesIO()
    picture.save(into, "JPEG", **{"quality": 85, **form})
    return into.getvalue()


def coded_from(content: bytes) -> int:
    """The first byte of its coded values."""
    scan = content.index(b"\xff\xda")
    return scan + 2 + int.from_bytes(content[scan + 2 : scan + 4], "big")


def shown(content: bytes) -> NDArray[np.int64]:
    """What Pillow shows."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(np.int64)


def read(content: bytes) -> NDArray[Any]:
    return decode(FileBytes(Path("a.jpg"), content), PictureForm((150, 200), 3))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_whole_files_of_every_form_and_size_are_whole(mode: str, form: dict[str, Any]) -> None:
    for size in ((1, 1), (7, 9), (16, 16), (33, 17), (200, 150)):
        for quality in (1, 50, 100):
            assert not has_broken_codes(jpeg(painted(mode, size), quality=quality, **form))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("filler", [b"\0", b"\x55", b"\x7f"], ids=["zeros", "85", "127"])
def test_a_sector_of_something_else_is_damage_that_pillow_does_not_tell(
    mode: str, form: dict[str, Any], filler: bytes
) -> None:
    content = jpeg(painted(mode), **form)
    at = coded_from(content) + 3000
    rotten = content[:at] + filler * SECTOR + content[at + SECTOR :]
    assert len(rotten) == len(content) > at + SECTOR + 1000
    assert np.abs(shown(rotten) - shown(content)).max() > 30
    with pytest.raises(PictureRefused) as caught:
        read(rotten)
    assert caught.value.reason.code == "damaged"


def test_of_pictures_that_one_bit_spoils_many_are_told_by_its_codes() -> None:
    content = jpeg(painted())
    whole, random, spoilt = shown(content), np.random.default_rng(11), list[bool]()
    for at in random.integers(coded_from(content), len(content) - 2, 150):
        rotten = bytearray(content)
        rotten[at] ^= 1 << random.integers(8)
        with suppress(OSError):  # a marker that was none: Pillow refuses it
            if (np.abs(shown(bytes(rotten)) - whole).max(axis=2) > 24).mean() > 0.05:
                spoilt.append(has_broken_codes(bytes(rotten)))
    assert len(spoilt) >= 15
    assert np.mean(spoilt) > 0.3


def test_a_block_too_few_or_too_many_is_told_by_the_size_that_the_header_says() -> None:
    content = jpeg(painted("L", (160, 160)))
    frame = content.index(b"\xff\xc0")
    assert int.from_bytes(content[frame + 5 : frame + 7], "big") == 160
    for rows, is_broken in ((160, False), (153, False), (152, True), (161, True)):  # eight rows are a row of blocks
        other = content[: frame + 5] + rows.to_bytes(2, "big") + content[frame + 7 :]
        assert has_broken_codes(other) == is_broken


@pytest.mark.parametrize("more", [b"\0" * 700, b"\xff\xd0", b"\xff\xff"])
def test_what_some_cameras_write_behind_the_last_value_is_no_damage(more: bytes) -> None:
    content = jpeg(painted())
    assert not has_broken_codes(content[:-2] + more + content[-2:])
    assert has_broken_codes(content[:-2] + bytes(range(1, 100)) + content[-2:])


def test_a_scan_for_each_colour_is_looked_at_too() -> None:
    """Three scans of grey are those of a frame of three components, each by its own tables."""
    grey = jpeg(painted("L", (40, 24)))
    frame, coded = grey.index(b"\xff\xc0"), coded_from(grey)
    body = bytes([8, 0, 24, 0, 40, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    tables = grey[frame + 13 : grey.index(b"\xff\xda")]
    scans = [segment(0xDA, bytes([1, number, 0, 0, 63, 0])) + grey[coded:-2] for number in (1, 2, 3)]
    content = grey[:frame] + segment(0xC0, body) + tables + b"".join(scans) + b"\xff\xd9"
    assert shown(content).shape == (24, 40, 3)
    assert not has_broken_codes(content)
    rotten = content.replace(grey[coded + 20 : coded + 90], bytes(70))
    assert len(rotten) == len(content)
    assert has_broken_codes(rotten)


def test_a_frame_of_a_dicom_file_is_looked_at_too(tmp_path: Path) -> None:
    content = jpeg(painted("L"))
    rotten = content[: (at := coded_from(content) + 2000)] + bytes(SECTOR) + content[at + SECTOR :]
    form = PictureForm((150, 200), 1)
    files = []
    for number, coded in enumerate((content, rotten)):
        dataset = made(np.zeros((150, 200), dtype=np.uint8))
        dataset.PixelData = encapsulate([coded])
        files.append(written(dataset, tmp_path / f"{number}.dcm", JPEGBaseline8Bit))
    assert np.array_equal(pixels(files[0], form).levels, shown(content)[:, :, 0])
    with pytest.raises(PictureRefused) as caught:
        pixels(files[1], form)
    assert caught.value.reason.code == "dicom_undecodable"
