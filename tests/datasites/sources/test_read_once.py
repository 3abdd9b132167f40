"""A file that holds one picture is read once: its digest and its pixels are of the same bytes, whatever its format."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian
from support.dicom_files import made, written
from support.made_files import png, write

from datasites.ingestion.picture_reading import Target, Task, read_picture
from datasites.picture_files import file_bytes
from datasites.picture_files.file_bytes import FileBytes
from datasites.picture_files.picture_refused import PictureRefused
from datasites.sources.file_picture import FilePicture
from policies.plans.picture_form import PictureForm

FORM = PictureForm((4, 4), 1, window="full", bits=16)
VALUES = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def drawn(folder: Path) -> list[str]:
    """A file of each format."""
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP"):
        Image.fromarray(VALUES).save(folder / kind, kind)
    write(folder / "deep.png", png(VALUES[:, :, 0].astype(np.uint16) * 257))
    written(made(VALUES[:, :, 0]), folder / "plain.dcm")
    written(made(VALUES[:, :, 0]), folder / "deflated.dcm", DeflatedExplicitVRLittleEndian)
    nibabel.save(nibabel.Nifti1Image(VALUES[:, :, :1], np.eye(4)), folder / "slice.nii")
    write(folder / "slice.nii.gz", gzip.compress((folder / "slice.nii").read_bytes()))
    return sorted(os.listdir(folder))


def test_pixels_size_and_digest_are_the_same_from_a_file_and_from_its_bytes(tmp_path: Path) -> None:
    for name in drawn(tmp_path):
        picture = FilePicture(str(tmp_path), name)
        once = picture.read_once()
        assert once.held is not None and picture.held is None, name
        assert np.array_equal(once.pixels(FORM), picture.pixels(FORM)), name
        assert once.own_size() == picture.own_size() == (8, 8), name
        assert once.digest() == picture.digest() == hashlib.sha256((tmp_path / name).read_bytes()).digest(), name


def test_what_was_read_once_is_not_read_again_when_the_file_becomes_another(tmp_path: Path) -> None:
    for name in drawn(tmp_path):
        once = FilePicture(str(tmp_path), name).read_once()
        before = once.digest(), once.pixels(FORM).tolist()
        (tmp_path / name).write_bytes(b"another")
        assert (once.digest(), once.pixels(FORM).tolist()) == before, name
        (tmp_path / name).unlink()
        assert (once.digest(), once.pixels(FORM).tolist()) == before, name


def test_a_picture_is_sent_to_a_reading_process_as_its_place_and_never_with_its_bytes(tmp_path: Path) -> None:
    for name in drawn(tmp_path):
        for picture in (FilePicture(str(tmp_path), name), FilePicture(str(tmp_path), name, frame=3, axis=1)):
            sent = pickle.dumps(picture)
            assert pickle.loads(sent) == picture, name
            assert len(sent) < 200 + len(str(tmp_path)), name
        once = FilePicture(str(tmp_path), name).read_once()
        assert pickle.loads(pickle.dumps(once)).held is None, name


@pytest.mark.parametrize(("place", "value"), [(0, 1), (1, 1), (24, 1), (25, 1), (399, 255), (None, 0)])
def test_a_picture_of_one_value_is_empty_and_one_with_a_single_other_value_is_not(
    tmp_path: Path, place: int | None, value: int
) -> None:
    pixels = np.zeros(400, dtype=np.uint8)
    if place is not None:
        pixels[place] = value
    Image.fromarray(pixels.reshape(20, 20)).save(tmp_path / "a.png")
    target = Target(PictureForm((20, 20), 1))
    found = read_picture(Task(0, FilePicture(str(tmp_path), "a.png")), target, -1).found
    assert found is not None and found.empty is (place is None)


def test_a_huge_file_and_one_of_several_pictures_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(VALUES).save(tmp_path / "a.png")
    assert FilePicture(str(tmp_path), "a.png", frame=0).read_once().held is None
    size = (tmp_path / "a.png").stat().st_size
    monkeypatch.setattr(file_bytes, "MOST_BYTES", size)
    assert FilePicture(str(tmp_path), "a.png").read_once().held is not None
    monkeypatch.setattr(file_bytes, "MOST_BYTES", size - 1)
    held = FilePicture(str(tmp_path), "a.png").read_once()
    assert held.held is None and held.pixels(FORM).shape == (4, 4, 1)


def test_a_pipe_is_refused_and_not_waited_at_and_a_missing_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("pipe.png", "missing.png"):
        with pytest.raises(PictureRefused) as caught:
            FilePicture(str(tmp_path), name).read_once()
        assert caught.value.reason.code == "not_a_file" and name in caught.value.private


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(VALUES).save(tmp_path / "a.png")
    read = os.read
    monkeypatch.setattr(os, "read", lambda file, most: read(file, most) + b"!")
    with pytest.raises(PictureRefused) as caught:
        FilePicture(str(tmp_path), "a.png").read_once()
    assert caught.value.reason.code == "changed"


def test_a_file_that_is_written_to_after_it_was_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(VALUES).save(tmp_path / "a.png")
    task, target = Task(0, FilePicture(str(tmp_path), "a.png")), Target(FORM)
    assert read_picture(task, target, -1).reason is None
    opened = FileBytes.open

    def written_to(file: FileBytes, mode: str = "rb") -> object:
        with file.path.open("ab") as stream:
            stream.write(b"more")
        return opened(file, mode)

    monkeypatch.setattr(FileBytes, "open", written_to)
    reason = read_picture(task, target, -1).reason
    assert reason is not None and reason.code == "changed"
