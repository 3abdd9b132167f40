"""What stands in a column of labels and is hardly ever meant as a class waits until the hospital lists it as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.array_store import listed
from support.painting import Paint

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.inspection.inspection import inspect_source
from policies.errors import ConfigError, DataError

Labelled = Callable[..., Path]


@pytest.fixture
def labelled(tmp_path: Path, paint: Paint) -> Labelled:
    """Writes a table with a picture for each label."""

    def write(*cells: str, head: str = "label") -> Path:
        for number in range(len(cells)):
            paint(f"{number}.png", number)
        file = tmp_path / "labels.tsv"
        lines = [f"path\t{head}", *(f"{number}.png\t{cell}" for number, cell in enumerate(cells))]
        file.write_text("\n".join(lines), encoding="utf-8")
        return file

    return write


SEVERAL = ("Mass", "Effusion", "Mass{}Effusion", "No Finding")


@pytest.mark.parametrize("between", ["|", ";", "; ", ",", "/", " + "])
def test_several_findings_in_a_cell_are_not_a_class_of_their_own(labelled: Labelled, between: str) -> None:
    cells = tuple(cell.format(between) for cell in SEVERAL)
    file = labelled(*cells)
    with pytest.raises(DataError, match="several findings in one cell") as refused:
        listed(file)
    assert f"{cells[2]!r}" in refused.value.private and "Mass" not in refused.value.public
    assert listed(file, class_names=cells).class_names == cells
    as_findings = listed(file, label_kind="multi", label_separator=between.strip())
    assert as_findings.class_names == ("Effusion", "Mass")
    assert [one.labels for one in as_findings.pictures] == [(0, 1), (1, 0), (1, 1), (0, 0)]
    proposed = inspect_source(DatasetSettings(data_path=str(file)))
    assert 'label_kind = "multi"' in proposed.settings and f'label_separator = "{between.strip()}"' in proposed.settings
    assert proposed.classes == {"Effusion": 2, "Mass": 2} and not proposed.problem


def test_findings_with_another_character_between_them_than_the_settings_say_are_refused(labelled: Labelled) -> None:
    with pytest.raises(DataError, match="several findings in one cell"):
        listed(labelled("Mass", "Effusion", "Mass;Effusion"), label_kind="multi", label_separator="|")


def test_a_comma_in_the_name_of_a_finding_is_left_where_its_parts_are_no_findings(labelled: Labelled) -> None:
    cells = ("Pneumonia, viral", "Mass", "Mass|Pneumonia, viral")
    found = listed(labelled(*cells), label_kind="multi", label_separator="|")
    assert found.class_names == ("Mass", "Pneumonia, viral")
    assert listed(labelled("Pneumonia, viral", "Pneumonia, bacterial")).class_names[0] == "Pneumonia, bacterial"


@pytest.mark.parametrize("cell", ["['Mass', 'Effusion']", "[]", "{Mass}", "('Mass', 'Effusion')", "b'Mass'", 'b"Mass"'])
def test_a_list_of_a_program_is_no_class(labelled: Labelled, cell: str) -> None:
    with pytest.raises(DataError, match="lists or bytes as a program writes them"):
        listed(labelled("Mass", "Effusion", cell))


@pytest.mark.parametrize("cell", ["-1", "-1.0", "0.73", "0,73", ".5", "1.5", "1e-05", "inf", "0.10000000149011612"])
def test_scores_and_marks_of_what_nobody_knows_are_no_classes(labelled: Labelled, cell: str) -> None:
    file = labelled("0", "1", cell)
    with pytest.raises(DataError, match="numbers below 0 or with a fraction") as refused:
        listed(file)
    assert cell in refused.value.private and cell not in refused.value.public.split()
    assert listed(file, class_names=("0", "1", cell)).pictures[2].labels == (2,)


@pytest.mark.parametrize(
    "cells", [("0", "1"), ("0.0", "1.0"), ("1.", "2."), ("T1-2", "T3"), ("3+4", "4+3"), ("2", "10")]
)
def test_grades_and_whole_numbers_are_classes(labelled: Labelled, cells: tuple[str, ...]) -> None:
    assert set(listed(labelled(*cells)).class_names) == set(cells)


@pytest.mark.parametrize("word", ["NoFinding", "normal", "None", "kein Befund", "正常", "negative"])
def test_a_word_for_no_finding_is_no_finding(labelled: Labelled, word: str) -> None:
    file = labelled("Mass", "Effusion", "Mass|Effusion", word)
    settings = {"label_kind": "multi", "label_separator": "|"}
    with pytest.raises(DataError, match="called as pictures without any are") as refused:
        listed(file, **settings)
    assert word in refused.value.private
    assert listed(file, no_finding=word, **settings).pictures[3].labels == (0, 0)
    assert listed(file, class_names=("Mass", "Effusion", word), **settings).pictures[3].labels == (0, 0, 1)
    assert f'no_finding = "{word}"' in inspect_source(DatasetSettings(data_path=str(file))).settings


def test_a_row_that_says_no_finding_and_one_is_refused(labelled: Labelled) -> None:
    with pytest.raises(DataError, match="says that there is no finding, and names one") as refused:
        listed(labelled("Mass", "Effusion", "No Finding|Mass"), label_kind="multi", label_separator="|")
    assert "in lines 4" in refused.value.private


def test_a_separator_without_its_kind_of_labels_is_not_passed_by(labelled: Labelled) -> None:
    with pytest.raises(ConfigError, match="set label_kind to 'multi'"):
        listed(labelled("Mass", "Effusion"), label_separator="|")


@pytest.mark.parametrize("kind", ["multi", "single"])
def test_columns_are_not_called_after_each_other(labelled: Labelled, kind: str) -> None:
    file = labelled("1\t0", "0\t1", head="mass\teffusion")
    settings: dict[str, Any] = {"label_columns": ("mass", "effusion"), "label_kind": kind}
    with pytest.raises(ConfigError, match="in another order"):
        listed(file, class_names=("effusion", "mass"), **settings)
    assert listed(file, class_names=("Mass", "Effusion"), **settings).class_names == ("Mass", "Effusion")
