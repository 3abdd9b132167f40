"""A picture keeps its labels and its patient on the way from any source, through interruptions, into every version.

Each picture's pixels say which labels it has and whose it is, so a store tells by itself whether rows have moved.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import versioned
from support.array_store import in_this_process
from support.dicom_files import made, written
from support.versioned import SECRET, newest

from datasites.assets.store import PictureStore
from datasites.datasets.adding import Ingest
from datasites.files.state_folder import StateFolder
from datasites.ingestion.ingest import Asked
from datasites.ingestion.picture_reading import Reading, Target, Task
from datasites.ingestion.pseudonyms import of_patient
from datasites.ingestion.reader_processes import ReaderProcesses
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.read_listing import list_pictures

EACH, CLASSES = 7, 3
FINDINGS = ("mass", "effusion", "nodule")
Said = tuple[tuple[int, ...], int, int]  # labels, patient, which of the patient's


class _Killed(Exception):
    """The end of an ingest at any place."""


def said(patients: Sequence[int], *, findings: bool) -> list[Said]:
    """What is said of each picture, in an order of nobody's."""
    every: list[Said] = []
    for patient in patients:
        for index in range(EACH):
            number = patient * EACH + index
            one = ((number // CLASSES + patient) % CLASSES,)
            several = tuple((number // 3**place + patient) % 3 - 1 for place in range(len(FINDINGS)))
            every.append((several if findings else one, patient, index))
    Random(len(every)).shuffle(every)
    return every


def drawn(one: Said) -> np.ndarray:
    """uint8, (4, 4): labels, patient and number in the first two rows, noise below."""
    labels, patient, index = one
    image = np.random.default_rng(patient * EACH + index).integers(0, 256, (4, 4), dtype=np.uint8)
    image[0] = [*(label + 1 for label in labels), *[0] * (4 - len(labels))]
    image[1] = patient, index, 255, 0  # 255, so that a window of all that is there is one of all there can be
    return image


def folders(root: Path, pictures: Sequence[Said]) -> dict[str, Any]:
    for one in pictures:
        (label,), patient, index = one
        file = root / f"c{label}" / f"q{patient}" / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn(one)).save(file)
    return {"data_path": str(root), "folder_levels": ("class", "patient")}


def table(root: Path, pictures: Sequence[Said]) -> dict[str, Any]:
    root.mkdir(exist_ok=True)
    several = len(pictures[0][0]) > 1
    with (root / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "who", *(FINDINGS if several else ["label"])])
        for labels, patient, index in pictures:
            inside = f"{(patient * 31 + index * 17) % 97:02}_{patient * EACH + index}.tif"
            Image.fromarray(drawn((labels, patient, index))).save(root / inside)
            rows.writerow([inside, f"q{patient}", *(labels if several else [f"c{labels[0]}"])])
    kind = {"label_kind": "multi", "label_columns": FINDINGS} if several else {}
    return {"data_path": str(root / "labels.csv"), "patient_column": "who", "safe_kinds": ("date",), **kind}


def array(root: Path, pictures: Sequence[Said]) -> dict[str, Any]:
    root.mkdir(exist_ok=True)
    several = len(pictures[0][0]) > 1
    np.savez_compressed(
        root / "all.npz",
        images=np.stack([drawn(one) for one in pictures]),
        labels=np.array([one[0] for one in pictures]),
        groups=np.array([f"q{one[1]}" for one in pictures]),
        class_names=np.array(FINDINGS),
    )
    return {"data_path": str(root / "all.npz"), "label_kind": "multi" if several else "single"}


def dicom(root: Path, pictures: Sequence[Said]) -> dict[str, Any]:
    for one in pictures:
        (label,), patient, index = one
        file = root / f"c{label}" / f"{(patient * EACH + index) * 7919 % 9973}"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():  # written again, it would be another file, with another identifier in it
            written(made(drawn(one), PatientID=f"q{patient}"), file)
    return {"data_path": str(root), "kind": "dicom", "window": "full"}


def check(store: PictureStore, wanted: Sequence[Said]) -> None:
    """Every picture once, with its own labels and patient."""
    rows = store.images[:, :, :, 0].astype(int)
    width = store.labels.shape[1] if store.labels.ndim == 2 else 1
    found = [(tuple((row[0, :width] - 1).tolist()), int(row[1, 0]), int(row[1, 1])) for row in rows]
    assert sorted(found) == sorted(wanted)
    assert [tuple(np.atleast_1d(label).tolist()) for label in store.labels] == [one[0] for one in found]
    assert store.patients is not None
    assert [store.patients[unit].tobytes() for unit in store.units] == [
        of_patient(SECRET, f"q{p}") for _, p, _ in found
    ]


def killed_after(count: int, real: Any, tasks: Sequence[Task], target: Target) -> Iterator[Reading]:
    for done, reading in enumerate(real(tasks, target)):
        if done == count and target.file:
            raise _Killed
        yield reading


@pytest.mark.parametrize(
    ("write", "findings"),
    [(folders, False), (table, False), (array, False), (array, True), (dicom, False)],
)
def test_every_picture_keeps_its_labels_and_its_patient(
    write: Callable[[Path, Sequence[Said]], dict[str, Any]], findings: bool, tmp_path: Path
) -> None:
    _goes_through(tmp_path, write, in_this_process, findings=findings)


def test_so_it_does_where_several_processes_read(tmp_path: Path) -> None:
    _goes_through(tmp_path, table, partial(ReaderProcesses, 2), findings=True)


def _goes_through(folder: Path, write: Any, reader: Any, *, findings: bool) -> None:
    state = versioned.make_state(folder / "north")
    first, second = said(range(20), findings=findings), said(range(15, 30), findings=findings)
    for pictures, stop in ((first, 90), (second, 30)):  # the second time some are known, in another order
        settings = DatasetSettings(**write(folder / "source", pictures), unit="patient")
        with pytest.raises(_Killed):
            _take(state, settings, lambda log, stop=stop: partial(killed_after, stop, reader(log)))
        _take(state, settings, reader)
    check(newest(state), sorted({*first, *second}))


def _take(state: StateFolder, settings: DatasetSettings, reader: Any) -> None:
    asked = Asked(settings, SECRET, state.ingest_report, min_public_size=10)
    Ingest(state, asked, reader).take(list_pictures(settings))
