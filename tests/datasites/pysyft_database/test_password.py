"""PostgreSQL's password out of its file: as it was meant, whatever an editor put around it. Nothing is connected to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2
import pytest

from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from datasites.pysyft_database.address import DatabaseAddress
from datasites.pysyft_database.postgresql import PASSWORD_FILE, connect
from policies.errors import ConfigError, DatabaseUnavailable

ADDRESS = DatabaseAddress.parse("postgresql://wanwu@localhost:5432/north")


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    state = StateFolder(tmp_path)
    state.identity.mkdir()
    return state


def used(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> Any:
    given: dict[str, Any] = {}

    def nowhere(**settings: Any) -> None:
        given.update(settings)
        raise psycopg2.OperationalError

    monkeypatch.setattr(psycopg2, "connect", nowhere)
    with pytest.raises(DatabaseUnavailable):
        connect(state, ADDRESS, "")
    return given["password"]


@pytest.mark.parametrize("written", ["geheim", "geheim\n", "geheim\r\n", "\ufeffgeheim", "\ufeffgeheim\r\n"])
def test_the_password_is_what_stands_in_its_file(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    write_private(state.identity / PASSWORD_FILE, written)
    assert used(state, monkeypatch) == "geheim"


def test_without_the_file_there_is_no_password(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert used(state, monkeypatch) is None


@pytest.mark.parametrize("written", ["", "\n", "\ufeff", "two\nlines", "two\rlines", "a\0b"])
def test_a_file_without_one_line_is_refused(state: StateFolder, written: str) -> None:
    write_private(state.identity / PASSWORD_FILE, written)
    with pytest.raises(ConfigError, match="must hold one line"):
        connect(state, ADDRESS, "")


def test_a_file_that_others_may_read_is_refused(state: StateFolder) -> None:
    write_private(state.identity / PASSWORD_FILE, "geheim")
    (state.identity / PASSWORD_FILE).chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        connect(state, ADDRESS, "")
