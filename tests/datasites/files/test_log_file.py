"""A log stays within its size, keeps its latest lines, and says what it lost."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from datasites.files.log_file import BoundedHandler, cut

MOST = 10_000


def test_a_log_within_its_size_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "runs.log"
    file.write_bytes(b"x" * MOST)
    cut(file, MOST)
    assert file.read_bytes() == b"x" * MOST
    cut(tmp_path / "none.log", MOST)
    assert not (tmp_path / "none.log").exists()


def test_a_log_beyond_its_size_keeps_its_latest_lines_under_a_note_and_who_appends_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "runs.log"
    writer = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(2000):
        os.write(writer, f"line {number}\n".encode())
    cut(file, MOST)
    os.write(writer, b"later\n")
    os.close(writer)
    lines = file.read_text().splitlines()
    assert file.stat().st_size < MOST
    assert "max_log_bytes" in lines[0]
    assert lines[-2:] == ["line 1999", "later"]
    numbers = [int(line.split()[1]) for line in lines[1:-1]]
    assert numbers == list(range(numbers[0], 2000))


def test_a_datasites_log_is_cut_while_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "datasite.log"
    with file.open("a") as stream:
        handler = BoundedHandler(file, MOST)
        handler.setStream(stream)
        for number in range(1000):
            handler.handle(logging.LogRecord("datasites", logging.INFO, "", 0, f"{number} {'x' * 90}", None, None))
            assert file.stat().st_size <= MOST
    assert file.read_text().splitlines()[-1].startswith("999 ")
