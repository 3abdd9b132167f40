"""Masks beside the pictures that they are of are neither pictures of a class nor a class."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.array_store import listed
from support.painting import Paint

from datasites.sources.sites import list_sites
from policies.errors import DataError

_PAIRS = [
    ("images", "labels"),
    ("img", "gt"),
    ("JPEGImages", "SegmentationClass"),
    ("Bilder", "Masken"),
    ("ima\u0301genes", "ma\u0301scaras"),  # as a Mac writes them
    ("图像", "标注"),
]


@pytest.mark.parametrize("mask", ["1_mask.png", "1-Mask_2.png", "1_segmentation.jpg", "1 gt.png", "1_mask_1.png"])
def test_a_mask_is_no_picture_of_its_class(tmp_path: Path, paint: Paint, mask: str) -> None:
    for inside in ("benign/1.png", "malignant/2.png"):
        paint(inside)
    assert len(listed(tmp_path).pictures) == 2
    paint(f"benign/{mask}")
    with pytest.raises(DataError, match="called like masks of others beside them") as refused:
        listed(tmp_path)
    assert refused.value.private == f"For instance: benign/{mask}" and mask not in refused.value.public


def test_a_word_for_a_mask_without_its_picture_stops_nothing(tmp_path: Path, paint: Paint) -> None:
    for inside in ("benign/1_mask.png", "benign/7.png", "malignant/s.png", "malignant/sseg.png"):
        paint(inside)
    assert len(listed(tmp_path).pictures) == 4


def test_a_folder_of_masks_beside_one_of_pictures_is_no_class_unless_it_is_declared(
    tmp_path: Path, paint: Paint
) -> None:
    for inside in ("images/1.png", "masks/1.png"):
        paint(inside)
    with pytest.raises(DataError, match="A folder of masks lies beside one of pictures"):
        listed(tmp_path)
    assert listed(tmp_path, class_names=("images", "masks")).class_names == ("images", "masks")


def test_people_with_and_without_masks_are_two_classes(tmp_path: Path, paint: Paint) -> None:
    for inside in ("mask/1.png", "no mask/2.png"):
        paint(inside)
    assert listed(tmp_path).class_names == ("mask", "no mask")


@pytest.mark.parametrize("pair", _PAIRS)
def test_masks_are_known_by_other_words_and_languages(tmp_path: Path, paint: Paint, pair: tuple[str, str]) -> None:
    for name in pair:
        paint(f"{name}/1.png")
    with pytest.raises(DataError, match="A folder of masks lies beside one of pictures, and each would be a class"):
        listed(tmp_path)


@pytest.mark.parametrize("pair", [("images", "masks"), *_PAIRS])
def test_folders_of_masks_and_pictures_are_no_hospitals(tmp_path: Path, paint: Paint, pair: tuple[str, str]) -> None:
    for name in pair:
        for kind in ("benign", "malignant"):
            paint(f"{name}/{kind}/1.png")
    with pytest.raises(DataError, match="and each would be a hospital"):
        list_sites(tmp_path)


@pytest.mark.parametrize("names", [("labels", "no labels"), ("gt", "north"), ("images", "scans")])
def test_one_of_both_words_alone_stops_no_hospitals(tmp_path: Path, paint: Paint, names: tuple[str, str]) -> None:
    for name in names:
        for kind in ("benign", "malignant"):
            paint(f"{name}/{kind}/1.png")
    assert list_sites(tmp_path) == sorted(names)
