"""Names that researchers will see are told to the hospital before anything is read, and a person can say no."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from support.painting import Paint

from datasites.cli.preparation import _agreed
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.prepare import IngestOptions, ingest_pictures
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.public_names import public_names
from datasites.sources.read_listing import list_pictures
from policies.errors import ConfigError, DataError


def test_names_are_told_with_the_pictures_behind_each_and_no_means_nothing_is_written(
    paint: Paint, tmp_path: Path
) -> None:
    for number in range(3):
        paint(f"data/良性/{number}.png", number)
    paint("data/恶性/1.png", 9)
    dataset = DatasetSettings("cells", str(tmp_path / "data"), terms_of_use="For research on lungs alone.")
    state, told = StateFolder(tmp_path / "state"), list[str]()
    state.create()
    options = IngestOptions(tell=told.append, agreed=lambda: False)
    with pytest.raises(ConfigError, match="nothing is published"):
        ingest_pictures(state, DatasiteConfig("north", dataset=dataset), options)
    assert told[0].endswith("cells, and these 2 class names:")
    assert [line.split(" (")[0].strip() for line in told[1:3]] == ["恶性", "良性"] and "3 pictures" in told[2]
    assert "For research on lungs alone." in told[3]
    assert not list(state.store.iterdir())
    with pytest.raises(DataError, match="at least 50 privacy units"):  # yes: it goes on
        ingest_pictures(state, DatasiteConfig("north", dataset=dataset), IngestOptions(tell=told.append))


def test_findings_are_told_with_the_pictures_that_show_them(paint: Paint, tmp_path: Path) -> None:
    for number in range(3):
        paint(f"{number}.png")
    (tmp_path / "t.csv").write_text("path,mass,effusion\n0.png,1,0\n1.png,1,\n2.png,-1,1\n")
    settings = DatasetSettings(
        data_path=str(tmp_path / "t.csv"), label_kind="multi", label_columns=("mass", "effusion")
    )
    told = list(public_names(list_pictures(settings), settings))
    assert told[1].strip().startswith("mass (2 pictures") and told[2].strip().startswith("effusion (1 pictures")


@pytest.mark.parametrize(("yes", "answer", "agreed"), [(True, "", True), (False, "y\n", True), (False, "n\n", False)])
def test_a_person_is_asked_in_a_terminal_unless_the_answer_is_given(
    monkeypatch: pytest.MonkeyPatch, yes: bool, answer: str, agreed: bool
) -> None:
    for named in (False, True):
        terminal = io.StringIO(answer)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", terminal)
        assert _agreed(yes, named) is agreed


def test_where_nobody_can_answer_the_settings_or_an_option_have_to_have_done_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert [_agreed(yes=False, named=named) for named in (False, True)] == [False, True]
    assert _agreed(yes=True, named=False)
