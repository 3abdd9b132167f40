"""Three hospitals with pictures in DICOM files, TIFFs and PNGs, and one study of findings that protects patients."""

from __future__ import annotations

import csv
import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from PIL import Image
from pydicom.uid import DigitalXRayImageStorageForPresentation
from support.dicom_files import made, written
from support.hospitals import Hospital, admin_command, make_hospital, running

from datasites.assets.dataset_version import newest_version
from datasites.assets.drawn.findings import FINDINGS, draw_patients
from datasites.assets.store import PictureStore, open_store
from datasites.files.state_folder import StateFolder
from datasites.files.toml_file import toml_value
from datasites.state.kept_books import open_ledger
from policies.errors import FederationError

# Slow: nearly two minutes of three hospitals; findings and forms have quicker tests of their own.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(r"ignore:'\w+' deprecated - use:DeprecationWarning")]
PATIENTS = 60
FORM = {"size": [32, 32], "channels": 1, "window": "full", "modality": "xray"}
COMMON = {"label_kind": "multi", "class_names": list(FINDINGS), "unit": "patient"}


@dataclass(frozen=True)
class Drawn:
    """What a hospital has: pictures of 32x32 greys, 0, 1 or -1 for each finding, and whose each picture is."""

    levels: np.ndarray
    labels: np.ndarray
    owners: np.ndarray

    @classmethod
    def of(cls, seed: int) -> Drawn:
        images, labels, owners = draw_patients(PATIENTS, seed)
        return cls(np.kron(images[..., 0], np.ones((1, 2, 2), np.uint8)), labels, owners)

    @property
    def rows(self) -> Iterator[tuple[int, np.ndarray, list[int], int]]:
        """Each picture's number, levels, labels and patient."""
        for number, row in enumerate(zip(self.levels, self.labels.tolist(), self.owners.tolist(), strict=True)):
            yield number, *row


def write_dicom(folder: Path, drawn: Drawn) -> dict[str, Any]:
    """12-bit X-rays, some stored as negatives, and a table by SOPInstanceUID."""
    rows = []
    for number, levels, labels, owner in drawn.rows:
        held = np.rint(levels * (4095 / 255)).astype(int)
        negative = owner % 2 == 0
        dataset = made(
            4095 - held if negative else held,
            bits=12,
            SOPClassUID=DigitalXRayImageStorageForPresentation,
            Modality="DX",
            PhotometricInterpretation="MONOCHROME1" if negative else "MONOCHROME2",
            BurnedInAnnotation="NO",
            PatientID=f"P{owner}",
        )
        file = folder / "export" / f"study {owner}" / f"IM{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        written(dataset, file)
        rows.append([dataset.SOPInstanceUID, *labels])
    write_csv(folder / "labels.csv", ["picture", *FINDINGS], rows)
    return {
        "data_path": "export",
        "kind": "dicom",
        "labels_from": "table",
        "table": "labels.csv",
        "path_column": "picture",
        "table_match": "SOPInstanceUID",
        "label_columns": list(FINDINGS),
    }


def write_tiffs(folder: Path, drawn: Drawn) -> dict[str, Any]:
    """16-bit TIFFs, and a CSV of their paths, patients and a column for each finding, empty where nobody knows."""
    rows = []
    for number, levels, labels, owner in drawn.rows:
        file = folder / "scans" / f"{number}.TIF"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels.astype(np.uint16) * 257).save(file, format="TIFF")
        rows.append([f"scans/{file.name}", f"P{owner}", *("" if label < 0 else label for label in labels)])
    write_csv(folder / "pictures.csv", ["file", "patient", *FINDINGS], rows)
    return {
        "data_path": "pictures.csv",
        "path_column": "file",
        "patient_column": "patient",
        "label_columns": list(FINDINGS),
    }


