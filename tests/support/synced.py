"""What is safely on the disk, in the order in which it got there: for tests of what a loss of power leaves."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def on_the_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with each fsync and each rename: `file`, `rename`, or the name of a folder with a slash."""
    told: list[str] = []
    synced, renamed = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        synced(descriptor)
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        told.append(f"{Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}/" if is_folder else "file")

    def replace(path: Path, target: Any) -> Path:
        done = renamed(path, target)
        told.append("rename")
        return done

    whole: Callable[[Path, Any], Path] = replace
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", whole)
    return told
