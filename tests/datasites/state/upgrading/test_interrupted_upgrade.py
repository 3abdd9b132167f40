"""An upgrade that was killed while it put books in place: no file is missing, no backup mixes versions, it goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.books import as_before_seals, ledger_of

from datasites.cli import main
from datasites.files.state_folder import StateFolder
from datasites.state import agreement
from datasites.state.backup import back_up, latest
from datasites.state.upgrading import upgrade as upgrading
from datasites.state.upgrading.upgrade import upgrade
from datasites.state.version import STATE_VERSION, UPGRADING
from policies.errors import BackupRefused, StateVersionMismatch


@pytest.fixture
def older(state: StateFolder) -> StateFolder:
    """A state folder of version 1, with its settings."""
    state.config.write_text('name = "north"\n')
    return as_before_seals(state)


def _kill_at(older: StateFolder, backups: Path, monkeypatch: pytest.MonkeyPatch, *, move: int) -> bool:
    """Upgrades, and is killed at a move of an entry; whether there was such a move."""
    moves, rename = 0, Path.rename

    def killed(self: Path, target: Path) -> Path:
        nonlocal moves
        if (older.path / UPGRADING / "places.json").exists():
            moves += 1
            if moves == move:
                raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        try:
            upgrade(older, backups)
        except KeyboardInterrupt:
            return True
    return False


def test_no_file_is_missing_while_books_are_put_in_place(
    older: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {entry.name for entry in older.path.iterdir() if entry.is_file()}
    assert {"config.toml", "ledger.sqlite", "audit.log"} <= files
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        done = rename(self, target)
        assert files <= {entry.name for entry in older.path.iterdir()}
        return done

    monkeypatch.setattr(Path, "rename", watched)
    assert upgrade(older, tmp_path / "backups").now == STATE_VERSION


def test_the_command_finishes_what_was_killed_and_says_that_it_did(
    older: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = ledger_of(older).entries()
    assert _kill_at(older, tmp_path / "backups", monkeypatch, move=5)
    assert main(["upgrade", "--state", str(older.path), "--backup", str(tmp_path / "again")]) == 0
    said = capsys.readouterr().out
    assert (
        "had been interrupted and is finished" in said
        and "nothing was migrated" not in said
        and "A backup of it as it is: " in said
    )
    agreement.check(older)
    assert ledger_of(older).entries() == entries
    assert main(["upgrade", "--state", str(older.path), "--backup", str(tmp_path / "again")]) == 0
    said = capsys.readouterr().out
    assert "nothing was migrated" in said and str(latest(tmp_path / "again")) in said


@pytest.mark.parametrize("move", [1, 2, 5, 12])
def test_half_upgraded_books_are_in_no_backup(
    older: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, move: int
) -> None:
    assert _kill_at(older, tmp_path / "backups", monkeypatch, move=move)
    with pytest.raises(BackupRefused, match=r"upgrade .* was interrupted.*Finish it first"):
        back_up(older, tmp_path / "between")
    assert not (tmp_path / "between").exists()
    upgrade(older, tmp_path / "backups")
    assert back_up(older, tmp_path / "between").manifest.state_version == STATE_VERSION


def test_a_copy_that_cannot_be_named_is_put_in_no_place(
    older: StateFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_fails(folder: Path) -> None:
        if folder.name == UPGRADING:
            raise OSError("the disk does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(upgrading, "sync_folder", disk_fails)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # killed before the copy was removed
        with pytest.raises(OSError, match="does not answer"):
            upgrade(older, tmp_path / "backups")
    assert not (older.path / UPGRADING / "places.json").exists()
    assert upgrade(older, tmp_path / "backups").before == 1
    agreement.check(older)


@pytest.mark.parametrize("name", ["../neighbour", "..", ".", "", "store/large", UPGRADING, "serving.lock"])
@pytest.mark.parametrize("list_of", ["come", "go"])
def test_only_entries_of_the_state_folder_are_moved(
    older: StateFolder, tmp_path: Path, list_of: str, name: str
) -> None:
    (older.path / UPGRADING / older.path.name).mkdir(parents=True)
    places = {"come": [], "go": [], list_of: [name]}
    (older.path / UPGRADING / "places.json").write_text(json.dumps(places))
    (older.path.parent / "neighbour").write_text("mine")
    with pytest.raises(StateVersionMismatch, match="cannot be read"):
        upgrade(older, tmp_path / "backups")
    assert (older.path.parent / "neighbour").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_of_an_upgrade_is_not_removed(older: StateFolder, tmp_path: Path, kind: str) -> None:
    outside, place = tmp_path / "outside", older.path / UPGRADING
    outside.mkdir()
    (outside / "places.json").write_text("{}")
    place.write_text("mine") if kind == "file" else place.symlink_to(outside)
    with pytest.raises(StateVersionMismatch, match="is no folder of an upgrade"):
        upgrade(older, tmp_path / "backups")
    assert (outside / "places.json").exists() and os.path.lexists(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_upgrades_belongs_to_the_account_that_serves_it(older: StateFolder, tmp_path: Path) -> None:
    for entry in (older.path, *older.path.rglob("*")):
        os.lchown(entry, 65_534, 65_534)
    (older.path / "serving.lock").unlink(missing_ok=True)
    upgrade(older, tmp_path / "backups")
    entries = [older.path, *older.path.rglob("*")]
    assert {(entry.lstat().st_uid, entry.lstat().st_gid) for entry in entries} == {(65_534, 65_534)}
