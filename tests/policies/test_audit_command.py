"""`python -m policies audit`: what it prints, writes and draws, and how it exits."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.waiting import CEILING_SECONDS

from datasites.training.privacy_audit import run_audit
from datasites.training.privacy_audit.checks import Check
from datasites.training.privacy_audit.faults import FAULTS
from policies.__main__ import main
from policies.audit_picture import picture

PROJECT = Path(__file__).resolve().parents[2]
KEYS = ["claimed_epsilon", "one_run_lower_bound", "gaussian_lower_bound", "noise_z", "passed", "checks"]


def audit(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["audit", "--seed", "1", *(arguments if "--picture" in arguments else (*arguments, "--no_picture"))])
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def passed():
    """What one audit of the training that hospitals run found, and what the command made of it."""
    made = []

    def kept(**settings):
        made.append(run_audit(**settings))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
        patch.setattr("datasites.training.privacy_audit.run_audit", kept)
        status = main(
            ["audit", "--seed", "1", "--no_picture", "--unit", "patient", "--engine", "opacus", "--device", "cpu"]
        )
    return made[0], status, json.loads(printed.getvalue())


@pytest.fixture
def audited(passed, monkeypatch):
    """Has the command find that, at once."""
    monkeypatch.setattr("datasites.training.privacy_audit.run_audit", lambda **settings: passed[0])


def test_the_training_that_hospitals_run_passes(passed):
    _, status, found = passed
    assert status == 0
    assert found["passed"] is True
    assert list(found) == KEYS
    assert found["claimed_epsilon"] == 1.0
    assert max(found["one_run_lower_bound"], found["gaussian_lower_bound"]) <= 1.0
    assert all(check["holds"] for check in found["checks"].values())


def test_the_module_runs_alone_and_a_fault_that_is_built_in_fails_it(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "policies", "audit", "--json", "out/audit.json", "--break", "short_noise"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=CEILING_SECONDS
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == (tmp_path / "out" / "audit.json").read_text()
    found = json.loads(done.stdout)
    assert list(found) == KEYS
    assert found["passed"] is False
    assert (tmp_path / "out" / "audit.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_path_the_picture_is_drawn_under_out(audited, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "--seed", "1"]) == 0
    assert (tmp_path / "out" / "audit.png").read_bytes().startswith(b"\x89PNG")


def test_in_a_terminal_each_check_is_a_row_and_no_json_is_printed(audited, passed, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["audit", "--no_picture"]) == 0
    printed = capsys.readouterr()
    rows = [line for line in printed.out.splitlines() if line.split()[-1:] == ["yes"]]
    assert len(rows) == len(passed[0].checks) and "{" not in printed.out
    assert all(len(line) <= 80 for line in printed.out.splitlines())
    assert printed.err == f"Passed: all {len(rows)} checks hold.\n"


def test_checks_that_do_not_hold_are_named_in_words(passed, monkeypatch, capsys):
    found = replace(passed[0], checks=(*passed[0].checks, Check("noise that was left out", 9.0, 4.5)))
    monkeypatch.setattr("datasites.training.privacy_audit.run_audit", lambda **settings: found)
    assert main(["audit", "--no_picture"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["passed"] is False
    assert printed.err == f"Not passed: 1 of {len(found.checks)} checks do not hold: noise that was left out.\n"


def test_the_help_names_each_fault(capsys):
    assert main(["audit", "--help"]) == 0
    help_text = capsys.readouterr().out
    assert all(fault in help_text for fault in FAULTS)


def test_the_json_file_is_what_was_printed_and_its_folders_are_made(audited, tmp_path, capsys):
    file = tmp_path / "new" / "folder" / "audit.json"
    _, found = audit(capsys, "--json", str(file))
    assert json.loads(file.read_text()) == found


def test_the_picture_is_a_png_whose_folders_are_made(audited, tmp_path, capsys):
    file = tmp_path / "new" / "scores.png"
    audit(capsys, "--picture", str(file))
    with Image.open(file) as image:
        assert image.format == "PNG"
        assert image.width > image.height > 500


@pytest.mark.parametrize(
    "arguments",
    [["--break", "everything"], ["--unit", "ward"], ["--engine", "own"], ["--device", "tpu"], ["--seed", "-1"]],
)
def test_an_audit_that_cannot_run_is_neither_passed_nor_failed(arguments, capsys):
    assert main(["audit", "--seed", "1", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("WW101: ")
    assert not printed.out


@pytest.mark.parametrize("option", ["--json", "--picture"])
@pytest.mark.parametrize("name", ["file/audit", "folder"])
def test_an_audit_that_cannot_be_written_is_refused_before_it_runs(option, name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("datasites.training.privacy_audit.run_audit", lambda **settings: pytest.fail("it ran"))
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert main(["audit", "--seed", "1", option, str(tmp_path / name)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("WW801: ") and str(tmp_path / name) in printed.err
    assert not printed.out


def test_a_disk_that_is_full_in_the_end_takes_neither_the_result_nor_the_file_that_was_there(tmp_path):
    (tmp_path / "audit.json").write_text("an earlier audit\n")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); "
    ignored = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    program = f"{ignored}{limit}from policies.__main__ import main; raise SystemExit(main())"
    command = [sys.executable, "-c", program, "audit", "--json", "audit.json", "--no_picture"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=CEILING_SECONDS
    )
    assert done.returncode == 2, done.stderr
    assert list(json.loads(done.stdout)) == KEYS
    verdict, told = done.stderr.splitlines()
    assert verdict.startswith("Passed: all ")
    assert told == "WW801: The result cannot be written to audit.json: File too large. Give another path."
    assert [file.read_text() for file in tmp_path.iterdir()] == ["an earlier audit\n"]


def test_a_result_goes_through_a_link_and_into_a_pipe_and_leaves_both_as_they_are(audited, tmp_path, capsys):
    (tmp_path / "link.json").symlink_to(tmp_path / "audit.json")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    for name in ("link.json", "pipe"):
        _, found = audit(capsys, "--json", str(tmp_path / name))
    assert json.loads((tmp_path / "audit.json").read_text()) == json.loads(os.read(reader, 1 << 16)) == found
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "pipe").is_fifo()
    os.close(reader)


def test_an_audit_that_a_person_stops_says_so_in_one_line(monkeypatch, capsys):
    def stopped(**settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("datasites.training.privacy_audit.run_audit", stopped)
    assert main(["audit", "--no_picture"]) == 130
    assert capsys.readouterr() == ("", "Stopped. Nothing was measured to its end, and nothing is written.\n")


# --- the drawing --------------------------------------------------------------------------------------------


CHECKS = tuple(
    Check(name, 0.5, 1.0)
    for name in ("epsilon by guessing", "epsilon by distance", "noise on canaries", "draws in all", "noise of halves")
)


def failing(*names: str) -> tuple[Check, ...]:
    return tuple(Check(c.name, 2.0 if c.name in names else c.value, c.allowed) for c in CHECKS)


@dataclass(frozen=True)
class Found:
    checks: tuple[Check, ...] = CHECKS
    claimed_epsilon: float = 1.0
    one_run_lower_bound: float = 0.2
    gaussian_lower_bound: float = 0.3
    noise_z: float = 0.5
    passed: bool = True
    included_scores: np.ndarray = field(default_factory=lambda: 10 + 20 * np.sin(np.arange(500.0)))
    excluded_scores: np.ndarray = field(default_factory=lambda: 20 * np.sin(np.arange(500.0)))
    expected_spread: float = 20.0


def drawn(found: Found) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(picture(found, title="An audit"))).convert("RGB")).astype(int)


@cache
def reddish(*names: str) -> int:
    """Pixels in the colour of a check that does not hold, where these do not."""
    image = drawn(Found(checks=failing(*names)))
    return int((np.abs(image - (0xA3, 0x24, 0x3B)).sum(axis=2) < 20).sum())


@pytest.mark.parametrize(
    "wrong",
    ["epsilon by guessing", "epsilon by distance", "noise on canaries", "draws in all", "noise of halves"],
)
def test_the_picture_marks_a_check_that_does_not_hold_and_no_other(wrong):
    assert reddish() == 0
    one = reddish(wrong)
    assert one > 100
    assert reddish(*(check.name for check in CHECKS)) > 3 * one / 2


def test_equal_results_give_equal_pictures_and_other_scores_others():
    assert np.array_equal(drawn(Found()), drawn(Found()))
    assert not np.array_equal(drawn(Found()), drawn(replace(Found(), included_scores=np.zeros(500))))


@pytest.mark.parametrize("scores", [np.zeros(3), np.array([1e4]), np.linspace(-1e6, 1e6, 9)])
def test_scores_far_from_what_should_be_are_drawn_too(scores):
    image = drawn(replace(Found(), included_scores=scores, excluded_scores=-scores, expected_spread=math.sqrt(2)))
    assert image.std() > 1
