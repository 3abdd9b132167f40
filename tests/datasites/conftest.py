"""Fixtures: a small state folder with real books."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.books import approve, make_state, run_round
from support.hospitals import write_pictures

from datasites.files.state_folder import StateFolder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("drawn") / "pictures.npz"
    write_pictures(file, sites=("north",), each=80)
    return file


@pytest.fixture
def state(tmp_path: Path, drawn: Path) -> StateFolder:
    """Study one: 4 rounds of 1 step approved, 2 of them ran."""
    made = make_state(tmp_path / "north", drawn)
    approve(made, "one")
    run_round(made, "one", 0)
    run_round(made, "one", 1)
    return made
