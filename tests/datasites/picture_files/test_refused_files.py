"""Files that cannot be taken are refused by name, whatever they are called and whatever is wrong with them."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import made_files as made
from support.made_files import write

from datasites.picture_files import decode as decoding
from datasites.picture_files import raster, reasons
from datasites.picture_files.decode import decode, probe
from datasites.picture_files.kind import kind_of
from datasites.picture_files.picture_refused import PictureRefused
from policies.errors import DataError
from policies.plans.picture_form import PictureForm

FORM = PictureForm((4, 4), 3)
KINDS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")


def code(path: Path, frame: int = 0) -> str:
    with pytest.raises(PictureRefused) as caught:
        decode(path, FORM, frame)
    return caught.value.reason.code


def noise(path: Path, kind: str, side: int = 40) -> Path:
    values = np.random.default_rng(5).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(values).save(path, kind)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_what_its_content_says_whatever_it_is_called(tmp_path: Path, kind: str) -> None:
    path = noise(tmp_path / "picture.txt", kind)
    assert kind_of(path) == kind.lower()
    assert decode(path, FORM).shape == (4, 4, 3)
    other = path.rename(tmp_path / ("a.JPG" if kind == "PNG" else "a.png"))
    assert decode(other, FORM).shape == (4, 4, 3)


def test_a_dicom_file_is_one_although_it_is_a_tiff_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", b"II*\0" + bytes(124) + b"DICM" + bytes(40))
    assert kind_of(path) == "dicom"
    assert kind_of(write(tmp_path / "a.DCM", b"no preamble" + bytes(400))) == "dicom"


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"BMI,age\n21,5\n" * 9, b"GIF89a" + bytes(40), b"%PDF-1.7", b"PK\3\4" + bytes(400), bytes(400)],
)
def test_what_is_no_picture_is_called_that(tmp_path: Path, content: bytes) -> None:
    assert code(write(tmp_path / "a.png", content)) == "unknown_format"
    assert code(write(tmp_path / "a.gz", gzip.compress(content))) == "unknown_format"


def test_what_is_no_plain_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # opening one waits for whoever writes into it
    assert [code(tmp_path / name) for name in ("missing.png", "pipe.png", "")] == ["not_a_file"] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_short_is_refused_wherever_it_was_cut(tmp_path: Path, kind: str) -> None:
    whole = noise(tmp_path / "whole", kind).read_bytes()
    for share in (0.1, 0.5, 0.9):
        path = write(tmp_path / "cut", whole[: int(len(whole) * share)])
        assert code(path) in {"damaged", "unknown_layout"}, share


@pytest.mark.parametrize("kind", [*KINDS, "DEEP PNG", "PACKED TIFF"])
def test_no_change_of_a_file_gives_anything_but_a_picture_or_a_reason(tmp_path: Path, kind: str) -> None:
    deep = np.random.default_rng(6).integers(0, 65536, (9, 9, 3)).astype(np.uint16)
    made_here = {
        "DEEP PNG": made.png(deep, made.PNG_COLOUR, made.chunk(b"sBIT", b"\x0c\x0c\x0c")),
        "PACKED TIFF": made.tiff((deep, {made.COMPRESSION: [8]}), (deep[:, :, 0], {made.ORIENTATION: [6]})),
    }
    whole = made_here[kind] if kind in made_here else noise(tmp_path / "whole", kind, 9).read_bytes()
    rng = np.random.default_rng(7)
    taken = 0
    for _ in range(60):
        changed = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 400), 3):
            changed[place] = rng.integers(256)
        path = write(tmp_path / "changed", bytes(changed))
        for call in (probe, lambda path: decode(path, FORM)):
            try:
                call(path)
                taken += 1
            except PictureRefused as refusal:
                assert refusal.reason in (*reasons.REASONS,)
    assert taken  # some changes change a pixel alone


def test_pictures_of_too_many_pixels_are_refused_by_their_header(tmp_path: Path) -> None:
    def claims(width: int, height: int) -> Path:
        content = made.png(np.zeros((1, 1), dtype=np.uint8), bits=8)
        size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        return write(tmp_path / "a.png", content[:8] + made.chunk(b"IHDR", size + content[24:29]) + content[33:])

    for sides in ((64_000_001, 1), (20_000, 20_000), (2**31 - 1, 2**31 - 1)):
        assert code(claims(*sides)) == "too_large"
        with pytest.raises(PictureRefused):
            probe(claims(*sides))
    assert code(claims(64_000, 1_000)) == "damaged"  # as many as are taken, which the file has not


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_moving_pictures_are_refused(tmp_path: Path, kind: str) -> None:
    pictures = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    pictures[0].save(tmp_path / "a", kind, save_all=True, append_images=pictures[1:])
    assert code(tmp_path / "a") == "animated"


def test_a_frame_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.tif", "TIFF")
    assert [code(path, frame) for frame in (1, -1)] == ["no_such_frame"] * 2


@pytest.mark.parametrize("colours", ["Lab", "unmarked inks"])
def test_colours_that_no_rule_is_declared_for_are_refused(tmp_path: Path, colours: str) -> None:
    if colours == "Lab":
        Image.new("LAB", (4, 4)).save(tmp_path / "a", "TIFF")
    else:
        Image.new("CMYK", (8, 8)).save(tmp_path / "a", "JPEG")
        content = (tmp_path / "a").read_bytes()
        start = content.index(b"\xff\xee")  # Adobe's mark, without which nobody knows which value is ink
        length = int.from_bytes(content[start + 2 : start + 4], "big")
        write(tmp_path / "a", content[:start] + content[start + 2 + length :])
    assert code(tmp_path / "a") == "colour_space"
    with pytest.raises(PictureRefused):
        probe(tmp_path / "a")


@pytest.mark.parametrize("call", [probe, lambda path: decode(path, FORM)], ids=["probe", "decode"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call) -> None:
    path = noise(tmp_path / "a.png", "PNG")
    whole = path.read_bytes()

    def written_to(opened_path: Path, kind: str):
        with opened_path.open("ab") as stream:
            stream.write(b"more")
        return raster_opened(opened_path, kind)

    raster_opened = raster.opened
    monkeypatch.setattr(raster, "opened", written_to)
    with pytest.raises(PictureRefused) as caught:
        call(path)
    assert caught.value.reason is reasons.CHANGED
    monkeypatch.undo()
    write(path, whole)
    call(path)

    def vanish(opened_path: Path) -> str:
        opened_path.unlink()
        return "png"

    monkeypatch.setattr(decoding, "kind_of", vanish)
    with pytest.raises(PictureRefused) as caught:
        call(path)
    assert caught.value.reason is reasons.NOT_A_FILE


def test_a_refusal_names_no_file_in_public_and_passes_between_processes(tmp_path: Path) -> None:
    path = write(tmp_path / "mueller-anna-1961.png", b"\x89PNG\r\n\x1a\n" + bytes(30))
    with pytest.raises(DataError) as caught:
        decode(path, FORM)
    assert "mueller" not in caught.value.public and "mueller" in caught.value.private
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.reason, again.private) == (caught.value.reason, caught.value.private)


def test_reasons_have_codes_of_their_own_and_full_sentences() -> None:
    codes = [reason.code for reason in reasons.REASONS]
    assert len(set(codes)) == len(codes)
    for reason in reasons.REASONS:
        assert reason.means[0].isupper() and reason.means.endswith(".") and reason.advice.endswith(".")
    declared = {value for value in vars(reasons).values() if isinstance(value, reasons.Reason)}
    assert declared == set(reasons.REASONS)
