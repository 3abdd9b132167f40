"""A public hold-out reads the same from every form, and a wrong one is named."""

import numpy as np
import pytest
from PIL import Image

from policies.errors import DataError
from researcher.evaluation.hold_out import load_hold_out

RED, WHITE = (200, 30, 30), (240, 240, 240)


def paint(path, colour, size=(4, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if isinstance(colour, tuple) else "L", size, colour).save(path)


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_class_folders_give_sorted_classes(tmp_path):
    paint(tmp_path / "white" / "1.png", WHITE)
    paint(tmp_path / "red" / "2.png", RED)
    paint(tmp_path / "red" / "3.png", RED)
    (tmp_path / "red" / "notes.txt").write_text("no picture")
    hold_out = load_hold_out(tmp_path)
    assert hold_out.class_names == ("red", "white")
    assert hold_out.labels.tolist() == [0, 0, 1]
    assert hold_out.images.shape == (3, 3, 4, 3)  # 4 wide, 3 high
    assert hold_out.images[0, 0, 0].tolist() == list(RED)


def test_hospital_folders_are_put_together(tmp_path):
    paint(tmp_path / "north" / "red" / "1.jpg", RED)
    paint(tmp_path / "south" / "red" / "1.JPG", RED)
    paint(tmp_path / "south" / "white" / "1.jpeg", WHITE)
    hold_out = load_hold_out(tmp_path)
    assert hold_out.class_names == ("red", "white")
    assert sorted(hold_out.labels.tolist()) == [0, 0, 1]


def test_the_studys_class_order_wins_even_where_a_class_is_absent(tmp_path):
    paint(tmp_path / "white" / "1.png", WHITE)
    hold_out = load_hold_out(tmp_path, class_names=["platelet", "white", "red"])
    assert hold_out.labels.tolist() == [1]
    assert hold_out.class_names == ("platelet", "white", "red")


def test_a_class_that_the_study_does_not_know_is_named(tmp_path):
    paint(tmp_path / "wihte" / "1.png", WHITE)
    with pytest.raises(DataError, match=r"among red, white; another came.* wihte"):
        load_hold_out(tmp_path, class_names=["red", "white"])


def test_grey_pictures_have_one_channel(tmp_path):
    paint(tmp_path / "a" / "1.png", 77)
    paint(tmp_path / "b" / "1.png", 77)
    images = load_hold_out(tmp_path).images
    assert images.shape == (2, 3, 4, 1)
    assert int(images.max()) == int(images.min()) == 77


def test_pictures_of_two_sizes_are_refused(tmp_path):
    paint(tmp_path / "a" / "1.png", RED)
    paint(tmp_path / "b" / "2.png", RED, size=(5, 5))
    with pytest.raises(DataError, match="one size"):
        load_hold_out(tmp_path)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    paint(tmp_path / "a" / "1.png", RED)
    paint(tmp_path / "b" / "1.png", RED)
    (tmp_path / "a" / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"broken\.png"):
        load_hold_out(tmp_path)


def test_an_npz_is_read_with_or_without_class_names(tmp_path):
    images, labels = np.zeros((3, 2, 2, 1), np.uint8), np.array([0, 2, 1])
    bare = load_hold_out(npz(tmp_path / "bare.npz", images=images, labels=labels, sites=np.array(["x"] * 3)))
    assert (bare.class_names, bare.labels.tolist()) == (("class_0", "class_1", "class_2"), [0, 2, 1])
    named = npz(tmp_path / "named.npz", images=images, labels=labels, class_names=np.array(["a", "b", "c"]))
    assert load_hold_out(named).class_names == ("a", "b", "c")
    turned = load_hold_out(named, class_names=["c", "b", "a"])
    assert (turned.class_names, turned.labels.tolist()) == (("c", "b", "a"), [2, 0, 1])


@pytest.mark.parametrize(
    "arrays",
    [
        {"labels": np.zeros(1, int)},
        {"images": np.zeros((1, 2, 2, 3), np.uint8)},
        {"images": np.zeros((1, 2, 2, 3)), "labels": np.zeros(1, int)},
        {"images": np.zeros((1, 2), np.uint8), "labels": np.zeros(1, int)},
        {"images": np.zeros((0, 2, 2, 3), np.uint8), "labels": np.zeros(0, int)},
        {"images": np.zeros((2, 2, 2, 3), np.uint8), "labels": np.zeros(1, int)},
        {"images": np.zeros((1, 2, 2, 3), np.uint8), "labels": np.zeros(1)},
        {"images": np.zeros((1, 2, 2, 3), np.uint8), "labels": np.array([-1])},
        {"images": np.zeros((1, 2, 2, 3), np.uint8), "labels": np.array([2]), "class_names": np.array(["a"])},
        {"images": np.zeros((1, 2, 2, 3), np.uint8), "labels": np.array([object()], dtype=object)},
    ],
)
def test_an_npz_of_other_form_is_refused(tmp_path, arrays):
    with pytest.raises(DataError):
        load_hold_out(npz(tmp_path / "hold_out.npz", **arrays))


def test_what_is_neither_folder_nor_npz_is_refused(tmp_path):
    for path in (tmp_path / "absent", tmp_path / "absent.npz", tmp_path):
        with pytest.raises(DataError):
            load_hold_out(path)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DataError):
        load_hold_out(tmp_path / "text.npz")


def test_names_of_an_npz_in_another_array_never_stand_beside_the_models_order(tmp_path):
    images, labels = np.zeros((4, 2, 2, 3), np.uint8), np.array([0, 1, 1, 1])
    file = npz(tmp_path / "named.npz", images=images, labels=labels, classes=np.array(["healthy", "nodule"]))
    assert load_hold_out(file, class_names=("healthy", "nodule")).labels.tolist() == [0, 1, 1, 1]
    for names in (("nodule", "healthy"), None):
        with pytest.raises(DataError, match=r"named\.npz: The \.npz file names its classes in 'classes'"):
            load_hold_out(file, class_names=names)


@pytest.mark.parametrize("expected", [None, ("healthy", "nodule")])
def test_names_of_an_npz_are_text_and_each_is_there_once(tmp_path, expected):
    arrays = {"images": np.zeros((4, 2, 2, 3), np.uint8), "labels": np.array([0, 1, 1, 1])}
    bare = npz(tmp_path / "bytes.npz", class_names=np.array([b"healthy", b"nodule"]), **arrays)
    with pytest.raises(DataError, match="'class_names' must be text"):
        load_hold_out(bare, class_names=expected)
    twice = npz(tmp_path / "twice.npz", class_names=np.array(["healthy", "healthy"]), **arrays)
    with pytest.raises(DataError, match="class_names holds 'healthy' twice"):
        load_hold_out(twice, class_names=expected)
