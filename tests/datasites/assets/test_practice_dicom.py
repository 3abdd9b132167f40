"""The files to practise with: drawn, listed by their table, and with what an export has to be stopped for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from datasites.assets.drawn.practice_dicom import BURNED_IN, FINDINGS, HOLD_OUT, PATIENTS, write_practice_dicom
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import Listing
from datasites.sources.read_listing import list_pictures
from policies.errors import ConfigError
from policies.plans.picture_form import PictureForm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("made") / "practice"
    count, table = write_practice_dicom(made)
    assert count == sum(file.is_file() for file in (made / "export").rglob("*")) and table.parent == made
    return made


@pytest.fixture(scope="module")
def listing(folder: Path) -> Listing:
    return list_pictures(
        DatasetSettings(
            data_path=str(folder / "export"),
            kind="dicom",
            labels_from="table",
            table=str(folder / "labels.csv"),
            path_column="study",
            table_match="StudyInstanceUID",
            label_columns=("finding",),
            unit="patient",
        )
    )


def test_its_pictures_are_taken_with_labels_and_patients_and_the_others_are_stopped(listing: Listing) -> None:
    patients = {one.patient for one in listing.pictures}
    assert listing.class_names == FINDINGS and 100 <= len(patients) <= PATIENTS < len(listing.pictures)
    assert min(Counter(one.labels for one in listing.pictures).values()) > 50
    codes = Counter(one.reason.code for one in listing.left_out)
    assert codes == {"burned_in": BURNED_IN, "no_such_picture": BURNED_IN, "secondary_capture": 1, "report": 1}
    assert 0.01 * len(listing.pictures) < BURNED_IN, "few enough to be left out unasked"


def test_an_effusion_is_seen_whichever_way_round_black_and_white_are_stored(folder: Path, listing: Listing) -> None:
    form = PictureForm(size=(8, 8), channels=1)
    stored = {dcmread(folder / "export" / one.picture.place).PhotometricInterpretation for one in listing.pictures}
    assert stored == {"MONOCHROME1", "MONOCHROME2"}
    lower: list[list[float]] = [[], []]
    for one in listing.pictures:
        lower[one.labels[0]].append(float(one.picture.pixels(form)[5:7].max(axis=0).mean()))
    assert np.mean(lower[1]) > np.mean(lower[0]) + 20


def test_the_hold_out_holds_as_many_of_each_finding(folder: Path) -> None:
    held = list_pictures(DatasetSettings(data_path=str(folder / "hold_out")))
    assert held.class_names == FINDINGS
    assert set(Counter(one.labels for one in held.pictures).values()) == {HOLD_OUT // 2}


def test_a_folder_that_holds_something_is_left_as_it_is(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(ConfigError, match="not there yet"):
        write_practice_dicom(folder)
    assert sorted(folder.rglob("*")) == before
