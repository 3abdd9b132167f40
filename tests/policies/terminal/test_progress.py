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
    assert lines[0] == "Steps: 1 of 1,000 (round 1, \\x1b[31mhospital 1)"
    assert lines[1] == "Steps: 2 of 1,000 (round 1, \\x1b[31mhospital 2), 2:46:20 left"
    assert [line.split()[1] for line in lines] == ["1", "2", "4", "8", "16", "32"]


def test_how_long_the_rest_takes_is_told_by_the_pace_since_the_first_part_and_not_by_how_long_it_took_to_begin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two at a time, each for 3 seconds, after 30 seconds in which they began: 600 parts take a quarter of an hour."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Watched("Steps") as watch:
        watch(0, 600)
        for done in range(1, 600):
            now[0] = 30 + 3 * ((done - 1) // 2) + (done + 1) % 2 * 0.01
            watch(done, 600)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Steps: 1 of 600", "nothing is known of the pace yet"
    told = [line for line in lines if "left" in line]
    assert len(told) == len(lines) - 1
    for line in told:
        hours, minutes, seconds = map(int, line.split()[-2].split(":"))
        done = int(line.split()[1])
        assert abs(3600 * hours + 60 * minutes + seconds - 1.5 * (600 - done)) <= 0.05 * 1.5 * (600 - done) + 3


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
