"""Tables as archives and hospitals have them: which column is what is proposed as their people would say it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.painting import Paint

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.inspection.inspection import Inspection, inspect_source

HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization", "HAM_{0:07},000{0},{mole},histo,45.0,{sex},back"
GERMAN = "Bilddatei;Patientenalter;Diagnose;Pat-Nr;Geschlecht", "000{0}.png;4{0};{mole};K{0};{sex}"
NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient Age,Patient ID,Patient Gender,View Position",
    "000{0}.png,{chest},0,5{0},s{0},{sex},PA",
)
CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,No Finding,Cardiomegaly,Edema",
    "000{0}.png,{sex},60,Frontal,{none},{there},{perhaps}",
)
SDTM = "USUBJID,FILENAME,DIAG,VISIT", "0012.0,000{0}.png,{mole},BASELINE"
ISIC = (
    "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis",
    "000{0},s{0},{sex},45,{place},{mole}",
)


def inspected(folder: Path, paint: Paint, heads: str, row: str) -> Inspection:
    rows = [heads]
    for number in range(8):
        paint(f"000{number}.png", number)
        odd = number % 2
        words = {"mole": ("nv", "mel")[odd], "sex": ("male", "female")[number // 2 % 2], "place": ("arm", "leg")[odd]}
        words |= {"chest": ("Mass|Effusion", "No Finding", "Mass", "Effusion")[number % 4]}
        words |= {
            "none": ("", "1.0")[odd],
            "there": ("1.0", "")[odd],
            "perhaps": ("-1.0", "0.0", "1.0", "")[number % 4],
        }
        rows.append(row.format(number, **words))
    (folder / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    return inspect_source(DatasetSettings(data_path=str(folder / "labels.csv")))


@pytest.mark.parametrize(
    ("table", "said", "not_said", "classes"),
    [
        (HAM, ('path_column = "image_id"', 'label_columns = ["dx"]'), "patient_column", {"mel": 4, "nv": 4}),
        (
            GERMAN,
            ('path_column = "Bilddatei"', 'label_columns = ["Diagnose"]', 'patient_column = "Pat-Nr"'),
            "Patientenalter",
            {"mel": 4, "nv": 4},
        ),
        (
            NIH,
            ('label_columns = ["Finding Labels"]', 'label_separator = "|"', 'patient_column = "Patient ID"'),
            "Patient Age",
            {"Effusion": 4, "Mass": 4},
        ),
        (
            CHEXPERT,
            ('label_columns = ["No Finding", "Cardiomegaly", "Edema"]', 'label_kind = "multi"'),
            "patient_column",
            {"No Finding": 4, "Cardiomegaly": 4, "Edema": 2},
        ),
        (
            ISIC,
            ('path_column = "image_name"', 'label_columns = ["diagnosis"]', 'patient_column = "patient_id"'),
            "site_column",
            {"mel": 4, "nv": 4},
        ),
        (SDTM, ('patient_column = "USUBJID"', 'unit = "patient"'), "site_column", {"mel": 4, "nv": 4}),
    ],
    ids=["dermatoscopy", "german", "one cell", "a column each", "places of the body", "SAS"],
)
def test_columns_of_known_tables_are_proposed_as_they_are_meant(
    paint: Paint,
    tmp_path: Path,
    table: tuple[str, str],
    said: tuple[str, ...],
    not_said: str,
    classes: dict[str, int],
) -> None:
    found = inspected(tmp_path, paint, *table)
    for line in said:
        assert line in found.settings
    assert not_said not in found.settings and found.classes == classes and found.pictures == 8
    assert not any("No path of the table was found" in note for note in found.notes)
