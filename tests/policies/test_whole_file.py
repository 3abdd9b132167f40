"""A file of results has its bytes on the disk before it takes its name: a loss of power leaves none that is empty."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.synced import on_the_disk

from policies.whole_file import check_writable, write_whole


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = on_the_disk(monkeypatch)
    write_whole(tmp_path / "result.json", b"{}", "The result")
    assert told == ["file", "rename"] and (tmp_path / "result.json").read_bytes() == b"{}"
    check_writable(tmp_path / "result.json", "The result")
    assert told == ["file", "rename"] and len(list(tmp_path.iterdir())) == 1
