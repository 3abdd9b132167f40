"""Class folders are listed as they lie; what could publish a patient or lose a class is refused, nothing is silent."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.painting import Paint

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import Listing
from datasites.sources.read_listing import list_pictures
from policies.errors import ConfigError, DataError, IdentitySuspected
from policies.plans.picture_form import PictureForm


def listing(folder: Path, **settings: Any) -> Listing:
    return list_pictures(DatasetSettings(data_path=str(folder), **settings))


def places(found: Listing) -> list[str]:
    return [one.picture.place for one in found.pictures]


def counts(found: Listing) -> dict[str, int]:
    return dict(Counter(found.class_names[one.labels[0]] for one in found.pictures))


def left_out(found: Listing) -> dict[str, str]:
    return {one.place: one.reason.code for one in found.left_out}


def lost(found: Listing) -> list[str]:
    return [one.place for one in found.left_out if one.lost]


@pytest.fixture
def two_classes(paint: Paint, tmp_path: Path) -> Path:
    for name in ("red", "white"):
        for number in range(2):
            paint(f"{name}/{number}.png", 10 * number)
    return tmp_path


# --- what comes in ---


def test_every_format_comes_in_by_its_content_in_any_case_of_its_suffix(paint: Paint, tmp_path: Path) -> None:
    for suffix in ("png", "PNG", "Jpg", "jpeg", "TIF", "tiff", "bmp", "webp", "JFIF"):
        paint("red/1.jpg").rename(tmp_path / "red" / f"a.{suffix}") if suffix == "JFIF" else paint(f"red/a.{suffix}")
    paint("white/1.png").rename(tmp_path / "white" / "no_suffix")
    found = listing(tmp_path)
    assert counts(found) == {"red": 9, "white": 1} and not found.left_out
    assert (found.own_size, found.own_channels, found.label_kind) == ((3, 4), 3, "single"), "WebP has no grey"


def test_pictures_come_in_the_order_of_names_with_their_pixels(two_classes: Path) -> None:
    found = listing(two_classes)
    assert places(found) == ["red/0.png", "red/1.png", "white/0.png", "white/1.png"]
    pixels = [pickle.loads(pickle.dumps(one.picture)).pixels(PictureForm((2, 2), 1)) for one in found.pictures]
    assert [int(one[0, 0, 0]) for one in pixels] == [0, 10, 0, 10]
    assert len({one.picture.digest() for one in found.pictures}) == 2
    assert all(len(pickle.dumps(one.picture)) < 500 for one in found.pictures), "a place, not pixels"


def test_sizes_that_differ_are_nobodys_own_and_a_colour_makes_three_channels(paint: Paint, two_classes: Path) -> None:
    paint("red/big.png", (1, 2, 3), (9, 9))
    found = listing(two_classes)
    assert (found.own_size, found.own_channels) == (None, 3)
    assert listing(two_classes, size=[4, 4], channels=1).own_channels is None, "nobody asks, so no header is read"


def test_given_classes_keep_their_order_and_may_be_missing_here(two_classes: Path) -> None:
    found = listing(two_classes, class_names=["white", "platelet", "red"])
    assert found.class_names == ("white", "platelet", "red") and counts(found) == {"red": 2, "white": 2}


def test_numbered_classes_are_in_the_order_of_their_numbers(paint: Paint, tmp_path: Path) -> None:
    for number in (10, 2, 0):
        paint(f"{number}/1.png")
    assert listing(tmp_path).class_names == ("0", "2", "10")


def test_letters_with_marks_are_one_class_however_a_system_writes_them(paint: Paint, tmp_path: Path) -> None:
    paint("Dru\u0308se/1.png")
    paint("Drüse/2.png")
    paint("腺/1.png")
    assert listing(tmp_path).class_names == ("Drüse", "腺")


def test_a_hospital_of_several_takes_the_classes_of_all(paint: Paint, tmp_path: Path) -> None:
    for inside in ("north/red/1.png", "north/white/1.png", "Würzburg/red/1.png", "Würzburg/platelet/1.png"):
        paint(inside)
    (tmp_path / "Würzburg" / "empty").mkdir()
    found = listing(tmp_path, site="Wu\u0308rzburg")
    assert found.class_names == ("platelet", "red", "white") and counts(found) == {"platelet": 1, "red": 1}
    assert found.root == tmp_path / "Würzburg"
    with pytest.raises(DataError, match="must hold a folder for the hospital 'west'"):
        listing(tmp_path, site="west")


def test_reports_beside_the_class_folders_belong_to_their_pictures(two_classes: Path) -> None:
    rows = [f"{name}/{number}.png,{name} {number}" for name in ("red", "white") for number in range(2)]
    (two_classes / "reports.csv").write_text("\n".join(["picture,report", *rows]), encoding="utf-8-sig")
    found = listing(two_classes, text_length=4)
    assert [one.report for one in found.pictures] == ["red 0", "red 1", "white 0", "white 1"]
    (two_classes / "reports.csv").write_text("\n".join(["picture,report", *rows[1:]]))
    with pytest.raises(DataError, match=r"reports.csv must name every picture") as caught:
        listing(two_classes, text_length=4)
    assert "0.png" in caught.value.private and "0.png" not in caught.value.public


def test_nothing_is_found_is_said(tmp_path: Path, paint: Paint) -> None:
    for path in (tmp_path / "missing", ""):
        with pytest.raises(ConfigError, match="No pictures"):
            list_pictures(DatasetSettings(data_path=str(path)))
    with pytest.raises(DataError, match="none came"):
        listing(tmp_path)
    paint("one.png")
    for name, said in (("all.zip", "archive. Unpack it"), ("a.pdf", "a table, nor a DICOMDIR"), ("one.png", "is one")):
        with (tmp_path / name).open("ab") as file:
            file.write(b"PK")
        with pytest.raises(ConfigError, match=said):
            listing(tmp_path / name)


# --- what is left out is told, and no class is lost ---


def test_what_systems_leave_behind_is_told_and_is_no_class(two_classes: Path) -> None:
    for stray in (
        "@eaDir",
        "__MACOSX",
        "lost+found",
        "$RECYCLE.BIN",
        ".ipynb_checkpoints",
        "System Volume Information",
    ):
        (two_classes / stray).mkdir()
        Image.new("L", (4, 3)).save(two_classes / stray / "1.png")
    (two_classes / "Neuer Ordner").mkdir()
    for name in ("Thumbs.db", ".DS_Store", "._1.png", "desktop.ini"):
        (two_classes / "red" / name).write_bytes(b"no picture")
    (two_classes / "readme.txt").write_text("about")
    found = listing(two_classes)
    assert found.class_names == ("red", "white") and len(found.pictures) == 4 and not lost(found)
    told = left_out(found)
    assert told["@eaDir"] == told["red/Thumbs.db"] == told["red/._1.png"] == "system_file"
    assert told["Neuer Ordner"] == "empty_folder" and told["readme.txt"] == "other_file"
    assert len(told) == 12


@pytest.mark.parametrize("name", ["Neuer Ordner", "New folder", "新建文件夹"])
def test_a_folder_that_nobody_named_is_no_class_even_with_pictures(paint: Paint, two_classes: Path, name: str) -> None:
    paint(f"{name}/1.png")
    with pytest.raises(DataError, match="name that new folders get"):
        listing(two_classes)


@pytest.mark.parametrize("content", [b"", b"no picture", b"GIF89a", b"\x89PNG\r\n\x1a\n broken"])
def test_a_broken_file_is_told_with_its_reason(two_classes: Path, content: bytes) -> None:
    (two_classes / "red" / "broken.png").write_bytes(content)
    found = listing(two_classes)
    assert len(found.pictures) == 4 and lost(found) == ["red/broken.png"]


@pytest.mark.parametrize("class_names", [[], ["red", "white", "gone"]])
def test_a_class_of_which_no_file_is_read_is_refused(two_classes: Path, class_names: list[str]) -> None:
    (two_classes / "gone").mkdir()
    (two_classes / "gone" / "1.tif").write_bytes(b"no picture")
    with pytest.raises(DataError, match="none of them is a picture that is read") as caught:
        listing(two_classes, class_names=class_names)
    assert "gone" in caught.value.private and "gone" not in caught.value.public


@pytest.mark.parametrize("suffix", ["gif", "npy", "mat", "MP4", "avi", "mrxs", "dng", "tga", "jls"])
def test_pictures_and_films_that_are_not_read_are_lost_and_not_passed_by(two_classes: Path, suffix: str) -> None:
    (two_classes / "red" / f"9.{suffix}").write_bytes(b"something that no decoder reads")
    (two_classes / "red" / "notes.txt").write_text("about")
    found = listing(two_classes)
    assert lost(found) == [f"red/9.{suffix}"] and left_out(found)[f"red/9.{suffix}"] == "other_format"
    assert left_out(found)["red/notes.txt"] == "other_file"


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\0\x1cftypheic" + bytes(20),
        b"\0\0\0\x1cftypavif" + bytes(20),
        b"\0\0\0\x20ftypisom" + bytes(20),
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20),
        b"\xff\x4f\xff\x51" + bytes(20),
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"GIF89a" + bytes(20),
        b"NRRD0005\ntype: short",
        b"ObjectType = Image\nNDims = 3",
        (348).to_bytes(4, "little") + bytes(340) + b"ni1\0",
    ],
    ids=["HEIC", "AVIF", "MP4", "JP2", "J2K", "JXL", "GIF", "NRRD", "MetaImage", "a pair's header"],
)
def test_pictures_of_other_formats_are_lost_also_without_a_name_that_says_so(two_classes: Path, content: bytes) -> None:
    for name in ("IMG_0009", "9.dat"):
        (two_classes / "red" / name).write_bytes(content)
    found = listing(two_classes)
    assert lost(found) == ["red/9.dat", "red/IMG_0009"]
    assert {left_out(found)[one] for one in lost(found)} == {"other_format"}


def test_an_animated_or_a_cut_picture_is_left_to_the_reader_and_a_link_to_nothing_is_told(two_classes: Path) -> None:
    (two_classes / "red" / "link.png").symlink_to(two_classes / "red" / "missing.png")
    assert left_out(listing(two_classes))["red/link.png"] == "not_a_file"


def test_dicom_files_among_pictures_are_not_taken_without_a_look_at_their_headers(two_classes: Path) -> None:
    (two_classes / "red" / "1.dcm").write_bytes(bytes(128) + b"DICM" + bytes(100))
    found = listing(two_classes)
    assert lost(found) == ["red/1.dcm"] and left_out(found)["red/1.dcm"] == "dicom_file"


@pytest.mark.parametrize("frames", ["one", "all", "middle"])
def test_pages_of_a_tiff_are_taken_as_the_settings_say(two_classes: Path, frames: str) -> None:
    pages = [Image.new("L", (4, 3), level) for level in (10, 20, 30)]
    pages[0].save(two_classes / "red" / "0.tif", save_all=True, append_images=pages[1:])
    found = listing(two_classes, frames=frames)
    taken = [one for one in found.pictures if one.picture.place.startswith("red/0.tif")]
    levels = [int(one.picture.pixels(PictureForm((3, 4), 1))[0, 0, 0]) for one in taken]
    assert levels == {"one": [], "all": [10, 20, 30], "middle": [20]}[frames]
    assert lost(found) == (["red/0.tif"] if frames == "one" else [])
    assert all(one.patient == ("red/0.tif" if frames != "one" else None) for one in taken), "one file, one patient"


# --- folders in folders: nothing is guessed ---


def test_patients_in_class_folders_are_not_published_unless_nobody_but_the_settings_say_so(
    paint: Paint, tmp_path: Path
) -> None:
    for kind in ("benign", "malignant"):
        for patient in ("p1", "p2"):
            for number in range(2):
                paint(f"{kind}/{patient}/{number}.png")
    with pytest.raises(DataError, match=r'folder_levels to \["class", "patient"\]') as caught:
        listing(tmp_path)
    assert "p1" in caught.value.private and "p1" not in caught.value.public
    found = listing(tmp_path, folder_levels=["class", "patient"])
    assert found.class_names == ("benign", "malignant") and len(found.pictures) == 8
    assert Counter(one.patient for one in found.pictures) == {"p1": 4, "p2": 4}
    other = listing(tmp_path, folder_levels=["class", "other"])
    assert other.class_names == ("benign", "malignant") and {one.patient for one in other.pictures} == {None}
    with pytest.raises(IdentitySuspected, match="class names that look like record numbers"):
        listing(tmp_path, folder_levels=["patient", "class"])
    turned = listing(tmp_path, folder_levels=["patient", "class"], safe_kinds=["record_number"])
    assert turned.class_names == ("p1", "p2") and {one.patient for one in turned.pictures} == {"benign", "malignant"}


def test_levels_may_name_the_hospitals(paint: Paint, tmp_path: Path) -> None:
    for inside in ("a/red/p/1.png", "a/white/p/1.png", "b/red/q/1.png"):
        paint(inside)
    levels = ["site", "class", "patient"]
    found = listing(tmp_path, folder_levels=levels, site="b")
    assert found.class_names == ("red", "white") and [one.patient for one in found.pictures] == ["q"]
    for site in ("", "c"):
        with pytest.raises(DataError, match=r"hospitals'. Set site"):
            listing(tmp_path, folder_levels=levels, site=site)


@pytest.mark.parametrize(
    ("levels", "inside", "message"),
    [
        ([], "1.png", "lies beside the class folders"),
        (["class"], "red/more/1.png", "folder_levels"),
        (["class", "patient"], "red/1.png", "one lies higher"),
        (["patient"], "red/1.png", "must name the level of the classes"),
    ],
)
def test_a_picture_at_another_level_is_refused(
    paint: Paint, tmp_path: Path, levels: list[str], inside: str, message: str
) -> None:
    for name in ("red", "white"):
        paint(f"{name}/p/1.png" if "patient" in levels else f"{name}/0.png")
    paint(inside)
    with pytest.raises(DataError, match=message):
        listing(tmp_path, folder_levels=levels)


@pytest.mark.parametrize("parts", [("train", "val", "test"), ("Training", "Testing")])
def test_parts_of_a_data_set_are_neither_hospitals_nor_classes(
    paint: Paint, tmp_path: Path, parts: tuple[str, ...]
) -> None:
    for part in parts:
        for kind in ("red", "white"):
            paint(f"{part}/{kind}/1.png")
    with pytest.raises(DataError, match=rf"{parts[0]}.* look like parts of one data set"):
        listing(tmp_path)
    assert counts(listing(tmp_path / parts[0])) == {"red": 1, "white": 1}


def test_a_folder_that_is_not_a_given_class_is_refused_without_its_name(paint: Paint, two_classes: Path) -> None:
    paint("zebra/1.png")
    with pytest.raises(DataError, match="among red, white; another came") as caught:
        listing(two_classes, class_names=["red", "white"])
    assert "zebra" not in caught.value.public and "zebra" in caught.value.private


# --- links ---


@pytest.mark.parametrize("link", ["red/2.png", "violet"])
def test_a_link_that_leads_outside_is_refused(paint: Paint, tmp_path: Path, link: str) -> None:
    for name in ("red", "white"):
        paint(f"hospital/{name}/1.png")
    outside = paint("elsewhere/1.png")
    (tmp_path / "hospital" / link).symlink_to(outside if link.endswith("png") else outside.parent)
    with pytest.raises(DataError, match="link leads outside") as caught:
        listing(tmp_path / "hospital")
    assert link in caught.value.private


def test_a_link_within_the_folder_is_followed_and_a_circle_is_refused(two_classes: Path) -> None:
    (two_classes / "red" / "2.png").symlink_to(two_classes / "red" / "1.png")
    (two_classes / "rosy").symlink_to(two_classes / "red", target_is_directory=True)
    assert counts(listing(two_classes)) == {"red": 3, "rosy": 3, "white": 2}
    (two_classes / "red" / "again").symlink_to(two_classes, target_is_directory=True)
    with pytest.raises(DataError, match="leads to a folder that it lies in"):
        listing(two_classes)


def test_another_hospital_that_is_a_link_to_another_place_is_refused(paint: Paint, tmp_path: Path) -> None:
    paint("data/south/red/1.png")
    paint("elsewhere/red/1.png")
    (tmp_path / "data" / "north").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="link leads outside"):
        listing(tmp_path / "data", site="south")


# --- identity ---


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ("red/Muster_Anna_1961.png", "name"),
        ("red/MUSTER^ANNA.png", "name"),
        ("red/anna muster.png", "name"),
        ("red/张伟_61.png", "name"),
        ("red/19610302_3.png", "date"),
        ("red/02.03.1961.png", "date"),
        ("red/MRN0012345.png", "record_number"),
        ("red/patient_001234.png", "record_number"),
        ("red/1.2.840.113619.2.55.3.png", "record_number"),
    ],
)
def test_names_that_look_like_a_persons_stop_the_listing_until_they_are_said_to_be_none(
    paint: Paint, two_classes: Path, inside: str, kind: str
) -> None:
    paint(inside)
    with pytest.raises(IdentitySuspected, match="file names that look like") as caught:
        listing(two_classes)
    name = inside.partition("/")[2]
    assert name in caught.value.private and name not in caught.value.public
    assert len(listing(two_classes, safe_kinds=[kind]).pictures) == 5


def test_a_class_that_looks_like_a_person_is_not_published(paint: Paint, two_classes: Path) -> None:
    paint("Muster_Anna_1961/1.png")
    with pytest.raises(IdentitySuspected, match="class names that look like names"):
        listing(two_classes)


def test_ordinary_names_are_no_persons(paint: Paint, two_classes: Path) -> None:
    ordinary = ("0001", "IMG_0042", "lesion-12a", "Squamous_Cell_007", "ISIC_0024306", "disc_left_3", "glioma T2 12")
    for name in ordinary:
        paint(f"red/{name}.png")
    paint("白内障/左眼_3.png")
    assert len(listing(two_classes).pictures) == 12


# --- volumes ---


def test_slices_of_a_volume_come_from_a_declared_direction(two_classes: Path) -> None:
    import nibabel

    values = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    nibabel.Nifti1Image(values, np.eye(4)).to_filename(two_classes / "red" / "v.nii.gz")
    assert lost(listing(two_classes)) == ["red/v.nii.gz"]
    for axis, slices in enumerate(values.shape):
        found = listing(two_classes, frames="all", nifti_axis=axis)
        assert [one.patient for one in found.pictures].count("red/v.nii.gz") == slices
        assert places(found)[2] == "red/v.nii.gz [0]"


@pytest.mark.parametrize("kind", ["auto", "folder", "dicom"])
def test_folders_of_more_levels_than_anybody_makes_are_refused(paint: Paint, tmp_path: Path, kind: str) -> None:
    paint("pictures/a/1.png")
    (tmp_path / "pictures" / "a" / "/".join("x" * 70)).mkdir(parents=True)
    with pytest.raises(DataError, match="levels") as refused:
        list_pictures(DatasetSettings(data_path=str(tmp_path / "pictures"), kind=kind))
    assert "x/x" not in refused.value.public


def test_parts_of_a_data_set_are_no_classes_of_a_hospital_either(paint: Paint, tmp_path: Path) -> None:
    for kind in ("red", "white"):
        for part in ("train", "test"):
            paint(f"{kind}/{part}/1.png")
    with pytest.raises(DataError, match="test, train look like parts of one data set"):
        list_pictures(DatasetSettings(data_path=str(tmp_path), site="red"))
