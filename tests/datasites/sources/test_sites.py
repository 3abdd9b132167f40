"""A trial's hospitals are found where they are certain, and each gets a datasite's name of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import references
from support.painting import Paint

import launch_datasites
from datasites.launching.wanted import Wanted, described
from datasites.sources.read_listing import list_pictures
from datasites.sources.sites import common_form, datasite_names, list_sites
from policies.errors import ConfigError, DataError, IdentitySuspected


@pytest.fixture
def hospitals(paint: Paint, tmp_path: Path) -> Path:
    """North has red and white cells, south has red cells and platelets."""
    for inside in ("north/red/1.png", "north/white/1.png", "south/platelet/1.png", "south/red/1.png"):
        paint(inside)
    return tmp_path


def launched(data: Path, state: Path | None = None) -> list[str]:
    words = ["--data_path", str(data), "--state", str(state or data / "state")]
    return [one.name for one in described(Wanted(**references.understood(launch_datasites.make_program(), words)))]


def test_hospitals_of_a_folder_are_its_subfolders_and_not_what_systems_leave(hospitals: Path) -> None:
    for stray in (".git", "@eaDir/red", "Neuer Ordner", "north/@eaDir", "west/red"):
        (hospitals / stray).mkdir(parents=True)
    (hospitals / "about.txt").write_text("two hospitals")
    assert list_sites(hospitals) == list_sites(str(hospitals)) == ["north", "south"]
    assert list_sites(hospitals / "north") == []


def test_hospitals_of_an_archive_are_its_sites(tmp_path: Path) -> None:
    images = np.zeros((4, 3, 4, 1), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=[0, 1, 0, 1], sites=["b", "b", "a", "a"])
    assert list_sites(tmp_path / "data.npz") == ["a", "b"]
    np.savez(tmp_path / "data.npz", images=images, labels=[0, 1, 0, 1])
    assert list_sites(tmp_path / "data.npz") == []


def test_what_is_neither_folder_nor_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pictures.zip").write_bytes(b"")
    for path in (tmp_path / "missing", tmp_path / "pictures.zip"):
        with pytest.raises(ConfigError, match=r"neither a folder nor an .npz file"):
            list_sites(path)


def test_patients_in_class_folders_are_not_hospitals_with_classes(paint: Paint, tmp_path: Path) -> None:
    for kind in ("benign", "malignant"):
        for patient in ("Muster_Anna_1961", "Beispiel_Bernd_1948"):
            paint(f"named/{kind}/{patient}/1.png")
            paint(f"numbered/{kind}/{kind}{len(patient)}/1.png")
    with pytest.raises(IdentitySuspected, match="folders that would be classes that look like names") as caught:
        launched(tmp_path / "named")
    assert "Muster" in caught.value.private and "Muster" not in caught.value.public
    with pytest.raises(DataError, match=r"no two hospitals have a class in common.*folder_levels"):
        launched(tmp_path / "numbered")


@pytest.mark.parametrize(
    ("patients", "kind"),
    [(("Muster_Anna_1961", "Beispiel_Bernd_1948"), "names"), (("P0001", "P0002"), "record numbers")],
)
def test_patients_are_no_hospitals_in_folders_and_in_an_archive(
    paint: Paint, tmp_path: Path, patients: tuple[str, str], kind: str
) -> None:
    images, sites = np.zeros((4, 3, 4, 1), dtype=np.uint8), np.array(patients * 2)
    np.savez(tmp_path / "data.npz", images=images, labels=[0, 1, 0, 1], sites=sites)
    with pytest.raises(IdentitySuspected, match=rf"values of sites that look like {kind}.*groups") as caught:
        launched(tmp_path / "data.npz", tmp_path / "state")
    assert patients[0] in caught.value.private and patients[0] not in caught.value.public
    for patient in patients:
        for label in ("red", "white"):
            paint(f"folders/{patient}/{label}/1.png")
    with pytest.raises(IdentitySuspected, match=f"folders that would be hospitals that look like {kind}"):
        launched(tmp_path / "folders")


def test_hospitals_may_be_called_by_their_numbers_and_after_persons(tmp_path: Path) -> None:
    images = np.zeros((4, 3, 4, 1), dtype=np.uint8)
    for sites in ((260100012, 260100023), ("St. Anna 2", "Anna Klinik 3"), ("华山", "中山"), ("P1", "north")):
        np.savez(tmp_path / "data.npz", images=images, labels=[0, 1, 0, 1], sites=np.array(sites * 2))
        assert list_sites(tmp_path / "data.npz") == sorted(map(str, sites))


def test_parts_of_a_data_set_are_not_hospitals(paint: Paint, tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        paint(f"{part}/red/1.png")
    with pytest.raises(DataError, match="look like parts of one data set"):
        launched(tmp_path)


@pytest.mark.parametrize(
    "hospitals_named",
    [
        ("北京医院", "上海医院"),
        ("Klinik Ost", "Klinik-Ost", "klinik_ost"),
        ("Hospital A", "hospital_a"),
        ("Würzburg", "Wurzburg", "Wuerzburg"),
        ("Südtirol", "Su\u0308dbaden"),
        ("...", "---"),
        ("x" * 100, "x" * 101),
    ],
)
def test_hospitals_get_names_of_their_own_that_stay(hospitals_named: tuple[str, ...]) -> None:
    from policies.validate import name as check_name

    found = datasite_names(hospitals_named)
    assert len(set(found)) == len(hospitals_named) and [check_name("name", one) for one in found] == found
    assert datasite_names(hospitals_named[::-1]) == found[::-1]


def test_two_folders_of_one_name_in_two_forms_are_not_two_hospitals(paint: Paint, tmp_path: Path) -> None:
    for hospital in ("Südbaden", "Su\u0308dbaden", "north"):
        paint(f"{hospital}/red/1.png")
    with pytest.raises(DataError, match="Two folders are called Südbaden: one writes its letters with marks"):
        list_sites(tmp_path)


def test_plain_names_stay_and_umlauts_are_written_out() -> None:
    assert datasite_names(["north", "Hospital A", "Uniklinik Würzburg"]) == [
        "north",
        "hospital_a",
        "uniklinik_wuerzburg",
    ]


def test_hospitals_named_in_chinese_are_started_and_read_their_own_pictures(
    paint: Paint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, hospital in enumerate(("北京医院", "上海医院")):
        for name in ("良性", "恶性"):
            paint(f"data/{hospital}/{name}/1.png", 10 * number)
    words = ["--data_path", str(tmp_path / "data"), "--state", str(tmp_path / "state")]
    configs = described(Wanted(**references.understood(launch_datasites.make_program(), words)))
    said = capsys.readouterr().out
    assert len({one.name for one in configs}) == 2
    for config in configs:
        found = list_pictures(config.dataset)
        assert len(found.pictures) == 2 and found.root == tmp_path / "data" / config.dataset.site
        assert f"The hospital {config.dataset.site} is called {config.name} here." in said


def test_all_hospitals_get_one_size_and_as_many_channels_as_the_most_colourful_needs(
    paint: Paint, hospitals: Path
) -> None:
    found = common_form(hospitals)
    assert (found.size, found.channels) == ((3, 4), 1)
    paint("south/red/2.png", (1, 2, 3), (9, 9))
    found = common_form(hospitals)
    assert (set(found.sizes), found.channels) == ({(3, 4), (9, 9)}, 3)


def _state_of(folder: Path, written: str) -> None:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(written)


@pytest.mark.parametrize("written", ['name = "w_rzburg"\nsite = "Wu\u0308rzburg"\n', '[dataset]\nsite = "Würzburg"\n'])
def test_a_hospital_keeps_the_state_folder_that_it_has_whatever_names_are_made_today(
    paint: Paint, tmp_path: Path, capsys: pytest.CaptureFixture[str], written: str
) -> None:
    for hospital in ("Würzburg", "Ulm"):
        paint(f"data/{hospital}/red/1.png")
    assert launched(tmp_path / "data", tmp_path / "state") == ["ulm", "wuerzburg"]
    _state_of(tmp_path / "state" / "w_rzburg", written)
    _state_of(tmp_path / "state" / "other", 'name = "other"\n')
    assert launched(tmp_path / "data", tmp_path / "state") == ["ulm", "w_rzburg"]
    assert "Würzburg is called w_rzburg here" in capsys.readouterr().out
    _state_of(tmp_path / "state" / "wuerzburg", written)
    with pytest.raises(ConfigError, match=r"has 2 state folders.*w_rzburg, wuerzburg.*Move all but the one"):
        launched(tmp_path / "data", tmp_path / "state")


def test_no_hospital_gets_the_state_folder_of_another_one(paint: Paint, tmp_path: Path) -> None:
    for hospital in ("hospital_a", "hospital_b"):
        paint(f"data/{hospital}/red/1.png")
    _state_of(tmp_path / "state" / "hospital_a", '[dataset]\nsite = "Hospital A"\n')
    with pytest.raises(ConfigError, match=r"hospital_a would get the state folder .*, which is of Hospital A\."):
        launched(tmp_path / "data", tmp_path / "state")
    paint("data/Hospital A/red/1.png")
    with pytest.raises(ConfigError, match=r"which is of Hospital A\."):
        launched(tmp_path / "data", tmp_path / "state")
