"""What the hospital sees of its dataset: right numbers, a private page, and none of it where researchers can reach."""

from __future__ import annotations

import base64
import io
import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import versioned
from support.array_store import listing_of
from support.books import ledger_of
from support.versioned import people, pictures_of, reserve, take
from test_layers import HOUSE

from datasites.assets.dataset_version import versions_of
from datasites.assets.mock import make_mock
from datasites.assets.store import open_store
from datasites.cli.program import main
from datasites.datasets.page import write_page
from datasites.datasets.removal import remove_patients
from datasites.datasets.summary import DatasetSummary, summarise
from datasites.files.state_folder import StateFolder

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    made = versioned.make_state(tmp_path / "north")
    reserve(made, "waits", take(made, pictures_of(people(*range(12)))), steps=1)
    take(made, pictures_of(people(12), each=3))
    return made


def summary(state: StateFolder, terms: str = "For lungs alone.") -> DatasetSummary:
    return summarise(versions_of(state.store, "pictures"), ledger_of(state).reservations().values(), terms)


def images_in(page: str) -> list[Image.Image]:
    found = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]


def test_the_summary_counts_the_newest_version_and_names_all(state: StateFolder) -> None:
    found = summary(state)
    assert (found.pictures, found.patients, found.most_pictures_of_a_unit) == (27, 13, 3)
    assert [(one.name, one.pictures, one.without, one.unknown) for one in found.classes] == [
        ("dark", 14, 13, 0),
        ("bright", 13, 14, 0),
    ]
    told = [(one.version, one.pictures, one.units, one.kept, one.under_way) for one in found.versions]
    assert told == [(1, 24, 12, True, True), (2, 27, 13, True, False)]


def test_findings_are_counted_with_those_that_nobody_knows(tmp_path: Path) -> None:
    made = versioned.make_state(tmp_path / "north")
    images = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    listing = listing_of(
        images, [[1, -1]] * 3 + [[0, 1]] * 9, ("effusion", "nodule"), people(*range(12)), label_kind="multi"
    )
    take(made, listing, label_kind="multi")
    counts = [(one.pictures, one.without, one.unknown) for one in summary(made).classes]
    assert counts == [(3, 9, 0), (9, 0, 3)]


def test_the_page_shows_samples_beside_the_mock_and_asks_for_nothing(state: StateFolder) -> None:
    store = open_store(state.store / "pictures@2")
    write_page(summary(state, "<b>For & lungs</b>\nand nobody else"), store, state.dataset_page)
    page = state.dataset_page.read_text()
    assert stat.S_IMODE(state.dataset_page.stat().st_mode) == 0o600
    own, mock = images_in(page)
    assert own.size == mock.size == (6 * 4, 4 * 4)  # 24 samples of two pixels, two apart
    assert np.asarray(own)[0:2, 0:2, 0].tolist() == store.images[0, :, :, 0].tolist()
    made = make_mock(store.manifest.public)  # as it is published
    assert np.asarray(mock)[0:2, 0:2, 0].tolist() == made.images[0, :, :, 0].tolist()
    assert "&lt;b&gt;For &amp; lungs&lt;/b&gt;<br>and nobody else" in page
    assert not re.search(r"<script|https?://|src=\"(?!data:)|@import|url\(", page)
    assert "default-src 'none'" in page


def test_large_pictures_are_made_small_and_deep_ones_shallow(tmp_path: Path) -> None:
    made = versioned.make_state(tmp_path / "north")
    take(made, pictures_of(people(*range(12))))
    store = open_store(made.store / "pictures")
    deep = np.full((3, 640, 320, 1), 0x80FF, dtype=np.uint16)
    write_page(summary(made), replace(store, images=deep), made.dataset_page)
    own = images_in(made.dataset_page.read_text())[0]
    assert own.size == (6 * 82, 162) and own.getpixel((40, 80)) == (128, 128, 128)


def test_the_command_tells_classes_versions_and_the_card_and_where_the_page_is(
    state: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dataset", "show", "pictures", "--state", str(state.path)]) == 0
    told = capsys.readouterr().out
    assert "27 pictures of 13 patients" in told and "bright" in told and "48.1%" in told
    assert "a study reads it" in told and "public size" in told and str(state.dataset_page) in told.replace("\n", "")
    assert main(["dataset", "show", "pictures", "--no_page", "--json", "--state", str(state.path)]) == 0
    assert json.loads(capsys.readouterr().out)["classes"][1]["pictures"] == 13
    assert main(["dataset", "show", "another", "--state", str(state.path)]) == 1


def test_the_command_says_that_a_running_datasite_does_not_have_the_newest_version(
    state: StateFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show = ["dataset", "show", "pictures", "--no_page", "--state", str(state.path)]
    assert main(show) == 0
    assert "start it again" not in capsys.readouterr().out, "it is stopped"
    asked: list[str] = []

    def call(chosen: object, method: str, route: str) -> dict[str, object]:
        asked.append(f"{method} {route}")
        return {"after_start": 2}

    monkeypatch.setattr("datasites.cli.console.call", call)
    assert main(show) == 0 and asked == ["GET /datasets/pictures"]
    assert "does not have version 2 yet: start it again" in " ".join(capsys.readouterr().out.split())
    assert main([*show, "--json"]) == 0 and json.loads(capsys.readouterr().out)["after_start"] == 2


def test_what_may_show_or_name_a_patient_goes_with_the_patient(state: StateFolder) -> None:
    write_page(summary(state), open_store(state.store / "pictures@2"), state.dataset_page)
    assert state.ingest_report.exists()
    remove_patients(state, "pictures", ["p3"], least=10)
    assert not state.dataset_page.exists() and not state.ingest_report.exists()


def test_no_room_that_researchers_reach_knows_the_page_or_the_summary() -> None:
    reached, looked_at = {"datasites.researchers_port"}, set[str]()
    while new := reached - looked_at:
        looked_at |= new
        reached |= {
            f"{package}.{name}" for room in new for package, names in HOUSE[room].items() for name in names.split()
        }
    assert "datasites.datasets" not in reached
    served = [
        path for path in (PROJECT / "datasites" / "researchers_port").glob("*.py") if "dataset_page" in path.read_text()
    ]
    assert served == []


def test_a_backup_has_neither_page_nor_report_and_has_the_secret_of_the_pseudonyms(
    state: StateFolder, tmp_path: Path
) -> None:
    from datasites.state.backup import back_up

    write_page(summary(state), open_store(state.store / "pictures@2"), state.dataset_page)
    assert state.ingest_report.exists()
    made = back_up(state, tmp_path / "backups")
    assert not {"dataset.html", "ingest-report.csv"} & set(made.manifest.files)
    assert "identity/pseudonyms.key" in made.manifest.files
    assert "store/pictures@2/images.npy" in made.manifest.files and "store/pictures/images.npy" in made.manifest.files
