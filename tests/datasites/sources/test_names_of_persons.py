"""Names of persons in any writing stop a listing; words of medicine and of file names do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.painting import Paint

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.identity import column_looks_like, looks_like
from datasites.sources.read_listing import list_pictures
from datasites.sources.sites import list_sites
from policies.errors import IdentitySuspected

PERSONS = [
    "Muster_Anna_1961",
    "Иванова_Анна_1961",
    "Иванова Анна Петровна 1961",
    "Παπαδόπουλος_Γιώργος_1950",
    "Nguyễn_Thị_Lan_1961",
    "Nguye\u0302\u0303n_Thi\u0323_Lan_1961",
    "Øvergård_Ragnhild_1948",
    "فاطمة_الزهراء_1961",
    "כהן_דוד_1961",
    "सीता_शर्मा_1950",
    "José_Muñoz",
    "Müller_Amélie",
    "김민수_1961",
    "이영희 3",
    "王小明_2",
    "Frau Muster",
    "Herrn_Beispiel_3",
    "Mrs Probe",
    "Dr. Weber",
]
NO_PERSONS = [
    "tumor benigne 2019",
    "КТ_ОГК_2019",
    "снимки_лёгких_2019",
    "良性_腫瘤_2019",
    "이미지_2019",
    "최종본_2019",
    "CT_SCAN_2019",
    "Ödem_2019",
    "für_scan_2",
    "MR Brain",
    "MS_Lesion",
    "Mild Dr",
    "Dr Moderate",
    "herrlich",
]


@pytest.mark.parametrize("name", PERSONS)
def test_a_persons_name_is_one_in_any_writing(name: str) -> None:
    assert "name" in looks_like(name)


@pytest.mark.parametrize("name", NO_PERSONS)
def test_words_before_a_year_are_no_persons_name(name: str) -> None:
    assert "name" not in looks_like(name)


@pytest.mark.parametrize(
    ("heads", "kind"),
    [
        (
            ("ФИО", "Фамилия", "氏名", "이름", "Imię", "NAZWISKO", "cognome", "hasta_adı", "voornaam", "اسم المريض"),
            "name",
        ),
        (("дата рождения", "生年月日", "생년월일", "data_di_nascita", "Data de nascimento", "doğum tarihi"), "date"),
        (("СНИЛС", "номер карты", "カルテ番号", "주민등록번호", "PESEL", "Codice fiscale", "BSN"), "record_number"),
    ],
)
def test_a_column_is_told_by_its_head_in_many_languages(heads: tuple[str, ...], kind: str) -> None:
    for head in heads:
        assert column_looks_like(head, ["1", "2"]) == (kind,), head
    for head in ("ward", "номер", "диагноз", "診断", "진단", "diagnosi", "Ada", "adipose", "AD", "dni", "tanı"):
        assert column_looks_like(head, ["1", "2"]) == ()


@pytest.mark.parametrize(
    ("patients", "kind"),
    [
        (("Иванова_Анна_1961", "Петров_Иван_1950"), "names"),
        (("فاطمة_الزهراء_1961", "محمد_علي_1950"), "names"),
        (("김민수_1961", "박영희_1950"), "names"),
        (("王小明", "李华", "张伟"), "names"),
        (("00412345", "00412346"), "record numbers"),
        (("P001", "P002"), "record numbers"),
        (("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "3F2504E0-4F89-11D3-9A0C-0305E82C3302"), "record numbers"),
        (("d41d8cd98f00b204e9800998ecf8427e", "a3f5c2e19b7d4f60"), "record numbers"),
        (("+49 30 123450", "(030) 123-4513"), "record numbers"),
        (("benign_P001", "malignant P002"), "record numbers"),
        (("patient-1_benign", "Patient-12_malignant"), "record numbers"),
        (("A.M.", "B. T."), "names"),
        (("muster_a_610203", "beispiel_b_310148"), "dates"),
        (("03.02.61", "benign 1-1-48"), "dates"),
    ],
)
def test_patients_folders_become_neither_classes_nor_those_of_hospitals(
    paint: Paint, tmp_path: Path, patients: tuple[str, ...], kind: str
) -> None:
    for patient in patients:
        paint(f"flat/{patient}/1.png")
        for label in ("benign", "malignant"):
            paint(f"deep/{label}/{patient}/1.png")
    with pytest.raises(IdentitySuspected, match=f"class names that look like {kind}") as caught:
        list_pictures(DatasetSettings(data_path=str(tmp_path / "flat")))
    assert min(patients) in caught.value.private and min(patients) not in caught.value.public
    with pytest.raises(IdentitySuspected, match=f"folders that would be classes that look like {kind}"):
        list_sites(tmp_path / "deep")
    declared = DatasetSettings(data_path=str(tmp_path / "flat"), class_names=patients)
    assert len(list_pictures(declared).pictures) == len(patients), "what the hospital itself declares is published"


def test_classes_that_resemble_persons_or_numbers_of_records_are_classes(paint: Paint, tmp_path: Path) -> None:
    sources = {
        "numbers": ("0", "10", "200"),
        "morphologies": ("80703", "81403"),
        "eyes": ("白内障", "黄斑变性", "青光眼"),
        "two": ("白内障", "黄疸"),
        "years": ("2000-2009", "2010-2019"),
        "ages": ("00-09", "10-19", "20-29"),
        "letters": ("deadbeef", "facade"),
        "codes": ("c44-1122", "d22-0011"),
        "one digest": ("a3f5c2e19b7d4f60", "normal"),
        "stains": ("tumour_p53", "normal_p53"),
        "one date": ("before_610203", "after"),
        "months": ("191301", "scan_993100"),
        "one with initials": ("C.D.", "healthy"),
    }
    for source, classes in sources.items():
        for name in classes:
            paint(f"{source}/{name}/1.png")
        found = list_pictures(DatasetSettings(data_path=str(tmp_path / source)))
        assert set(found.class_names) == set(classes)
