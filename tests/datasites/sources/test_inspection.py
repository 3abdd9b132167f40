"""An inspection says what is there, changes nothing, and suggests settings that take it when they are pasted."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from support.dicom_files import made, written
from support.painting import Paint

from datasites.cli import main
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.inspection.inspection import Inspection, inspect_source
from datasites.sources.inspection.shown import show
from datasites.sources.listing import Listing
from datasites.sources.read_listing import list_pictures
from policies.errors import ConfigError
from policies.terminal.rich_terminal import PlainConsole


def inspected(path: Path, **known: str) -> Inspection:
    return inspect_source(DatasetSettings(data_path=str(path), **known))  # type: ignore[arg-type]


def taken(found: Inspection) -> Listing:
    """What the suggested settings list, pasted as they are."""
    return list_pictures(DatasetSettings.from_dict(tomllib.loads(found.settings)["dataset"]))


@pytest.fixture
def folder(paint: Paint, tmp_path: Path) -> Path:
    for name in ("red", "white"):
        for number in range(3):
            paint(f"data/{name}/{number}.png", 10, (40 + number, 50))
    return tmp_path / "data"


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(one): (one.stat().st_mtime_ns, one.stat().st_size) for one in folder.rglob("*")}


def test_a_folder_is_told_in_formats_sizes_classes_and_what_stays_out(folder: Path) -> None:
    (folder / "red" / "scan.heic").write_bytes(b"not read")
    (folder / "@eaDir").mkdir()
    before = everything(folder)
    looked: list[int] = []
    found = inspect_source(DatasetSettings(data_path=str(folder)), looked.append)
    assert (found.kinds, found.pictures, found.patients, found.channels) == ({"png": 6}, 6, None, 1)
    assert found.sizes == {"50x40": 2, "50x41": 2, "50x42": 2} and found.classes == {"red": 3, "white": 3}
    assert {(one.code, one.count, one.lost) for one in found.left_out} == {
        ("other_format", 1, True),
        ("system_file", 1, False),
    }
    assert "1 of 7 files cannot be taken" in found.problem and not found.identity and looked[-1] == 7
    assert found.settings.startswith("# NOT YET ENOUGH")
    assert everything(folder) == before
    assert len(taken(found).pictures) == 6 and 'size = [32, 32]\nresize = "fit"' in found.settings


def test_what_looks_like_a_persons_is_told_and_no_settings_say_that_it_is_none(paint: Paint, folder: Path) -> None:
    paint("data/red/Muster_Anna_1961.png")
    paint("data/Beispiel_Bernd_1948/1.png")
    found = inspected(folder)
    assert found.pictures == 8 and "WW203" not in found.settings and "safe" not in found.settings
    assert any("class names look like names: Beispiel_Bernd_1948" in line for line in found.identity)
    assert "look like a person's" in found.problem and "class_names" not in found.settings


def test_folders_in_folders_are_patients_or_hospitals_and_parts_are_not_mixed(paint: Paint, tmp_path: Path) -> None:
    for kind in ("red", "white"):
        for number in range(2):
            paint(f"patients/{kind}/{kind}{number}/1.png")
            paint(f"hospitals/h{number}/{kind}/1.png")
            paint(f"parts/{'train' if number else 'test'}/{kind}/{number}.png")
    patients = inspected(tmp_path / "patients")
    assert 'folder_levels = ["class", "patient"]' in patients.settings and patients.patients == 4
    assert [one.patient for one in taken(patients).pictures] == ["red0", "red1", "white0", "white1"]
    hospitals = inspected(tmp_path / "hospitals")
    assert taken(hospitals).root == tmp_path / "hospitals" / "h0" and 'site = "h0"' in hospitals.settings
    parts = inspected(tmp_path / "parts")
    assert [one.picture.place for one in taken(parts).pictures] == ["red/1.png", "white/1.png"]
    assert all(one.notes for one in (patients, hospitals, parts))


def test_a_tables_columns_are_found(folder: Path) -> None:
    rows = [("Bild", "Diagnose", "PatientID", "Klinik")]
    rows += [(f"red/{number}.png", "bösartig" if number else "gutartig", f"p{number}", "Süd") for number in range(3)]
    with (folder / "liste.csv").open("w", encoding="cp1252", newline="") as stream:
        csv.writer(stream, delimiter=";").writerows(rows)
    found = inspected(folder / "liste.csv")
    assert found.classes == {"bösartig": 2, "gutartig": 1} and found.patients == 3
    listed = taken(found)
    assert [one.patient for one in listed.pictures] == ["p0", "p1", "p2"]
    for line in ('path_column = "Bild"', 'table_encoding = "cp1252"', 'unit = "patient"', 'site_column = "Klinik"'):
        assert line in found.settings
    assert len(inspected(folder, table=str(folder / "liste.csv")).classes) == 2


@pytest.mark.parametrize(
    ("head", "texts", "proposed"),
    [
        ("report", ["No mass. Heart of normal size.", "Small effusion on the left.", "As before, no change."], True),
        ("Befund", ["Herz normal groß, kein Erguss, kein Infiltrat.", "Kleiner Erguss links basal, sonst frei.",
                    "Wie am 3. Mai, keine Änderung der Lunge."], True),
        ("检查所见", ["细针穿刺，右侧；良好", "双肺纹理清晰", "心影不大，膈面光滑"], True),
        ("report", ["r1.txt", "r2.txt", "r3.txt"], False),
        ("report_status", ["final", "final", "draft"], False),
        ("remark", ["A long text that nobody calls a report.", "And one more, in other words.", "The third."], False),
    ],
)  # fmt: skip
def test_a_column_that_plainly_holds_reports_is_proposed_and_is_no_label(
    folder: Path, head: str, texts: list[str], proposed: bool
) -> None:
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = [(f"red/{number}.png", text, "ab"[number % 2]) for number, text in enumerate(texts)]
        csv.writer(stream).writerows([("file", head, "grade"), *rows])
    found = inspected(folder / "t.csv")
    told = tomllib.loads(found.settings)["dataset"]
    assert told.get("report_column", "") == (head if proposed else "")
    assert found.classes == {"a": 2, "b": 1} and "text_length" not in told
    assert any("seems to hold reports" in note for note in found.notes) == proposed
    if proposed:
        kept = DatasetSettings.from_dict({**told, "text_length": 8})
        assert sorted(str(one.report) for one in list_pictures(kept).pictures) == sorted(texts)


def test_labels_of_several_words_are_no_reports(folder: Path) -> None:
    names = ("squamous cell carcinoma of the lung, left", "adenocarcinoma of the lung with lymph nodes")
    rows = [f'{kind}/{number}.png,"{names[number % 2]}"' for kind in ("red", "white") for number in range(3)]
    (folder / "t.csv").write_text("\n".join(["file,finding", *rows]))
    found = inspected(folder / "t.csv")
    assert set(found.classes) == set(names) and "report_column" not in found.settings


def test_columns_of_findings_are_found(folder: Path) -> None:
    (folder / "t.csv").write_text("file,mass,effusion\nred/0.png,1,0\nred/1.png,1,1\nred/2.png,-1,\n")
    found = inspected(folder / "t.csv")
    assert found.classes == {"mass": 2, "effusion": 1} and taken(found).label_kind == "multi"


def test_an_archive_is_told_with_its_hospitals_and_findings(tmp_path: Path) -> None:
    images = np.zeros((4, 5, 6), np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.array([[1, 1], [0, 0], [1, 0], [0, 1]]), sites=list("aabb"))
    found = inspected(tmp_path / "d.npz")
    assert found.classes == {"finding_0": 1, "finding_1": 1} and 'label_kind = "multi"' in found.settings
    assert len(taken(found).pictures) == 2 and found.channels == 1


def test_files_of_several_pictures_get_a_setting_for_them(folder: Path) -> None:
    pages = [Image.new("L", (50, 40), level) for level in (10, 20, 30)]
    for name in ("red", "white"):
        pages[0].save(folder / name / "pages.tif", save_all=True, append_images=pages[1:])
    found = inspected(folder)
    assert 'frames = "middle"' in found.settings and len(taken(found).pictures) == 8 and found.kinds["tiff"] == 2


def test_what_cannot_be_read_is_told_and_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'a,b\n"open')
    assert "does not read as one" in inspected(tmp_path / "t.csv").problem
    with pytest.raises(ConfigError, match="No pictures at"):
        inspected(tmp_path / "missing")


def test_the_command_prints_a_table_or_json_in_eighty_columns(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["inspect", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "6 pictures would be taken" in said and '\ndata_path = "' in said
    table = said.split("For config.toml")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert tomllib.loads(said)["dataset"]["data_path"] == str(folder)
    assert main(["inspect", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == {"red": 3, "white": 3}
    assert main(["inspect", str(folder / "missing")]) == 1


def test_in_a_terminal_what_is_told_is_no_comment(folder: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    told = {type(file): file for file in (Terminal(), io.StringIO())}
    found = inspected(folder)
    for file in told.values():
        show(found, PlainConsole(file=file, width=80, color_system=None))
    terminal, other = told[Terminal].getvalue(), told[io.StringIO].getvalue()
    assert "\n6 pictures would be taken" in terminal and "#" not in terminal.partition("For config.toml")[0]
    assert "\n# 6 pictures would be taken" in other
    for text in (terminal, other):
        assert text.endswith(f"{found.settings}\n")
    assert {
        line for line in other.removesuffix(f"{found.settings}\n").splitlines() if not line.startswith("#")
    } == set()


def test_settings_that_were_saved_from_it_begin_a_datasite(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(folder)]) == 0
    (tmp_path / "hospital.toml").write_text(capsys.readouterr().out)
    state = tmp_path / "state"
    assert main(["init", "--name", "h", "--state", str(state), "--settings", str(tmp_path / "hospital.toml")]) == 0
    assert tomllib.loads((state / "config.toml").read_text())["dataset"]["data_path"] == str(folder)


def test_dicom_trees_are_told_with_their_modalities_and_patients(tmp_path: Path) -> None:
    import shutil

    from pydicom.data import get_testdata_file

    for folder, name in (("body", "CT_small.dcm"), ("head", "MR_small.dcm")):
        (tmp_path / folder).mkdir()
        shutil.copy(str(get_testdata_file(name)), tmp_path / folder / name)
    (tmp_path / "head" / "notes.txt").write_text("no picture")
    found = inspected(tmp_path)
    assert (found.kinds, found.modalities) == ({"dicom": 2}, {"CT": 1, "MR": 1}) and found.patients == 2
    assert set(found.sizes) == {"128x128", "64x64"} and found.classes == {"body": 1, "head": 1}
    listed = taken(found)
    assert len(listed.pictures) == 2 and 'unit = "patient"' in found.settings and 'kind = "dicom"' in found.settings
    assert not any(one.patient and one.patient in found.settings for one in listed.pictures)


def test_patients_hospitals_and_parts_are_told_from_classes_in_any_order_of_levels(
    paint: Paint, tmp_path: Path
) -> None:
    for number in range(6):
        kind = ("red", "white")[number % 2]
        paint(f"outer/p{number}/{kind}/1.png", number)
        for hospital in ("north", "south"):
            paint(f"three/{hospital}/{kind}/{hospital}{number}/1.png", number)
            paint(f"parts/{hospital}/train/{kind}/{number}.png", number)
            paint(f"parts/{hospital}/test/{kind}/{number}.png", 9 * number)
        paint(f"wrapped/pictures/{kind}/{number}.png", number)
    for name, levels in (
        ("outer", ["patient", "class"]),
        ("three", ["class", "patient"]),
        ("parts", []),
        ("wrapped", []),
    ):
        found = inspected(tmp_path / name)
        assert set(found.classes) == {"red", "white"} and not found.problem, name
        settings = tomllib.loads(found.settings)["dataset"]
        assert settings.get("folder_levels", []) == levels and len(taken(found).pictures) == 6
    assert inspected(tmp_path / "parts").path == str(tmp_path / "parts" / "north" / "train")
    assert inspected(tmp_path / "three").patients == 6


def test_folders_that_may_be_patients_are_suggested_as_no_classes(paint: Paint, tmp_path: Path) -> None:
    for number in range(25):
        paint(f"many/{number}/{number + 100}/1.png")
    for kind in ("red", "white"):
        paint(f"mixed/{kind}/train/1.png")
        paint(f"mixed/{kind}/test/1.png")
    many, mixed = inspected(tmp_path / "many"), inspected(tmp_path / "mixed")
    assert "cannot be told" in many.notes[0] and "test pictures would be trained on" in mixed.notes[0]
    for found in (many, mixed):
        assert found.problem and found.settings.startswith("# NOT YET ENOUGH") and "class_names" not in found.settings


def test_what_an_ingest_would_stop_at_is_foreseen(paint: Paint, tmp_path: Path) -> None:
    paint("one/red/1.png")
    one = inspected(tmp_path / "one")
    assert "Pictures must have 2 to" in one.problem and one.problem_details == ["There is one class: 'red'."]
    for kind in ("red", "white"):
        for number in range(30):
            paint(f"two/{kind}/{number}.png", number)
    assert not inspected(tmp_path / "two").notes and not inspected(tmp_path / "two").problem
    (tmp_path / "two/white/0.png").unlink()
    (tmp_path / "two/white/0.png").symlink_to("nowhere")
    assert "1 of 60 files cannot be taken, more than the share of 0.01" in inspected(tmp_path / "two").problem
    for number in range(11):
        (tmp_path / f"two/white/{number}.png").unlink()
    assert "49 units (picture) are fewer than the 50" in inspected(tmp_path / "two").notes[0]


def test_a_table_whose_pictures_lie_elsewhere_says_how_to_name_their_folder(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "tables" / "t.csv"
    table.parent.mkdir()
    table.write_text("file,label\nred/0.png,red\nwhite/0.png,white\n")
    alone = inspected(table)
    assert alone.problem and "inspect FOLDER --table FILE" in alone.notes[-1]
    together = inspected(folder, table=str(table))
    assert len(taken(together).pictures) == 2 and not any("--table" in note for note in together.notes)


def test_dicom_files_without_class_folders_are_told_with_what_stays_out_and_attributes_for_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    from pydicom.data import get_testdata_file

    for name in ("CT_small.dcm", "MR_small.dcm", "test-SR.dcm"):
        shutil.copy(str(get_testdata_file(name)), tmp_path / name)
    found = inspected(tmp_path)
    assert "class folders" in found.problem and {one.code for one in found.left_out} == {"report"}
    assert found.label_attributes["Modality"] == {"CT": 1, "MR": 1} and "PatientID" not in found.label_attributes
    assert any("several modalities" in note for note in found.notes)
    assert main(["inspect", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "# NOT YET ENOUGH" in said and "CT 1, MR 1" in said
    assert tomllib.loads(said)["dataset"]["kind"] == "dicom"
    by_attribute = tomllib.loads(found.settings)["dataset"] | {"labels_from": "Modality"}
    assert list_pictures(DatasetSettings.from_dict(by_attribute)).class_names == ("CT", "MR")


def test_a_table_of_dicom_files_is_told_with_the_column_that_names_them_and_what_it_names_them_by(
    tmp_path: Path,
) -> None:
    for number in range(4):
        (tmp_path / "export" / f"ST{number}").mkdir(parents=True)
        written(
            made([[0, 9]], StudyInstanceUID=f"1.2.{number}", PatientID=f"P{number}"),
            tmp_path / "export" / f"ST{number}" / "IM1",
        )
    rows = [f"{number % 2},1.2.{number},note {number},{'ab'[number % 2]}\n" for number in range(4)]
    table = tmp_path / "labels.csv"
    table.write_text("".join(["ward,study,remark,diagnosis\n", *rows]))
    found = inspected(tmp_path / "export", table=str(table))
    assert found.classes == {"a": 2, "b": 2} and (found.pictures, found.patients) == (4, 4)
    assert 'path_column = "study"\ntable_match = "StudyInstanceUID"' in found.settings
    assert len(taken(found).pictures) == 4
    table.write_text("study,diagnosis\n9.9,a\n")
    assert "none does" in inspected(tmp_path / "export", table=str(table)).problem
    assert any("--table" in note for note in inspected(tmp_path / "export").notes)


def test_several_columns_called_findings_are_findings_where_they_hold_0_and_1(paint: Paint, tmp_path: Path) -> None:
    for number in range(4):
        paint(f"{number}.png")
    for name, heads in (("all", "finding_a,finding_b"), ("one", "finding,b")):
        rows = [f"{number}.png,{number % 2},{number // 2 or -1}\n" for number in range(4)]
        (tmp_path / f"{name}.csv").write_text("".join([f"file,{heads}\n", *rows]))
    findings = 'label_columns = ["finding_a", "finding_b"]\nlabel_kind = "multi"'
    assert findings in inspected(tmp_path / "all.csv").settings
    assert 'label_columns = ["finding"]\n' in inspected(tmp_path / "one.csv").settings


def test_findings_in_one_cell_are_told_as_findings(paint: Paint, tmp_path: Path) -> None:
    for number in range(3):
        paint(f"{number}.png")
    (tmp_path / "t.csv").write_text("file,Finding Labels\n0.png,Mass|Effusion\n1.png,No Finding\n2.png,Mass\n")
    found = inspected(tmp_path / "t.csv")
    assert 'label_separator = "|"\nlabel_kind = "multi"\nclass_names = ["Effusion", "Mass"]' in found.settings
    assert sorted(one.labels for one in taken(found).pictures) == [(0, 0), (0, 1), (1, 1)]


def test_many_small_folders_with_the_same_names_in_each_class_are_patients(paint: Paint, tmp_path: Path) -> None:
    for place in range(36):
        paint(f"data/{'ab'[place % 2]}/p{place // 3}/{place}.png")
    found = inspected(tmp_path / "data")
    assert 'folder_levels = ["class", "patient"]' in found.settings and set(found.classes) == {"a", "b"}


def test_volumes_get_a_window_that_does_not_need_their_headers(tmp_path: Path) -> None:
    import nibabel

    for name in "ab":
        (tmp_path / name).mkdir()
        values = np.arange(4 * 5 * 3, dtype=np.int16).reshape(4, 5, 3)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / name / "v.nii.gz")
    found = inspected(tmp_path)
    assert 'window = "percentile"' in found.settings and len(taken(found).pictures) == 2


def test_a_dicomdir_is_inspected_and_not_read_as_a_table() -> None:
    medium = Path(str(get_testdata_file("DICOMDIR", download=False)))
    found = inspected(medium)
    assert (found.kinds, found.modalities) == ({"dicom": 29}, {"MR": 17, "CT": 9, "CR": 3})
    assert "folders" in found.problem and "table" not in found.problem
    assert "Modality" in found.label_attributes
