"""A sheet is read as a person sees it, or refused: hidden rows, merged cells, formulas without a value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from openpyxl import Workbook
from pyarrow import parquet
from support.array_store import listed
from support.painting import Paint

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.inspection.inspection import inspect_source
from policies.errors import DataError

Rows = list[tuple[Any, ...]]
ROWS: Rows = [("path", "label", "more"), ("0.png", "red", 1), ("1.png", "white", 2), ("2.png", "red", 3)]


@pytest.fixture
def saved(tmp_path: Path, paint: Paint) -> Callable[..., Path]:
    """Writes a workbook after its sheet was changed as a person would change it."""

    def write(rows: Rows, change: Callable[[Any], None] = lambda sheet: None) -> Path:
        for number in range(len(rows) - 1):
            paint(f"{number}.png", number)
        book = Workbook()
        for row in rows:
            book.active.append(row)
        change(book.active)
        book.save(tmp_path / "labels.xlsx")
        return tmp_path / "labels.xlsx"

    return write


Saved = Callable[..., Path]


def hide(sheet: Any) -> None:
    sheet.row_dimensions[3].hidden = True


def test_rows_that_a_filter_hides_are_neither_taken_nor_left_out(saved: Saved) -> None:
    file = saved(ROWS, hide)
    with pytest.raises(DataError, match="hidden rows") as refused:
        listed(file)
    assert refused.value.private == "Rows: 3."
    assert "hidden rows" in inspect_source(DatasetSettings(data_path=str(file))).problem


def test_hidden_rows_without_a_cell_say_nothing(saved: Saved) -> None:
    def far(sheet: Any) -> None:
        sheet.row_dimensions[9].hidden = True

    assert len(listed(saved(ROWS, far)).pictures) == 3


@pytest.mark.parametrize(("place", "column"), [("B2:B3", "label"), ("B2:C4", "label"), ("C2:C3", "more")])
def test_merged_cells_are_not_read_as_empty_ones(saved: Saved, place: str, column: str) -> None:
    file = saved(ROWS, lambda sheet: sheet.merge_cells(place))
    settings = {"patient_column": "more"} if column == "more" else {}
    with pytest.raises(DataError, match="merged cells") as refused:
        listed(file, **settings)
    assert refused.value.private == f"Cells: {place}."


def test_merged_cells_elsewhere_stop_nothing(saved: Saved) -> None:
    assert len(listed(saved(ROWS, lambda sheet: sheet.merge_cells("C2:C4"))).pictures) == 3


def test_a_formula_that_no_program_computed_is_not_what_nobody_knows(saved: Saved) -> None:
    rows: Rows = [("path", "mass", "cyst"), ("0.png", "=IF(C2>0,1,0)", 1), ("1.png", 0, 0)]
    file = saved(rows)
    with pytest.raises(DataError, match="values are not saved") as refused:
        listed(file, label_kind="multi", label_columns=("mass", "cyst"))
    assert refused.value.private == "Cells: B2."


def test_columns_of_bytes_and_of_several_values_matter_where_they_are_named(tmp_path: Path, paint: Paint) -> None:
    for number in range(2):
        paint(f"{number}.png", number)
    columns = {
        "path": ["0.png", "1.png"],
        "label": ["red", "white"],
        "box": [[1, 2], [3, 4]],
        "thumb": [b"\x89PNG\xff", b"\x89PNG\xfe"],
        "image": [{"bytes": b"\xff"}, {"bytes": b"\xfe"}],
    }
    file = tmp_path / "labels.parquet"
    parquet.write_table(pyarrow.table(columns), file)
    assert [one.labels for one in listed(file).pictures] == [(0,), (1,)]
    assert inspect_source(DatasetSettings(data_path=str(file))).pictures == 2
    for column, message in (
        ("box", "several values"),
        ("image", "several values"),
        ("thumb", "bytes"),
    ):
        with pytest.raises(DataError, match=message):
            listed(file, label_columns=(column,))


def test_numbers_of_patients_that_a_workbook_has_rounded_are_not_taken_for_one(saved: Saved) -> None:
    """A workbook keeps 15 digits of a number: these were different ones when somebody typed them."""
    rows = [("path", "label", "who"), ("0.png", "red", 12345678901234567.0), ("1.png", "white", 12345678901234568.0)]
    with pytest.raises(DataError, match="number was rounded by a spreadsheet") as refused:
        listed(saved(rows), patient_column="who")
    assert "(rows: 2)" in refused.value.private
    rows[1:] = [("0.png", "red", 123456789012345.0), ("1.png", "white", "12345678901234568")]
    assert [one.patient for one in listed(saved(rows), patient_column="who").pictures] == [
        "123456789012345",
        "12345678901234568",
    ]


def test_true_in_a_cell_of_its_own_kind_and_as_a_text_is_not_two_classes(saved: Saved) -> None:
    rows = [("path", "label"), ("0.png", True), ("1.png", "TRUE"), ("2.png", False)]
    with pytest.raises(DataError, match="differ only in"):
        listed(saved(rows))
