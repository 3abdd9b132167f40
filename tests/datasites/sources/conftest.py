"""Small real files of every kind of source."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from support.painting import Paint


@pytest.fixture
def paint(tmp_path: Path) -> Paint:
    """Writes a small picture of one level, at a path inside the test's folder."""

    def write(inside: str, level: int | tuple[int, int, int] = 10, size: tuple[int, int] = (4, 3)) -> Path:
        file = tmp_path / inside
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L" if isinstance(level, int) else "RGB", size, level).save(file)
        return file

    return write
