"""What is no picture for a served model: refused with what was expected, what came and what to do."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from support.dicom_files import made, written
from support.made_files import chunk
from support.served_models import SIDE, ServedModel, as_file, one_colour, served
from support.waiting import CEILING_SECONDS

PICTURE = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def _several(kind: str) -> bytes:
    pages = [Image.fromarray(one_colour(level, 0, 0)) for level in (10, 200)]
    file = io.BytesIO()
    pages[0].save(file, kind, save_all=True, append_images=pages[1:])
    return file.getvalue()


def _huge_png() -> bytes:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _cmyk_without_adobe() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PICTURE).convert("CMYK").save(file, "JPEG")
    content = file.getvalue()
    mark = content.index(b"\xff\xee")
    return content[:mark] + content[mark + 2 + int.from_bytes(content[mark + 2 : mark + 4], "big") :]


REFUSED = {
    "a text": (b"name,age\nA. Example,70\n", "by its content the file is none of these"),
    "a GIF": (as_file(PICTURE, "GIF"), "Expected PNG, JPEG, TIFF, BMP, WebP or DICOM"),
    "a PDF": (b"%PDF-1.7\n1 0 obj\n", "Save the picture in one of these formats"),
    "a PNG that is cut": (as_file(PICTURE)[:-200], "cut short or damaged"),
    "a JPEG that is cut": (as_file(PICTURE, "JPEG")[:-200], "cut short or damaged"),
    "a moving PNG": (_several("PNG"), "several pictures one after the other"),
    "a moving WebP": (_several("WEBP"), "several pictures one after the other"),
    "a TIFF of two pages": (_several("TIFF"), "?frame=N"),
    "more pixels than are taken": (_huge_png(), "more pixels than"),
    "inks without Adobe's mark": (_cmyk_without_adobe(), "Save it as RGB or grey"),
    "16 bits in doubt": (as_file(np.full((SIDE, SIDE), 900, dtype=np.uint16)), "what is white is in doubt"),
    "a volume": (struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(80), "Expected one picture, a volume (NIfTI)"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_taken_is_refused_with_what_to_do(server: ServedModel, what: str) -> None:
    content, told = REFUSED[what]
    answer = httpx.post(f"{server.url}/v1/classify", content=content, timeout=CEILING_SECONDS)
    assert answer.status_code == 422
    assert answer.json()["code"] == "WW201"
    assert told in answer.json()["error"]


def test_inks_with_adobes_mark_are_taken(server: ServedModel) -> None:
    file = io.BytesIO()
    Image.fromarray(PICTURE).convert("CMYK").save(file, "JPEG")
    assert httpx.post(f"{server.url}/v1/classify", content=file.getvalue(), timeout=CEILING_SECONDS).status_code == 200


def test_frames_of_a_dicom_file_are_chosen_by_number_and_no_other_is_there(server: ServedModel, tmp_path: Path) -> None:
    frames = np.stack([np.full((SIDE, SIDE), level) for level in (0, 100, 255)])
    content = written(made(frames, frames=3), tmp_path / "three.dcm").read_bytes()
    address = f"{server.url}/v1/classify"
    refused = httpx.post(address, content=content, timeout=CEILING_SECONDS)
    assert (refused.status_code, "?frame=N" in refused.json()["error"]) == (422, True)
    assert httpx.post(address, content=content, params={"frame": 2}, timeout=CEILING_SECONDS).status_code == 200
    assert (
        "no picture of this number"
        in httpx.post(address, content=content, params={"frame": 3}, timeout=CEILING_SECONDS).json()["error"]
    )


def test_dicom_without_pixels_and_cut_dicom_are_refused(server: ServedModel, tmp_path: Path) -> None:
    whole = written(made(np.zeros((SIDE, SIDE))), tmp_path / "one.dcm").read_bytes()
    answer = httpx.post(f"{server.url}/v1/classify", content=whole[:-100], timeout=CEILING_SECONDS)
    assert (answer.status_code, "shorter or longer" in answer.json()["error"]) == (422, True)


def test_of_several_pictures_the_refused_one_is_told_by_its_number(server: ServedModel) -> None:
    files = [("pictures", ("patient-name.png", content)) for content in (as_file(PICTURE), b"no picture", b"nor this")]
    answer = httpx.post(f"{server.url}/v1/classify", files=files, timeout=CEILING_SECONDS)
    assert answer.status_code == 422
    assert "(Number 2 of 3.)" in answer.json()["error"]
    assert "patient" not in answer.text


def test_pixels_are_counted_before_they_are_decoded(model: Path) -> None:
    with served(model, max_pixels=SIDE * SIDE - 1) as server:
        answer = httpx.post(f"{server.url}/v1/classify", content=as_file(PICTURE), timeout=CEILING_SECONDS)
    assert (answer.status_code, "--max_pixels" in answer.json()["error"]) == (422, True)


def test_files_with_changed_bytes_are_answered_or_refused_and_never_a_failure(
    server: ServedModel, tmp_path: Path
) -> None:
    dicom = written(made(np.zeros((SIDE, SIDE))), tmp_path / "one.dcm").read_bytes()
    drawn, statuses = random.Random(5), set()
    with httpx.Client(timeout=CEILING_SECONDS) as client:
        for whole in (as_file(PICTURE), as_file(PICTURE, "JPEG"), as_file(PICTURE, "TIFF"), dicom):
            for _ in range(40):
                changed = bytearray(whole)
                for _ in range(drawn.choice((1, 3, 30))):
                    changed[drawn.randrange(len(changed))] = drawn.randrange(256)
                statuses.add(client.post(f"{server.url}/v1/classify", content=bytes(changed)).status_code)
    assert statuses == {200, 422}
