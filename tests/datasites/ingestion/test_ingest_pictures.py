"""What a hospital's own command does with a folder, a table or an archive, the first time and again."""

from __future__ import annotations

import csv
import shutil
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from datasites.assets.store import open_store
from datasites.cli import main
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.prepare import (
    IngestOptions,
    asked_in_vain,
    ingest_pictures,
    stored_pictures,
    write_config,
)
from datasites.sources.arrays import array_labels, npz_pictures
from datasites.sources.dataset_settings import DatasetSettings
from policies.errors import ConfigError, DataError, StoreBroken

QUIET = IngestOptions(processes=1, tell=lambda line: None)


def draw(folder: Path, start: int, stop: int) -> None:
    rng = np.random.default_rng(start)
    for kind in ("benign", "malignant"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(start, stop):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / kind / f"{number}.png")


@pytest.fixture
def datasite(tmp_path: Path) -> tuple[StateFolder, DatasiteConfig]:
    draw(tmp_path / "pictures", 0, 30)
    state = StateFolder(tmp_path / "a")
    config = DatasiteConfig(name="a", dataset=DatasetSettings(data_path=str(tmp_path / "pictures")))
    write_config(state, config)
    return state, config


def test_more_pictures_after_the_first_ingest_make_a_version_and_other_settings_end_with_status_1(
    datasite: tuple[StateFolder, DatasiteConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, config = datasite
    ingest = ["ingest", "--state", str(state.path), "--processes", "1", "--yes"]
    assert main(ingest) == 0
    assert "60 pictures of 8x8x3" in capsys.readouterr().out
    assert main(ingest) == 0
    assert "holds these pictures already" in capsys.readouterr().err
    draw(tmp_path / "pictures", 30, 40)
    (tmp_path / "pictures" / "benign" / "0.png").unlink()
    assert main(ingest) == 0
    said = capsys.readouterr()
    assert (
        "New in 'pictures': 20 pictures" in said.err
        and "1 pictures of 'pictures' are not in the source any more" in said.err
    )
    assert "Version 2" in said.err and "80 pictures of 8x8x3" in said.out
    write_config(state, replace(config, dataset=replace(config.dataset, size=(4, 4))))
    assert main(ingest) == 1
    assert "size (8 x 8 is there, 4 x 4 was asked)" in capsys.readouterr().err
    assert open_store(state.store / "pictures").manifest.num_pictures == 60


def test_what_a_launch_asks_of_a_dataset_that_is_there_is_named(datasite: tuple[StateFolder, DatasiteConfig]) -> None:
    state, config = datasite
    assert asked_in_vain(state, config) == []
    ingest_pictures(state, config, QUIET)
    assert asked_in_vain(state, config) == []
    other = replace(config, dataset=replace(config.dataset, size=(4, 4), class_names=("malignant", "benign")))
    assert [text.split(" ")[0] for text in asked_in_vain(state, other)] == ["class_names", "size"]
    elsewhere = replace(config, dataset=replace(config.dataset, data_path="elsewhere"))
    assert [text.split(" ")[0] for text in asked_in_vain(state, elsewhere)] == ["data_path"]


def test_a_store_whose_class_names_have_letters_in_the_other_form_is_the_same_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As releases to 0.2 stored those of an archive."""
    images = np.random.default_rng(0).integers(0, 256, (90, 8, 8, 3), dtype=np.uint8)
    names = tuple(normalize("NFD", one) for one in ("gesünder", "weiß"))
    file, state = tmp_path / "all.npz", StateFolder(tmp_path / "a")

    def write(count: int) -> None:
        np.savez(file, images=images[:count], labels=np.arange(count) % 2, class_names=np.array(names))

    write(60)
    config = DatasiteConfig(name="a", dataset=DatasetSettings(data_path=str(file)))
    write_config(state, config)
    ingest = ["ingest", "--state", str(state.path), "--processes", "1", "--yes"]
    with monkeypatch.context() as before:
        for reads in (npz_pictures, array_labels):
            before.setattr(reads, "one_form", str)
        assert main(ingest) == 0
    assert main(ingest) == 0
    declared = replace(
        config, dataset=replace(config.dataset, class_names=tuple(normalize("NFC", one) for one in names))
    )
    assert asked_in_vain(state, declared) == []
    write(90)
    assert main(ingest) == 0
    grown = stored_pictures(state, config)
    assert grown.num_pictures == 90 and grown.class_names == names  # what studies know it by


def test_what_is_stored_is_served_without_its_source_and_damaged_rows_are_not(
    datasite: tuple[StateFolder, DatasiteConfig], tmp_path: Path
) -> None:
    state, config = datasite
    manifest = ingest_pictures(state, config, QUIET)
    shutil.rmtree(tmp_path / "pictures")
    assert stored_pictures(state, config) == manifest
    labels = np.load(state.store / "pictures" / "labels.npy", mmap_mode="r+")
    labels[0] = 1 - labels[0]
    labels.flush()
    with pytest.raises(StoreBroken):
        stored_pictures(state, config)


def test_a_store_under_another_secret_is_not_taken_for_one_in_which_everything_is_new(
    datasite: tuple[StateFolder, DatasiteConfig],
) -> None:
    state, config = datasite
    ingest_pictures(state, config, QUIET)
    key = state.identity / "pseudonyms.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_text("f" * 64)
    with pytest.raises(ConfigError, match="another secret"):
        ingest_pictures(state, config, QUIET)
    key.write_text("torn")
    with pytest.raises(ConfigError, match=r"Restore identity/pseudonyms\.key"):
        ingest_pictures(state, config, QUIET)


def _png_of_12_bits(values: np.ndarray, *, stated: bool) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 0, 0, 0, 0)
    said = chunk(b"sBIT", bytes([12])) if stated else b""
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + said + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def test_12_bits_in_16_keep_all_their_grey_levels_or_the_dataset_is_refused_by_name_with_the_setting(
    tmp_path: Path,
) -> None:
    ramp = np.tile(np.linspace(0, 4095, 256).round(), (2, 1))
    for stated in (True, False):
        for number in range(60):
            file = tmp_path / str(stated) / ("a", "b")[number % 2] / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(_png_of_12_bits(np.roll(ramp, number, axis=1), stated=stated))
    silent = DatasiteConfig(name="a", dataset=DatasetSettings(name="mammograms", data_path=str(tmp_path / "False")))
    with pytest.raises(DataError, match=r"'mammograms' is not taken: bits_in_doubt\. Set bits to"):
        ingest_pictures(StateFolder(tmp_path / "state"), silent, QUIET)
    for dataset in (
        DatasetSettings(name="stated", data_path=str(tmp_path / "True")),
        DatasetSettings(name="declared", data_path=str(tmp_path / "False"), bits=12),
    ):
        state = StateFolder(tmp_path / dataset.name)
        ingest_pictures(state, DatasiteConfig(name="a", dataset=dataset), QUIET)
        image = open_store(state.store / dataset.name).images[0]
        assert (image.min(), image.max(), len(np.unique(image))) == (0, 255, 256)


@pytest.mark.parametrize(("bits", "store_bits", "told"), [(13, 8, 1), (14, 8, 1), (14, 16, 1), (16, 8, 0)])
def test_a_dataset_that_is_dark_throughout_is_told_with_the_setting(
    tmp_path: Path, bits: int, store_bits: int, told: int
) -> None:
    ramp = np.tile(np.linspace(0, 2**bits - 1, 256).round(), (2, 1))
    for number in range(60):
        file = tmp_path / "data" / ("a", "b")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_png_of_12_bits(np.roll(ramp, number, axis=1), stated=False))
    lines: list[str] = []
    options = IngestOptions(processes=1, tell=lines.append)
    for dataset, expected in (
        (DatasetSettings(name="silent", data_path=str(tmp_path / "data"), store_bits=store_bits), told),
        (DatasetSettings(name="declared", data_path=str(tmp_path / "data"), store_bits=store_bits, bits=bits), 0),
    ):
        lines.clear()
        ingest_pictures(StateFolder(tmp_path / dataset.name), DatasiteConfig(name="a", dataset=dataset), options)
        assert (
            sum("None of 60 pictures that were looked at reaches half of white" in line for line in lines) == expected
        )


def test_a_patient_of_two_sites_of_one_source_is_told(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (120, 4, 4, 1), dtype=np.uint8)
    patients = [f"p{number}" for number in range(120)]
    patients[100] = "p3"
    np.savez(
        tmp_path / "all.npz",
        images=images,
        labels=np.arange(120) % 2,
        sites=np.repeat(["north", "south"], 60),
        groups=np.array(patients),
    )
    state = StateFolder(tmp_path / "state")
    dataset = DatasetSettings(data_path=str(tmp_path / "all.npz"), site="north", unit="patient")
    ingest_pictures(state, DatasiteConfig(name="a", dataset=dataset), QUIET)
    with (state.path / "ingest-report.csv").open(encoding="utf-8-sig", newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["file"], line["reason"]) == ("images[3]", "patient_in_two_sites")


def test_yes_answers_the_question_about_names_and_what_contradicts_needs_an_option_of_its_own(
    datasite: tuple[StateFolder, DatasiteConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, _ = datasite
    shutil.copy(tmp_path / "pictures" / "benign" / "0.png", tmp_path / "pictures" / "malignant" / "again.png")
    ingest = ["ingest", "--state", str(state.path), "--processes", "1"]
    for words in (["--yes"], ["--yes", "--accept", "in_hold_out"]):
        assert main([*ingest, *words]) == 1
        assert "--accept same_picture_in_two_classes" in capsys.readouterr().err
    assert main([*ingest, "--accept", "everything"]) == 2
    assert not (state.store / "pictures").exists()
    assert main([*ingest, "--yes", "--accept", "same_picture_in_two_classes"]) == 0
    assert open_store(state.store / "pictures").manifest.num_pictures == 61


def test_a_fault_of_the_hold_out_is_said_to_be_the_hold_outs_before_any_name_is_told(
    datasite: tuple[StateFolder, DatasiteConfig], tmp_path: Path
) -> None:
    state, config = datasite
    told = list[str]()
    nested, arrays, described = tmp_path / "held", tmp_path / "held.npz", tmp_path / "held.toml"
    for kind in ("benign", "malignant"):
        shutil.copytree(tmp_path / "pictures" / kind, nested / kind / "p1")
    np.savez(arrays, images=np.zeros((4, 8, 8, 3), np.uint8), labels=np.zeros(4, int))
    described.write_text('[dataset]\ndata_path = "held"\n')
    for held, said, advised in (
        (nested, "set folder_levels", "a TOML file's that describes the hold-out: give it as --hold_out"),
        (arrays, "Pictures must have 2 to", "a TOML file's that describes the hold-out"),
        (described, "set folder_levels", "a table .dataset. is that file's own"),
        (tmp_path / "gone", "nothing is there", "Mend it in the hold-out"),
    ):
        options = replace(QUIET, hold_out=str(held), tell=told.append)
        with pytest.raises((ConfigError, DataError), match=f"The hold-out .*not the dataset.*{said}.*{advised}"):
            ingest_pictures(state, config, options)
    assert told == [] and not (state.store / "pictures").exists()
    described.write_text('[dataset]\ndata_path = "held"\nfolder_levels = ["class", "patient"]\n')
    with pytest.raises(DataError, match="in_hold_out"):
        ingest_pictures(state, config, replace(QUIET, hold_out=str(described)))


def test_a_script_publishes_no_name_that_nobody_has_agreed_to(
    datasite: tuple[StateFolder, DatasiteConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    state, config = datasite
    ingest = ["ingest", "--state", str(state.path), "--processes", "1"]
    assert main(ingest) == 1
    said = capsys.readouterr().err
    assert "benign (30 pictures" in said and "give --yes, or set class_names" in said
    assert not (state.store / "pictures").exists()
    write_config(state, replace(config, dataset=replace(config.dataset, class_names=("benign", "malignant"))))
    assert main(ingest) == 0
    assert main(ingest) == 0


def test_a_person_who_stops_an_ingest_is_told_that_it_goes_on_and_sees_no_traceback(
    datasite: tuple[StateFolder, DatasiteConfig], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    state, _ = datasite
    monkeypatch.setattr("datasites.prepare.list_pictures", interrupted)
    assert main(["ingest", "--state", str(state.path)]) == 130
    assert "The same command goes on: what was read is kept.\nStopped." in capsys.readouterr().err
