"""An .npz file is read whole or by site, all sites agree on the classes, and nothing in it is unpickled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasites.assets.npz import npz_sites, read_npz
from policies.errors import DataError

IMAGES = np.arange(6 * 2 * 3 * 3, dtype=np.uint8).reshape(6, 2, 3, 3)
LABELS = np.array([0, 1, 2, 0, 1, 0])
SITES = np.array(["north", "north", "north", "south", "south", "south"])


def write(folder: Path, **changes: Any) -> Path:
    arrays = {"images": IMAGES, "labels": LABELS, "sites": SITES, **changes}
    np.savez(folder / "data.npz", **{key: value for key, value in arrays.items() if value is not None})
    return folder / "data.npz"


def test_the_whole_file_is_read_in_its_order(tmp_path: Path) -> None:
    source = read_npz(write(tmp_path))
    assert np.array_equal(source.images, IMAGES)
    assert source.labels.tolist() == LABELS.tolist()
    assert source.class_names == ("class_0", "class_1", "class_2")
    assert source.patients is None


def test_one_sites_rows_keep_the_classes_of_the_whole_file(tmp_path: Path) -> None:
    source = read_npz(write(tmp_path), site="south")
    assert np.array_equal(source.images, IMAGES[3:])
    assert source.labels.tolist() == [0, 1, 0]
    assert len(source.class_names) == 3  # class 2 is only in the north


def test_grey_pictures_without_a_channel_axis_get_one(tmp_path: Path) -> None:
    assert read_npz(write(tmp_path, images=IMAGES[..., 0])).images.shape == (6, 2, 3, 1)


def test_groups_are_the_patients_of_the_chosen_rows(tmp_path: Path) -> None:
    groups = np.array(["p1", "p1", "p2", "p3", "p4", "p3"])
    assert read_npz(write(tmp_path, groups=groups), site="south").patients == ("p3", "p4", "p3")


def test_class_names_come_from_the_file_or_the_configuration(tmp_path: Path) -> None:
    names = np.array(["red", "white", "platelet", "other"])  # a class without a picture is fine when it is named
    assert read_npz(write(tmp_path, class_names=names)).class_names == tuple(names)
    assert read_npz(write(tmp_path), classes=["a", "b", "c"]).class_names == ("a", "b", "c")
    with pytest.raises(DataError, match="must be those of the configuration"):
        read_npz(write(tmp_path, class_names=names), classes=["a", "b", "c", "d"])
    with pytest.raises(DataError, match="Labels must lie from 0 to 1"):
        read_npz(write(tmp_path), classes=["a", "b"])


def test_sites_are_listed_once_and_sorted(tmp_path: Path) -> None:
    assert npz_sites(write(tmp_path, sites=SITES[::-1])) == ["north", "south"]
    assert npz_sites(write(tmp_path, sites=np.array([3, 3, 3, 1, 1, 1]))) == ["1", "3"]
    assert npz_sites(write(tmp_path, sites=None)) == []


def test_an_unknown_site_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No picture belongs to the site 'west'"):
        read_npz(write(tmp_path), site="west")
    with pytest.raises(DataError, match="must hold 'sites'"):
        read_npz(write(tmp_path, sites=None), site="north")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "must hold 'images'"),
        ({"labels": None}, "must hold 'labels'"),
        ({"images": IMAGES.astype(np.float32)}, "got float32 with 4 axes"),
        ({"images": IMAGES[0, 0]}, "got uint8 with 2 axes"),
        ({"labels": LABELS.astype(float)}, "got float64 with 1 axes"),
        ({"labels": LABELS[:, None]}, "got int64 with 2 axes"),
        ({"labels": LABELS[:5], "sites": None}, "equally long"),
        ({"labels": LABELS + 1}, "without a gap"),
        ({"labels": LABELS * 2}, "without a gap"),
        ({"labels": LABELS - 1}, "without a gap"),
        ({"labels": LABELS * 0}, "2 to 10000 classes"),
        ({"sites": SITES[:5]}, "'sites' must be one text"),
        ({"groups": LABELS / 2}, "'groups' must be one text"),
        ({"groups": np.array(["p", "p", "p", "p", "p", ""])}, "Fill the missing patient identifiers"),
        ({"class_names": np.array([[0, 1, 2]])}, "'class_names' must be text"),
        ({"images": IMAGES[:0], "labels": LABELS[:0], "sites": None}, "got int64 with 1 axes"),
        ({"images": IMAGES[:, :0]}, "sides of 1 to 4096 pixels"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    file = write(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        read_npz(file, site="north" if changes.get("sites") is not None else None)


def test_python_objects_are_refused_unread(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    file = write(tmp_path, labels=np.array([Trap()] * 6, dtype=object))
    with pytest.raises(DataError, match="without Python objects"):
        read_npz(file)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_npz(tmp_path / "data.npz")
    assert str(tmp_path) not in caught.value.public


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", IMAGES)
    with pytest.raises(DataError, match="got a single array"):
        read_npz(tmp_path / "data.npy")
