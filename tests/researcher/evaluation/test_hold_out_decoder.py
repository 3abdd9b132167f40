"""A hold-out's files are read by the hospitals' decoder and the study's form: a file gives both the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import made_files as made
from support.made_files import write

from datasites.picture_files.decode import decode
from policies.errors import DataError, PlanError
from policies.plans.picture_form import PictureForm
from researcher.evaluation.hold_out import load_hold_out

CLASSES = ("healthy", "nodule")
LEVELS = np.array([[0, 8192, 32768, 65535]], dtype=np.uint16)
RAMP = np.linspace(0, 4095, 256).round().astype(np.uint16)[None]


def in_classes(root: Path, content: bytes, name: str = "x.png") -> Path:
    for label in CLASSES:
        (root / label).mkdir(parents=True)
        write(root / label / name, content)
    return root


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_grey_bits_are_scaled_as_at_a_hospital(tmp_path: Path, channels: int) -> None:
    root = in_classes(tmp_path / "test", made.png(LEVELS))
    for given in ({"image_shape": (1, 4, channels)}, {"form": PictureForm((1, 4), channels)}):
        images = load_hold_out(root, class_names=CLASSES, **given).images
        assert images.shape == (2, 1, 4, channels)
        assert images[1, 0, :, 0].tolist() == [0, 32, 128, 255]
    assert load_hold_out(root).images[0, 0, :, 0].tolist() == [0, 32, 128, 255]


def test_pictures_become_what_the_form_says(tmp_path: Path) -> None:
    root = in_classes(tmp_path / "test", made.png(RAMP))
    with pytest.raises(DataError, match=r"x\.png cannot be taken: .*sixteenth"):
        load_hold_out(root, image_shape=(1, 256, 1))
    form = PictureForm((4, 64), 1, "fit", bits=12)
    images = load_hold_out(root, image_shape=(9, 9, 3), form=form).images
    assert images.tolist() == [decode(root / "healthy" / "x.png", form).tolist()] * 2
    deep = load_hold_out(root, form=replace(form, store_bits=16)).images
    assert (deep.dtype, deep.shape) == (np.uint16, (2, 4, 64, 1))


@pytest.mark.parametrize(("name", "kind"), [("a.TIF", "TIFF"), ("a.bmp", "BMP"), ("a.Jpg", "PNG"), ("a", "WEBP")])
def test_every_format_that_a_hospital_may_have_is_read(tmp_path: Path, name: str, kind: str) -> None:
    values = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    for label in CLASSES:
        (tmp_path / label).mkdir()
        Image.fromarray(values).save(tmp_path / label / name, kind, lossless=True)
    assert load_hold_out(tmp_path).images.tolist() == [values.tolist()] * 2


def test_what_systems_leave_behind_is_no_picture(tmp_path: Path) -> None:
    root = in_classes(tmp_path / "test", made.png(LEVELS))
    (root / "__MACOSX" / "healthy").mkdir(parents=True)
    write(root / "__MACOSX" / "healthy" / "._x.png", b"\0\5\x16\7\0\2\0\0Mac OS X")
    write(root / "nodule" / "Thumbs.db", b"thumbnails")
    write(root / "healthy" / "._x.png", b"\0\5\x16\7\0\2\0\0Mac OS X")
    write(root / "healthy" / "notes.txt", b"no picture")
    (root / ".hidden").mkdir()
    write(root / ".hidden" / "x.png", made.png(LEVELS))
    assert load_hold_out(root).labels.tolist() == [0, 1]


def test_what_a_hospital_refuses_is_refused_with_the_same_words(tmp_path: Path) -> None:
    page = np.zeros((1, 4), dtype=np.uint8)
    refused = {
        "cut short": (made.png(LEVELS)[:45], "damaged"),
        "fractions": (made.tiff((page.astype(np.float32), {made.SAMPLE_FORMAT: [3]})), "fractions"),
        "several": (made.tiff((page, {}), (page, {})), "several pictures"),
        "other format": (b"GIF89a" + bytes(40), "of no format"),
    }
    for name, (content, told) in refused.items():
        root = in_classes(tmp_path / name, made.png(LEVELS))
        write(root / "healthy" / "y.png", content)
        for given in ({}, {"image_shape": (1, 4, 1)}):
            with pytest.raises(DataError, match=rf"y\.png cannot be taken: .*{told}"):
                load_hold_out(root, **given)


def test_classes_stand_in_the_order_that_hospitals_give_them(tmp_path: Path) -> None:
    for label in ("2", "10", "1"):
        (tmp_path / label).mkdir()
        write(tmp_path / label / "x.png", made.png(LEVELS))
    assert load_hold_out(tmp_path).class_names == ("1", "2", "10")


def test_a_form_of_other_channels_than_files_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="channels must be one of 1, 3"):
        load_hold_out(in_classes(tmp_path / "test", made.png(LEVELS)), image_shape=(1, 4, 4))


@pytest.mark.parametrize("name", ["grey.npz", "capitals.NPZ"])
def test_grey_arrays_are_read_whatever_the_file_s_case(tmp_path: Path, name: str) -> None:
    arrays: dict[str, Any] = {"images": np.arange(24, dtype=np.uint8).reshape(6, 2, 2), "labels": np.arange(6) % 2}
    with (tmp_path / name).open("wb") as stream:
        np.savez(stream, **arrays)
    assert load_hold_out(tmp_path / name).images.tolist() == arrays["images"][..., None].tolist()


def test_arrays_are_read_by_the_hospitals_rules_of_layout_parts_labels_and_bits(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    labels = np.array([[0], [1], [1], [0]])
    np.savez(tmp_path / "first.npz", images=np.moveaxis(colour, -1, 1), labels=labels)
    np.savez(
        tmp_path / "parts.npz", train_images=colour[::-1], train_labels=labels, test_images=colour, test_labels=labels
    )
    for name in ("first", "parts"):
        found = load_hold_out(tmp_path / f"{name}.npz", class_names=CLASSES)
        assert (found.images == colour).all() and (found.label_kind, found.labels.tolist()) == ("single", [0, 1, 1, 0])
    np.savez(tmp_path / "unclear.npz", images=np.zeros((4, 3, 5, 3), np.uint8), labels=labels)
    with pytest.raises(DataError, match="both axes could be channels"):
        load_hold_out(tmp_path / "unclear.npz")
    assert load_hold_out(tmp_path / "unclear.npz", image_shape=(3, 5, 3)).images.shape == (4, 3, 5, 3)
    np.savez(tmp_path / "deep.npz", images=np.repeat(LEVELS[None], 4, axis=0), labels=labels)
    found = load_hold_out(tmp_path / "deep.npz", class_names=CLASSES, form=PictureForm((1, 4), 1))
    assert found.images.dtype == np.uint8 and found.images[3, 0, :, 0].tolist() == [0, 32, 128, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_whose_white_is_in_doubt_are_refused_without_a_form_as_files_are(tmp_path: Path, channels: int) -> None:
    images = np.repeat(np.tile(RAMP[None, :, :, None], (4, 8, 1, 1)), channels, axis=3)
    np.savez(tmp_path / "deep.npz", images=images, labels=np.arange(4) % 2)
    with pytest.raises(DataError, match=r"4 of 4 pictures .*what is white is in doubt.*TOML file"):
        load_hold_out(tmp_path / "deep.npz")
    described = tmp_path / "deep.toml"
    described.write_text('[dataset]\ndata_path = "deep.npz"\nbits = 12\n')
    assert load_hold_out(described).images.max() == 255
    bright = images * 16
    np.savez(tmp_path / "bright.npz", images=bright, labels=np.arange(4) % 2)
    assert (load_hold_out(tmp_path / "bright.npz").images == bright).all()


def test_one_array_in_many_whose_white_is_in_doubt_is_left_out_with_its_label(tmp_path: Path) -> None:
    images = np.full((200, 8, 8), 65535, dtype=np.uint16)
    images[7] = 4095
    np.savez(tmp_path / "deep.npz", images=images, labels=np.arange(200) % 2)
    found = load_hold_out(tmp_path / "deep.npz")
    assert found.images.shape == (199, 8, 8, 1) and found.images.min() == 65535
    assert found.labels.tolist() == [number % 2 for number in range(200) if number != 7]
    assert len(found.left_out) == 1 and "images[7]" in found.left_out[0]
