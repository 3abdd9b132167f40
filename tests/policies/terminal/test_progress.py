"""Something long says how far it is: a bar in a terminal, elsewhere a few lines that no pipe chokes on."""

from __future__ import annotations

import re

import pytest

from policies.terminal import progress


def test_without_a_terminal_a_few_lines_tell_how_much_is_done_and_how_long_it_takes_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Watched("Reading pictures") as watch:
        for done in range(1, 100_001):
            now[0] = done / 100
            if done % 64 == 0 or done == 100_000:
                watch(done, 100_000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9
    assert re.fullmatch(r"Reading pictures: 10,048 of 100,000, 0:15:00 left", lines[0])
    assert lines[-1].startswith("Reading pictures: 90,")


def test_what_is_short_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Watched("Reading pictures") as watch:
        for done in range(101):
            watch(done, 100)
    assert capsys.readouterr().err == ""
