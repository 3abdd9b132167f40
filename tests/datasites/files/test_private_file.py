"""A private file is whole or not there, and once it is written no loss of power brings the one before back."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.synced import on_the_disk

from datasites.files.private_file import write_private


def test_a_limit_that_was_lowered_is_lowered_after_a_loss_of_power_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = on_the_disk(monkeypatch)
    write_private(tmp_path / "config.toml", "epsilon = 2\n")
    assert told == ["file", "rename", f"{tmp_path.name}/"]
    assert (tmp_path / "config.toml").read_text() == "epsilon = 2\n"
    assert (tmp_path / "config.toml").stat().st_mode & 0o777 == 0o600 and len(list(tmp_path.iterdir())) == 1
