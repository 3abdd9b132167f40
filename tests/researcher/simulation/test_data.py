"""What a simulation shares out: never pictures that are there to measure models on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import made_files

from policies.errors import DataError, IdentitySuspected
from researcher.simulation.data import read_data
from researcher.simulation.settings import SimulationSettings


def test_a_file_in_parts_is_refused_until_the_part_to_train_on_is_named(tmp_path: Path) -> None:
    train, test = np.zeros((6, 8, 8), dtype=np.uint8), np.zeros((4, 8, 8), dtype=np.uint8)
    file, settings = tmp_path / "parts.npz", SimulationSettings(hospitals=2)
    np.savez(file, train_images=train, train_labels=[0, 1] * 3, test_images=test, test_labels=[0, 1] * 2)
    with pytest.raises(DataError, match=r'its test part is not to be trained on.*split = "train"'):
        read_data(file, settings)
    with pytest.raises(DataError, match="its test part is not to be trained on"):
        read_data("medmnist:pneumoniamnist", settings)
    described = tmp_path / "train.toml"
    described.write_text('[dataset]\ndata_path = "parts.npz"\n')
    assert len(read_data(described, settings).pictures.images) == 6


PERSONS = ("Muster_Anna_1961", "Beispiel_Bernd_1948")


def pictures(root: Path, *folders: str) -> Path:
    """A picture, of its own value, in each of the folders."""
    for number, folder in enumerate(folders):
        values = np.full((3, 4), number, dtype=np.uint8)
        (root / folder).mkdir(parents=True)
        made_files.write(root / folder / f"{number}.png", made_files.png(values, bits=8))
    return root


def test_folders_of_patients_are_neither_classes_nor_hospitals(tmp_path: Path) -> None:
    settings = SimulationSettings(hospitals=2)
    by_class = pictures(tmp_path / "cp", *(f"{label}/{name}" for label in ("benign", "malignant") for name in PERSONS))
    by_patient = pictures(
        tmp_path / "pc", *(f"{name}/{label}" for label in ("benign", "malignant") for name in PERSONS)
    )
    for source in (by_class, by_patient):
        with pytest.raises(IdentitySuspected, match=r'folders that would be .*folder_levels = \["class", "patient"\]'):
            read_data(source, settings)
    with pytest.raises(IdentitySuspected, match="class names that look like names"):
        read_data(pictures(tmp_path / "flat", *PERSONS), settings)
    with pytest.raises(IdentitySuspected, match="look like record numbers: p1"):
        read_data(pictures(tmp_path / "numbered", "benign/p1", "malignant/p2"), settings)
    with pytest.raises(
        DataError, match=r"no two hospitals have a class in common\..*folder_levels.*path, label and site"
    ):
        read_data(pictures(tmp_path / "apart", "benign/small", "malignant/large"), settings)


def test_a_table_and_a_described_folder_name_no_persons_as_classes_until_that_is_said(tmp_path: Path) -> None:
    settings, described = SimulationSettings(hospitals=2), tmp_path / "data.toml"
    pictures(tmp_path / "flat", *PERSONS)
    (tmp_path / "flat.csv").write_text(
        "path,label\n" + "".join(f"flat/{n}/{i}.png,{n}\n" for i, n in enumerate(PERSONS))
    )
    described.write_text('[dataset]\ndata_path = "flat"\n')
    for source in (described, tmp_path / "flat.csv"):
        with pytest.raises(IdentitySuspected, match="class names that look like names"):
            read_data(source, settings)
    described.write_text(f'[dataset]\ndata_path = "flat"\nclass_names = ["{PERSONS[1]}", "{PERSONS[0]}"]\n')
    assert read_data(described, settings).pictures.class_names == (PERSONS[1], PERSONS[0])
    described.write_text('[dataset]\ndata_path = "flat"\nsafe_kinds = ["name"]\n')
    assert read_data(described, settings).pictures.class_names == tuple(sorted(PERSONS))


def test_what_the_refusal_advises_reads_patients_as_patients(tmp_path: Path) -> None:
    pictures(tmp_path / "cp", *(f"{label}/{name}" for label in ("benign", "malignant") for name in PERSONS))
    described = tmp_path / "data.toml"
    described.write_text('[dataset]\ndata_path = "cp"\nfolder_levels = ["class", "patient"]\n')
    data = read_data(described, SimulationSettings(hospitals=2, unit="patient"))
    assert data.pictures.class_names == ("benign", "malignant") and len(set(data.units.tolist())) == 2
    assert data.pictures.sites is None


def test_hospitals_with_the_same_classes_are_hospitals_still(tmp_path: Path) -> None:
    names = [f"{site}/{label}" for site in ("Klinik Anna Muster", "west") for label in ("benign", "malignant")]
    found = read_data(pictures(tmp_path, *names), SimulationSettings(hospitals=2)).pictures
    assert (found.class_names, set(found.sites or ())) == (("benign", "malignant"), {"Klinik Anna Muster", "west"})


def test_one_class_written_in_two_ways_is_refused_in_folders_and_arrays(tmp_path: Path) -> None:
    settings, images = SimulationSettings(hospitals=2), np.zeros((4, 8, 8), dtype=np.uint8)
    array = tmp_path / "arrays.npz"
    np.savez(array, images=images, labels=[0, 1] * 2, class_names=np.array(["Benign", "benign"]))
    flat = pictures(tmp_path / "flat", "Benign", "benign", "malignant")
    nested = pictures(tmp_path / "nested", "east/Benign", "east/other", "west/benign", "west/other")
    for source in (array, flat, nested):
        with pytest.raises(DataError, match="differ only in capitals"):
            read_data(source, settings)
    np.savez(array, images=images, labels=[0, 1] * 2, class_names=np.array(PERSONS))
    with pytest.raises(IdentitySuspected, match=r"arrays\.npz: .*class names that look like names"):
        read_data(array, settings)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("who", PERSONS, "values of column 'who', which would be hospitals, that look like names"),
        ("patient name", ("A", "B"), "that look like names"),
        ("ward", ("St. Anna Krankenhaus", "Klinik Robert Koch"), ""),
        ("ward", ("north", "south"), ""),
        ("ward", ("north", "North"), "differ only in capitals"),
        ("part", ("train", "test"), "names parts of one data set"),
        ("part", ("学習", "検証"), "names parts of one data set"),
        ("ward", ("north", "test"), r"names parts of one data set \(test\)"),
    ],
)
def test_a_columns_values_are_hospitals_and_neither_persons_nor_parts(
    tmp_path: Path, column: str, values: tuple[str, str], message: str
) -> None:
    file = tmp_path / "data.npz"
    images = np.arange(8, dtype=np.uint8).repeat(12).reshape(8, 3, 4)
    np.savez(file, images=images, labels=[0, 1] * 4, **{column: np.repeat(values, 4)})
    settings = SimulationSettings(split="column", column=column)
    if message:
        with pytest.raises(DataError, match=message):
            read_data(file, settings)
    else:
        assert set(read_data(file, settings).values or ()) == set(values)
