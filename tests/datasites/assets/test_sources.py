"""A source is a folder or an .npz file, of one hospital or of several that agree on their classes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasites.assets.pictures import SourcePictures
from datasites.assets.sources import list_sites, read_source
from policies.errors import DataError


def paint(path: Path, level: int, size: tuple[int, int] = (4, 3)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(path)


@pytest.fixture
def hospitals(tmp_path: Path) -> Path:
    """North has red and white cells, south has red cells and platelets."""
    paint(tmp_path / "north" / "red" / "1.png", 10)
    paint(tmp_path / "north" / "white" / "1.png", 20)
    paint(tmp_path / "south" / "platelet" / "1.png", 30)
    paint(tmp_path / "south" / "red" / "1.png", 40)
    return tmp_path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    images = np.zeros((4, 3, 4, 1), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=[0, 1, 0, 1], sites=["b", "b", "a", "a"])
    return tmp_path / "data.npz"


def test_hospitals_of_a_folder_are_its_subfolders(hospitals: Path) -> None:
    (hospitals / ".git").mkdir()
    (hospitals / "about.txt").write_text("three hospitals")
    assert list_sites(hospitals) == list_sites(str(hospitals)) == ["north", "south"]


def test_one_hospitals_own_folder_lists_no_hospitals(hospitals: Path) -> None:
    assert list_sites(hospitals / "north") == []


def test_hospitals_of_an_archive_are_its_sites(archive: Path) -> None:
    assert list_sites(archive) == ["a", "b"]


def test_hospitals_agree_on_the_classes_of_all(hospitals: Path) -> None:
    north, south = (read_source(hospitals, site=site) for site in ("north", "south"))
    assert north.class_names == south.class_names == ("platelet", "red", "white")
    assert north.images[:, 0, 0, 0].tolist() == [10, 20]
    assert north.labels.tolist() == [1, 2]
    assert south.images[:, 0, 0, 0].tolist() == [30, 40]
    assert south.labels.tolist() == [0, 1]


def test_without_a_site_all_hospitals_are_read_as_a_hold_out_is(hospitals: Path, archive: Path) -> None:
    assert read_source(hospitals).images[:, 0, 0, 0].tolist() == [10, 20, 30, 40]
    assert read_source(archive).labels.tolist() == [0, 1, 0, 1]


def test_one_hospitals_own_folder_is_read_without_a_site(hospitals: Path) -> None:
    assert read_source(hospitals / "north").class_names == ("red", "white")


def test_an_archive_is_read_by_site(archive: Path) -> None:
    assert len(read_source(archive, site="a").images) == 2


@pytest.mark.parametrize("site", ["west", "..", ".", "north/red", ""])
def test_a_site_that_is_not_a_hospital_of_the_folder_is_refused(hospitals: Path, site: str) -> None:
    with pytest.raises(DataError, match="must hold a folder for the hospital"):
        read_source(hospitals, site=site)


def test_a_hospital_that_is_a_link_to_another_place_is_refused(hospitals: Path) -> None:
    (hospitals / "data").mkdir()
    (hospitals / "north").rename(hospitals / "elsewhere")
    (hospitals / "south").rename(hospitals / "data" / "south")
    (hospitals / "data" / "north").symlink_to(hospitals / "elsewhere")
    with pytest.raises(DataError, match="link leads outside"):
        read_source(hospitals / "data", site="south")


def test_size_and_channels_convert_a_folder_and_are_checked_on_an_archive(hospitals: Path, archive: Path) -> None:
    assert read_source(hospitals, image_size=(8, 8), channels=3).images.shape == (4, 8, 8, 3)
    assert read_source(archive, image_size=(3, 4), channels=1).images.shape == (4, 3, 4, 1)
    with pytest.raises(DataError, match="must be 8 x 8 x 1 as configured, they are 3 x 4 x 1"):
        read_source(archive, image_size=(8, 8))


def test_what_is_neither_folder_nor_archive_is_refused_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "pictures.zip").write_bytes(b"")
    for path in (tmp_path / "missing", tmp_path / "pictures.zip"):
        with pytest.raises(DataError, match="must be an existing folder") as caught:
            list_sites(path)
        assert str(tmp_path) not in caught.value.public
        assert str(tmp_path) in caught.value.private


def test_pictures_do_not_show_themselves_in_print(hospitals: Path) -> None:
    images, labels = np.zeros((2, 1, 1, 1), np.uint8), np.array([0, 1])
    shown = repr(SourcePictures(images, labels, ("a", "b"), ("mrs-miller", "mr-smith")))
    assert "miller" not in shown
    assert "array" not in shown


@pytest.mark.parametrize("names", [("a",), ("a", "a"), ("a", ""), ("a", " "), ("a", "b\n"), ("a", "x" * 65), "ab"])
def test_class_names_that_cannot_be_shown_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"2 to 10000 classes|printable|name of its own"):
        SourcePictures(np.zeros((1, 1, 1, 1), np.uint8), np.array([0]), names)


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0], [0], [0.0, 1.0]])
def test_labels_that_do_not_fit_pictures_and_classes_are_refused(labels: list[float]) -> None:
    with pytest.raises(DataError, match="Labels must"):
        SourcePictures(np.zeros((2, 1, 1, 1), np.uint8), np.array(labels), ("a", "b"))
