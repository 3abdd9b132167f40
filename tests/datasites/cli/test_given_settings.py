"""Settings on the hospital's command lines: what is given is obeyed or refused, what is not stays as it was."""

from __future__ import annotations

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
from datasites.sources.dataset_settings import DatasetSettings
from launch_datasites import Wanted, described
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


def test_a_hospital_that_starts_again_keeps_its_port_unless_another_is_given(hospital: StateFolder) -> None:
    again = ("--state", str(hospital.path.parent), "--name", "north")
    assert described(wanted(*again))[0].port == 9001
    assert described(wanted(*again, "--port", "8081"))[0].port == 8081


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