def write_pngs(folder: Path, drawn: Drawn) -> dict[str, Any]:
    """8-bit PNGs, and the first sheet of an XLSX that names each picture's findings in one cell."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["file", "subject", "Finding Labels"])
    for number, levels, labels, owner in drawn.rows:
        file = folder / "pictures" / f"ward {owner % 3}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(file)
        named = [name for name, label in zip(FINDINGS, labels, strict=True) if label == 1]
        sheet.append([str(file.relative_to(folder / "pictures")), f"P{owner}", "|".join(named) or "No Finding"])
    book.save(folder / "findings.xlsx")
    return {
        "data_path": "pictures",
        "table": "findings.xlsx",
        "path_column": "file",
        "patient_column": "subject",
        "label_columns": ["Finding Labels"],
        "label_separator": "|",
    }


def write_csv(file: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([head, *rows])


WRITERS = {"north": write_dicom, "south": write_tiffs, "east": write_pngs}


@pytest.fixture(scope="module")
def drawn() -> dict[str, Drawn]:
    """What each hospital has; a sheet with one cell for all findings has no word for unknown."""
    held = {name: Drawn.of(seed) for seed, name in enumerate(WRITERS, start=40)}
    return {**held, "east": Drawn(held["east"].levels, held["east"].labels.clip(0), held["east"].owners)}


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory, drawn: dict[str, Drawn]) -> Iterator[dict[str, Hospital]]:
    """The three, and `west`, which has the pictures of `east` in another form; all have ingested and serve."""
    folder, hospitals = tmp_path_factory.mktemp("hospitals"), []
    sources: dict[str, dict[str, Any]] = {}
    for name, write in WRITERS.items():
        (folder / name).mkdir()
        sources[name] = {**write(folder / name, drawn[name]), **FORM, **COMMON}
    (folder / "west").symlink_to(folder / "east")
    sources["west"] = {**sources["east"], "resize": "fit"}
    for name, settings in sources.items():
        lines = [f"{key} = {toml_value(value)}\n" for key, value in settings.items()]
        (folder / name / f"{name}.toml").write_text("".join(["[dataset]\n", *lines]))
        hospitals.append(make_hospital(folder / "state", name, folder / name / f"{name}.toml"))
        admin_command("ingest", "--state", hospitals[-1].state)
    with running(*hospitals) as started:
        yield started


def stored(hospital: Hospital) -> PictureStore:
    return open_store(newest_version(StateFolder(hospital.state).store, "pictures").folder)


def counted(images: np.ndarray, labels: np.ndarray) -> Counter[tuple[str, tuple[int, ...]]]:
    """How often each picture stands with each labels, in whatever order."""
    digests = (hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in images)
    return Counter(zip(digests, map(tuple, labels.tolist()), strict=True))


def test_each_store_holds_the_pictures_labels_and_patients_that_were_written_in_whatever_files(
    reading: dict[str, Hospital], drawn: dict[str, Drawn]
) -> None:
    for name, held in drawn.items():
        store = stored(reading[name])
        assert counted(store.images[..., 0], store.labels) == counted(held.levels, held.labels), name
        assert store.labels.dtype == np.int8 and store.manifest.class_names == FINDINGS
        of_units = Counter(np.bincount(store.units, minlength=PATIENTS).tolist())
        assert of_units == Counter(np.bincount(held.owners).tolist()), name
    assert (stored(reading["north"]).labels < 0).any() and not (stored(reading["east"]).labels < 0).any()
    assert len({stored(reading[name]).manifest.form for name in WRITERS}) == 1


def test_one_study_learns_from_all_three_and_a_hospital_of_another_form_is_refused_by_name(
    reading: dict[str, Hospital], tmp_path: Path
) -> None:
    from datasites.training.models import initial_weights
    from researcher.evaluation.hold_out import HoldOut
    from researcher.hospitals.federation import Federation
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.study import Study

    with warnings.catch_warnings():  # matplotlib 3.9 calls pyparsing by its old names
        warnings.simplefilter("ignore")
        from researcher.terminal.training_session import result_of, write_all

    settings = StudySettings(
        study="findings",
        model="linear",
        num_rounds=2,
        local_epochs=3.0,
        sample_rate=0.25,
        noise_multiplier=1.5,
        learning_rate=0.5,
    )
    with (
        Federation.connect([hospital.credentials() for hospital in reading.values()]) as everybody,
        pytest.raises(FederationError, match="resize: stretch at north, fit at west"),
    ):
        make_plan(settings, everybody.datasets())
    with Federation.connect([reading[name].credentials() for name in WRITERS]) as federation:
        plan = make_plan(settings, federation.datasets())
        study = Study.submit(federation, plan, tmp_path / "study")
        for name, request in study.requests.items():
            reading[name].admin("approve", request.request_id)
        shown = Drawn.of(seed=39)
        hold_out = HoldOut(shown.levels[..., None], shown.labels, FINDINGS)
        state, history = study.run(hold_out=hold_out, initial_weights=initial_weights(plan.model, 0))
        write_all(tmp_path / "out", study, state, history, result_of(study, state, history, hold_out))
    assert [record.datasites for record in history.records] == [tuple(WRITERS)] * 2
    for name in WRITERS:
        entries = open_ledger(StateFolder(reading[name].state)).entries()
        assert [entry.kind for entry in entries] == ["reserve", "start", "commit", "start", "commit"], name
        (budget,) = reading[name].admin_json("budget")
        assert budget["epsilon_charged"] == pytest.approx(history.records[-1].epsilon[name], rel=1e-3)
    assert reading["west"].ledger_entries() == 0
    values = json.loads((tmp_path / "out" / "result.json").read_text())
    assert list(values["findings"]) == list(FINDINGS) and values["macro_auroc"][-1] > 0.6
    page = (tmp_path / "out" / "report.html").read_text()
    assert "AUROC" in page and all(name in page for name in (*FINDINGS, *WRITERS))
