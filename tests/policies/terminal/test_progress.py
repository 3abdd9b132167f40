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
    # At 5 seconds and each time that it has lasted twice as long, then at the tenths, which come sooner.
    hundreds = [int(line.split()[2].replace(",", "")) // 100 for line in lines]
    assert hundreds == [5, 10, 20, 40, 81, *range(100, 1000, 100)]
    assert re.fullmatch(r"Reading pictures: 10,048 of 100,000, 0:15:00 left", lines[5])


def test_what_is_short_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Watched("Reading pictures") as watch:
        for done in range(101):
            watch(done, 100)
    assert capsys.readouterr().err == ""


def test_what_has_few_and_slow_parts_tells_what_it_is_at_before_a_tenth_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Watched("Steps") as watch:
        for done in range(60):
            watch(done, 1000, f"round 1, \x1b[31mhospital {done}")
            now[0] += 10
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Steps: 1 of 1,000 (round 1, \\x1b[31mhospital 1), 2:46:30 left"
    assert [line.split()[1] for line in lines] == ["1", "2", "4", "8", "16", "32"]


def test_a_bar_says_what_is_done_and_leaves_lines_for_a_file_to_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes standard error for a terminal, and standard output is none
    monkeypatch.setenv("COLUMNS", "100")
    with progress.Watched("Steps") as watch:
        watch(1, 12, "round 1 of 2, [bold]a")
        print("round 1 done")
    told = capsys.readouterr()
    assert told.out == "round 1 done\n"
    assert "Steps (round 1 of 2, [bold]a)" in told.err and "1/12" in told.err
