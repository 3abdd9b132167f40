"""Settings on the hospital's command lines: what is given is obeyed or refused, what is not stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import references

import launch_datasites
from datasites.cli import main
from datasites.cli.commands import Chosen
from datasites.cli.preparation import init
from datasites.cli.program import make_program
from datasites.cli.state_option import chosen_state
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.launching.wanted import Wanted, described, started_as_they_are
from datasites.sources.dataset_settings import DatasetSettings
from policies.budget.limits import DatasetLimits
from policies.errors import ConfigError


@pytest.fixture
def hospital(tmp_path: Path) -> StateFolder:
    """A hospital that was described before, on a port of its own."""
    state = StateFolder(tmp_path / "north")
    state.path.mkdir()
    state.config.write_text(DatasiteConfig("north", 9001, dataset=DatasetSettings(data_path=str(tmp_path))).to_toml())
    return state


def wanted(*words: str) -> Wanted:
    return Wanted(**references.understood(launch_datasites.make_program(), words))


def test_a_new_datasite_has_the_settings_defaults_and_what_was_given(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    words = ["init", "--data_path", str(tmp_path / "pictures"), "--unit", "patient", "--researcher", "r@university.org"]
    given = references.understood(make_program(), words)
    settings = {name: value for name, value in given.items() if name not in ("state", "name", "as_file", "json")}
    init(Chosen(name="north", state=tmp_path / "north"), **settings)
    assert DatasiteConfig.from_toml(tmp_path / "north" / "config.toml") == DatasiteConfig(
        name="north",
        dataset=DatasetSettings(data_path=str(tmp_path / "pictures"), unit="patient"),
        researchers=("r@university.org",),
    )


def test_a_new_datasite_begins_with_the_table_that_inspect_prints_and_paths_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "chest.toml").write_text('[dataset]\nname = "chest"\ndata_path = "scans"\nsize = [8, 8]\n')
    words = ["init", "--name", "north", "--state", str(tmp_path / "north"), "--settings", str(tmp_path / "chest.toml")]
    assert main([*words, "--port", "9007", "--dataset", "lungs"]) == 0
    assert DatasiteConfig.from_toml(tmp_path / "north" / "config.toml") == DatasiteConfig(
        "north", 9007, dataset=DatasetSettings(name="lungs", data_path=str(tmp_path / "scans"), size=(8, 8))
    )


def started(*words: str) -> list[DatasiteConfig]:
    asked = wanted(*words)
    return started_as_they_are(asked, described(asked))


def test_a_hospital_that_starts_again_keeps_its_port_and_another_is_told(
    hospital: StateFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ("--state", str(hospital.path.parent), "--name", "north")
    assert started(*again)[0].port == 9001 and capsys.readouterr().out == ""
    assert started(*again, "--port", "8081", "--image_size", "8", "--researcher", "r@university.org")[0].port == 9001
    said = capsys.readouterr().out
    assert "port (9001 is there, 8081 was asked)" in said and "dataset.size" in said and "researchers" in said
    assert str(hospital.config) in said


def test_limits_that_were_set_and_a_file_that_was_edited_stay_however_a_hospital_is_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hospitals.toml").write_text(
        '[hospital_a]\nport = 8081\ndata_path = "state/drawn/pictures.npz"\nsite = "hospital_a"\n'
        "max_pending_per_researcher = 20\n[hospital_a.limits]\nmax_study_epsilon = 2.0\n"
    )
    states = ("--state", str(tmp_path / "state"))
    ways = ((), ("--name", "hospital_a"), ("--config", str(tmp_path / "hospitals.toml")))
    (first, *_) = started(*states)
    state = StateFolder(tmp_path / "state" / "hospital_a")
    state.path.mkdir()
    edited = replace(
        first, port=9001, max_pending_per_researcher=5, limits=DatasetLimits(max_study_epsilon=3.0, approvals_needed=2)
    )
    state.config.write_text("# read by our security office\n" + edited.to_toml())
    before = state.config.read_bytes()
    said = []
    for way in ways:
        (again, *_) = started(*states, *way)
        assert again == edited
        said.append(capsys.readouterr().out)
    assert said[:2] == ["", ""]
    assert "limits.max_study_epsilon (3.0 is there, 2.0 was asked)" in said[2]
    assert "max_pending_per_researcher (5 is there, 20 was asked)" in said[2] and "approvals_needed" not in said[2]
    assert state.config.read_bytes() == before


def test_a_hospital_with_other_pictures_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "chest").mkdir()
    state = StateFolder(tmp_path / "hospital_a")
    state.path.mkdir()
    dataset = DatasetSettings(name="chest", data_path=str(tmp_path / "chest"), table=str(tmp_path / "labels.csv"))
    state.config.write_text(DatasiteConfig("hospital_a", dataset=dataset).to_toml())
    before = state.config.read_bytes()
    (tmp_path / "other").mkdir()
    named = ("--name", "hospital_a")
    for words in ((), (*named, "--data_path", str(tmp_path / "other"))):
        with pytest.raises(
            ConfigError, match=r"'hospital_a' in .* has other pictures .* another --state or another name"
        ):
            started("--state", str(tmp_path), *words)
    assert started("--state", str(tmp_path), *named)[0].dataset == dataset
    assert state.config.read_bytes() == before


def test_pictures_that_moved_with_their_project_are_told_and_no_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (first, *_) = started("--state", str(tmp_path / "state"))
    state = StateFolder(tmp_path / "state" / "hospital_a")
    state.path.mkdir()
    gone = replace(first, dataset=replace(first.dataset, data_path="/gone/state/drawn/pictures.npz"))
    state.config.write_text(gone.to_toml())
    assert started("--state", str(tmp_path / "state"))[0] == gone
    assert "dataset.data_path (/gone/state/drawn/pictures.npz is there" in capsys.readouterr().out


def test_books_without_a_config_are_no_new_hospital(hospital: StateFolder) -> None:
    hospital.config.unlink()
    hospital.ledger.touch()
    with pytest.raises(ConfigError, match=r"holds a ledger and no config\.toml"):
        started("--state", str(hospital.path.parent), "--name", "north", "--data_path", str(hospital.path))


@pytest.mark.parametrize(
    "more",
    [("--name", "a"), ("--port", "8081"), ("--data_path", "x"), ("--image_size", "8"), ("--researcher", "r@u.org")],
    ids=" ".join,
)
def test_a_file_of_hospitals_takes_no_setting_beside_it(more: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"--config already describes the hospitals. Leave out {more[0]}"):
        described(wanted("--config", "hospitals.toml", *more))


def test_a_datasite_is_named_in_one_way(hospital: StateFolder) -> None:
    assert chosen_state(Chosen(state=hospital.path)).path == hospital.path
    with pytest.raises(ConfigError, match="one of the two"):
        chosen_state(Chosen(state=hospital.path, name="south"))


@pytest.mark.parametrize(
    "two", [("--nothing_since", "--accept_loss"), ("--nothing_since", "--lost", "x"), ("--lost", "x", "--accept_loss")]
)
def test_a_restore_takes_one_answer(two: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore", "backups", "--state", "state/new", *two]) == 2
    assert "contradict each other" in capsys.readouterr().err
