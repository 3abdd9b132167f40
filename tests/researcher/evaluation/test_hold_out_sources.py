"""A hold-out is any source that a hospital may have: tables, DICOM trees, volumes, described by the same settings."""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from pydicom import Dataset
from support import made_files
from support.dicom_files import made, written

from datasites.picture_files.decode import decode
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.read_listing import list_pictures
from policies.errors import DataError
from policies.plans.picture_form import PictureForm
from researcher.evaluation.hold_out import HoldOut, load_hold_out

CLASSES = ("healthy", "nodule")
FORM = PictureForm((2, 4), 1, "fit")


def pictures(folder: Path, count: int) -> list[str]:
    """Grey files of 8 bits, each of another value; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        values = np.full((3, 4), number, dtype=np.uint8)
        made_files.write(folder / f"{number:03}.png", made_files.png(values, bits=8))
    return [f"{number:03}.png" for number in range(count)]


def test_a_path_where_nothing_is_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing is there") as refused:
        load_hold_out(tmp_path / "hold_out.npz")
    assert str(refused.value).count("hold_out.npz") == 1


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_a_table_is_read_by_the_hospitals_decoder_and_the_studys_form(tmp_path: Path, between: str) -> None:
    names = pictures(tmp_path / "pictures", 3)
    lines = [between.join(("path", "label")), *(f"pictures/{name}{between}nodule" for name in names)]
    table = tmp_path / "labels.csv"
    table.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    held = load_hold_out(table, class_names=CLASSES, form=FORM)
    assert held.labels.tolist() == [1, 1, 1]
    assert held.images.tolist() == [decode(tmp_path / "pictures" / name, FORM).tolist() for name in names]


def test_a_settings_file_describes_a_table_of_findings_whose_order_becomes_the_models(tmp_path: Path) -> None:
    names = pictures(tmp_path / "pictures", 2)
    rows = ["file,Patient Name,Mass,Effusion,note", f"{names[0]},A,1,0,x", f"{names[1]},B,-1,1,y"]
    (tmp_path / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    described = tmp_path / "held.toml"
    described.write_text(
        '[dataset]\ndata_path = "pictures"\ntable = "labels.csv"\npath_column = "file"\nlabel_kind = "multi"\n'
        'label_columns = ["Mass", "Effusion"]\nreport_column = "note"\n'
    )
    held = load_hold_out(described, class_names=("Effusion", "Cyst", "Mass"), form=FORM)
    assert held.labels.tolist() == [[0, -1, 1], [1, -1, -1]]
    assert (held.label_kind, held.reports) == ("multi", ("x", "y"))
    with pytest.raises(DataError, match="has a class 'Mass'"):
        load_hold_out(described, class_names=("Effusion", "Cyst"), form=FORM)


def dicom(folder: Path, number: int, **elements: object) -> Dataset:
    values = np.arange(12).reshape(3, 4) + number
    dataset = made(values, bits=12, WindowCenter=8, WindowWidth=16, StudyInstanceUID=f"1.2.{number}", **elements)
    folder.mkdir(parents=True, exist_ok=True)
    written(dataset, folder / f"{number}.dcm")
    return dataset


def test_a_dicom_tree_is_read_with_a_folder_for_each_class_or_with_a_table(tmp_path: Path) -> None:
    for number, label in enumerate(CLASSES):
        dicom(tmp_path / "export" / label, number, PatientID=f"P{number}")
    for path in (tmp_path / "export", tmp_path / "held.toml"):
        (tmp_path / "labels.csv").write_text("study,finding\n1.2.0,healthy\n1.2.1,nodule\n1.2.9,nodule\n")
        (tmp_path / "held.toml").write_text(
            '[dataset]\ndata_path = "export"\nlabels_from = "table"\ntable = "labels.csv"\npath_column = "study"\n'
            'table_match = "StudyInstanceUID"\nlabel_columns = ["finding"]\n'
        )
        held = load_hold_out(path, class_names=CLASSES, form=FORM)
        assert held.labels.tolist() == [0, 1]
        assert held.images.tolist() == [
            decode(tmp_path / "export" / label / f"{number}.dcm", FORM).tolist() for number, label in enumerate(CLASSES)
        ]


def test_a_hundredth_is_left_out_and_named_and_more_is_refused(tmp_path: Path) -> None:
    names = pictures(tmp_path, 200)
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n" + "".join(f"{name},{CLASSES[int(name[:3]) % 2]}\n" for name in names))
    whole = (tmp_path / names[7]).read_bytes()
    for place in (7, 8):
        (tmp_path / names[place]).write_bytes(whole[:45])
    held = load_hold_out(table, class_names=CLASSES, form=FORM)
    assert (len(held.images), len(held.labels)) == (198, 198)
    assert held.labels.tolist() == [place % 2 for place in range(200) if place not in (7, 8)]
    told = list(held.told())
    assert told[0] == "2 of 200 pictures of the hold-out are left out:"
    assert "007.png cannot be taken: " in told[1] and "008.png cannot be taken: " in told[2] and len(told) == 3
    (tmp_path / names[9]).write_bytes(whole[:45])
    with pytest.raises(DataError, match=r"3 of 200 pictures of the hold-out cannot be taken\. 007\.png"):
        load_hold_out(table, class_names=CLASSES, form=FORM)


def test_what_the_hold_out_has_no_picture_of_is_told_before_anything_is_scored_on_it() -> None:
    images, names = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1), ("a", "b", "c")
    assert list(HoldOut(images, np.array([2, 0, 2, 0]), names).told()) == [
        "The hold-out has no picture of b: nothing can be said of it."
    ]
    assert not list(HoldOut(images, np.array([2, 0, 1, 0]), names).told())
    assert not list(HoldOut(images, np.full((4, 3), -1), names).told())  # findings: their own table has dashes


def test_what_describes_nothing_is_refused_with_what_to_write(tmp_path: Path) -> None:
    described = tmp_path / "held.toml"
    for content in ("", "[limits]\n", "[dataset]\n[limits]\n", "dataset = 1\n"):
        described.write_text(content)
        with pytest.raises(DataError, match=r"must hold a table \[dataset\]"):
            load_hold_out(described, class_names=CLASSES, form=FORM)
    described.write_text("[dataset]\nno_such_setting = 1\n")
    with pytest.raises(DataError, match="no_such_setting"):
        load_hold_out(described, class_names=CLASSES, form=FORM)


@pytest.mark.parametrize("head", ["split", "Set", "划分", "purpose"])
def test_a_table_with_a_column_of_parts_is_no_hold_out_until_one_of_them_is_taken(tmp_path: Path, head: str) -> None:
    names = pictures(tmp_path, 3)
    rows = [
        f"{name},{label},{part}"
        for name, label, part in zip(names, ("healthy", "nodule", "healthy"), ("train", "test", "test"), strict=True)
    ]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join([f"path,label,{head}", *rows]), encoding="utf-8")
    for classes in (None, CLASSES):
        with pytest.raises(DataError, match=rf"column {head} .*parts of one data set \(test, train\)"):
            load_hold_out(table, class_names=classes, form=FORM)
    described = tmp_path / "held.toml"
    for line, count in ((f'site_column = "{head}"\nsite = "test"', 2), (f'safe_columns = ["{head}"]', 3)):
        described.write_text(f'[dataset]\ndata_path = "labels.csv"\n{line}\n', encoding="utf-8")
        assert len(load_hold_out(described, class_names=CLASSES, form=FORM).labels) == count


def test_an_archive_whose_sites_are_parts_is_no_hold_out_until_one_of_them_is_taken(tmp_path: Path) -> None:
    images, labels = np.zeros((4, 8, 8), dtype=np.uint8), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "all.npz", images=images, labels=labels, sites=np.array(["train", "train", "test", "test"]))
    with pytest.raises(DataError, match=r"sites name parts of one data set \(test, train\)"):
        load_hold_out(tmp_path / "all.npz", class_names=CLASSES)
    described = tmp_path / "held.toml"
    described.write_text('[dataset]\ndata_path = "all.npz"\nsite = "test"\n')
    assert load_hold_out(described, class_names=CLASSES).labels.tolist() == [0, 1]
    np.savez(tmp_path / "two.npz", images=images, labels=labels, sites=np.array(["north", "north", "south", "south"]))
    assert load_hold_out(tmp_path / "two.npz", class_names=CLASSES).labels.tolist() == [0, 1, 0, 1]


def test_labels_with_one_1_in_each_row_are_at_a_hospital_and_in_a_hold_out_the_same(tmp_path: Path) -> None:
    file, one_hot = tmp_path / "all.npz", np.eye(3, dtype=np.int64)[[0, 2, 1, 0]]
    np.savez(file, images=np.zeros((4, 8, 8), dtype=np.uint8), labels=one_hot)
    for kind, given in (("single", None), ("single", "single"), ("multi", "multi")):
        found = list_pictures(DatasetSettings(data_path=str(file), label_kind=kind))
        held = load_hold_out(file, label_kind=given)
        assert (held.label_kind, held.class_names) == (found.label_kind, found.class_names)
        labels = np.array([one.labels for one in found.pictures])
        assert held.labels.tolist() == (labels[:, 0] if kind == "single" else labels).tolist()


@pytest.mark.parametrize("models", ["NFC", "NFD"])
@pytest.mark.parametrize("own", ["NFC", "NFD"])
def test_classes_that_look_the_same_are_the_models_whichever_form_their_letters_have(
    tmp_path: Path, models: str, own: str
) -> None:
    names = [normalize(own, one) for one in ("weiß", "gesünder")]
    file = tmp_path / "all.npz"
    np.savez(file, images=np.zeros((2, 8, 8), dtype=np.uint8), labels=np.array([0, 1]), class_names=np.array(names))
    assert load_hold_out(file).class_names == ("weiß", "gesünder")
    for asked in (("gesünder", "weiß"), ("weiß", "gesünder")):
        classes = tuple(normalize(models, one) for one in asked)
        held = load_hold_out(file, class_names=classes)
        assert held.class_names == classes and held.labels.tolist() == [asked.index("weiß"), asked.index("gesünder")]
