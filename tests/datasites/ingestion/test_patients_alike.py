"""One patient whom programs wrote in two ways is not two privacy units unless the hospital says that they are two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.array_store import in_this_process, listed, listing_of
from support.versioned import SECRET, make_state, newest

from datasites.datasets.adding import Ingest
from datasites.datasets.removal import remove_patients
from datasites.files.state_folder import StateFolder
from datasites.ingestion.ingest import Asked
from datasites.sources.alike import other_spellings, plain_patient
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.inspection.inspection import inspect_source
from datasites.sources.listing import Listing
from policies.errors import DataError


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return make_state(tmp_path / "north")


def of(patients: list[str]) -> Listing:
    images = np.arange(len(patients) * 48, dtype=np.uint8).reshape(-1, 4, 4, 3)
    return listing_of(images, [number % 2 for number in range(len(patients))], ("red", "white"), patients)


def take(
    state: StateFolder, listing: Listing, *, unit: str = "patient", accepted: frozenset[str] = frozenset()
) -> None:
    asked = Asked(DatasetSettings(unit=unit), SECRET, state.ingest_report, min_public_size=2, accepted=accepted)
    Ingest(state, asked, in_this_process).take(listing)


@pytest.mark.parametrize(
    "pair", [("0012", "12"), ("12.0", "12"), ("p1", "P1"), ("P 01", "P01"), ("'0012", "12"), ("1", "１")]
)
def test_one_patient_written_in_two_ways_stops_the_ingest_before_a_pixel_is_read(
    state: StateFolder, pair: tuple[str, str]
) -> None:
    listing = of([*pair, pair[0], "another"])
    with pytest.raises(DataError, match="patients_alike") as refused:
        take(state, listing)
    assert refused.value.private == "Pictures of such patients:\npicture 0 and picture 1"
    assert not list(state.store.glob("*"))
    take(state, listing, accepted=frozenset({"patients_alike"}))
    assert newest(state).manifest.num_units == 3


def test_with_a_picture_as_the_unit_nothing_follows_from_how_patients_are_written(state: StateFolder) -> None:
    take(state, of(["0012", "12", "3"]), unit="picture")
    assert newest(state).manifest.num_units == 3


def test_a_later_ingest_that_writes_a_patient_otherwise_stops_too(state: StateFolder) -> None:
    take(state, of(["12", "13", "14"]))
    with pytest.raises(DataError, match="patients_alike"):
        take(state, of(["12", "13", "14", "0012"]))
    assert newest(state).manifest.dataset_version == 1


def test_other_identifiers_are_others() -> None:
    different = ["12", "120", "1-2", "P12", "12a", "-12", "1.2", "12.5", "0", "", "P1", "Q1", "1 - 2"]
    assert len({plain_patient(one) for one in different}) == len(different) - 1  # 1-2 and 1 - 2


def test_inspect_foresees_it(tmp_path: Path) -> None:
    rows = ["path,label,patient_id"]
    for number in range(6):
        Image.new("L", (4, 4), number).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{'red' if number % 2 else 'white'},{'0001' if number == 5 else number}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    found = inspect_source(DatasetSettings(data_path=str(tmp_path / "labels.csv")))
    assert [note for note in found.notes if note.startswith("1 patients have identifiers")] and found.patients == 6
    assert listed(tmp_path / "labels.csv", patient_column="patient_id").pictures[5].patient == "0001"


@pytest.mark.parametrize(
    ("withdrew", "comes"), [("12", "0012"), ("0012", "12"), ("12", "12.0"), ("P7", "p7"), ("p7", "P 7")]
)
def test_who_withdrew_does_not_come_back_written_in_another_way(state: StateFolder, withdrew: str, comes: str) -> None:
    take(state, of([withdrew, "a", "b", "c"]))
    remove_patients(state, "pictures", [withdrew], least=2)
    listing = of([*"abcd", comes, "new"])
    changed = replace(listing, pictures=listing.pictures[4:])  # of pixels that the dataset has not had
    take(state, changed)
    assert newest(state).manifest.num_units == 4  # a, b, c and the new one
    take(state, changed, accepted=("patients_alike",))
    assert newest(state).manifest.num_units == 5  # the hospital has said that they are two


def test_spellings_that_are_listed_are_one_patients() -> None:
    for identifier in ("0012", "12.0", "P 01", "p1", "x", "Zoë 1"):
        assert {plain_patient(one) for one in other_spellings(identifier)} == {plain_patient(identifier)}
        assert identifier in other_spellings(identifier)
