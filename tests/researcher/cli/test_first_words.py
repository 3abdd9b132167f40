"""First words of commands that take seconds before their first result: how many hospitals are asked, and no sooner."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.hospitals import ENVIRONMENT
from support.signed_studies import PLAN, write_study
from support.waiting import CEILING_SECONDS

from policies.errors import DatasiteUnreachable
from policies.plans.server.server_spec import ServerSpec
from researcher.cli import main
from researcher.hospitals.federation import Federation
from researcher.studies.kept_plan import STUDY_FILE

FIRST = "Connecting to 2 hospitals ...\n"
# Runs command lines; each of them ends where it connects, and writes which slow imports it had made by then.
PROGRAM = """
import json, sys
from policies.errors import DatasiteUnreachable
from researcher.cli import main
from researcher.hospitals.federation import Federation
def connect(*_, **__):
    found = sorted({"syft", "torch", "opacus", "matplotlib", "pandas"} & set(sys.modules))
    raise DatasiteUnreachable(f"imported {found}")
Federation.connect = connect
for line in json.loads(sys.argv[1]):
    assert main(line) == 1
"""


def _credentials(folder: Path, *names: str) -> list[str]:
    """Credentials files of these hospitals, with the option before them."""
    files = [folder / f"{name}.json" for name in names]
    for name, file in zip(names, files, strict=True):
        told = {"datasite": name, "url": f"https://{name}.example.org", "email": "a@b.org", "password": "p"}
        file.write_text(json.dumps({**told, "authority": "A", "certificate": "C", "key": "K"}))
    return ["--credentials", *map(str, files)]


@pytest.fixture
def lines(tmp_path: Path) -> list[list[str]]:
    """Each command that submits, right in all that it says."""
    model = write_study(tmp_path) / "global_model.safetensors"
    (tmp_path / STUDY_FILE).write_text(json.dumps({"plan": PLAN.to_json(), "requests": {}}))
    given = _credentials(tmp_path, "north", "south")
    return [
        ["submit", *given],
        ["train", "--test", "hold_out.npz", "--out", str(tmp_path / "new"), *given],
        ["repeat", str(tmp_path), *given],
        ["statistics", "--noise_multiplier", "9", *given],
        ["gram", "--model", "features", *given],
        ["evaluate", str(model), "--at_hospitals", "--noise_multiplier", "9", *given],
    ]


@pytest.fixture
def _nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(credentials: object, **_: object) -> None:
        raise DatasiteUnreachable("Nothing listens there.")

    monkeypatch.setattr(Federation, "connect", connect)


def test_how_many_hospitals_are_asked_is_said_before_anything_slow_is_imported(lines: list[list[str]]) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps(lines)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, timeout=CEILING_SECONDS, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (FIRST + "WW705: imported []\n") * len(lines)


@pytest.mark.usefixtures("_nobody_there")
def test_what_is_said_first_is_no_part_of_what_a_command_prints(
    lines: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for line in lines:
        assert main(line) == 1
        told = capsys.readouterr()
        assert (told.out, told.err) == ("", FIRST + "WW705: Nothing listens there.\n"), line[0]


@pytest.mark.usefixtures("_nobody_there")
@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["submit", "--no-dp", "--epsilon", "3"], 2, "contradict each other"),
        (["submit", "--num_rounds", "0"], 1, "num_rounds"),
        (["train", "--test", "x.npz", "--round_deadline", "-1"], 1, "round_deadline"),
        (["train", "--test", "x.npz", "--recipe", "few_rounds"], 1, "give its folder with --gram"),
        (["train", "--test", "x.npz", "--strategy", "dp_fc"], 1, "give its folder with --gram"),
        (["train", "--test", "x.npz", "--recipe", "few_rounds", "--gram", "none"], 1, "none holds no Gram matrix"),
        (["train", "--test", "x.npz", "--gram", "none"], 1, "leave out --gram"),
        (["statistics", "--purpose", "x" * 9999], 1, "purpose"),
        (["gram", "--statement", "none.toml"], 1, "none.toml"),
        (["evaluate", "none.safetensors", "--at_hospitals"], 1, "none.safetensors"),
        (["repeat", "none"], 1, "holds no study"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_options_and_files_are_told_before_anything_else_is_said(
    words: list[str],
    status: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, *_credentials(tmp_path, "north", "south")]) == status
    said = capsys.readouterr().err
    assert told in said and "Connecting" not in said


@pytest.mark.usefixtures("_nobody_there")
@pytest.mark.parametrize(
    ("strategy", "told"), [("dp_fc", "give its folder with --gram"), ("fed_avg", "leave out --gram")]
)
def test_a_study_that_goes_on_is_held_against_its_own_plan_before_anything_else_is_said(
    strategy: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = replace(PLAN, server=ServerSpec(strategy))
    (tmp_path / STUDY_FILE).write_text(json.dumps({"plan": plan.to_json(), "requests": {}}))
    line = ["train", "--test", "x.npz", "--out", str(tmp_path), *_credentials(tmp_path, "north", "south")]
    assert main([*line, *(["--gram", str(tmp_path)] if strategy == "fed_avg" else [])]) == 1
    said = capsys.readouterr().err
    assert told in said and "Connecting" not in said


@pytest.mark.usefixtures("_nobody_there")
def test_wrong_credentials_are_told_before_anything_else_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "--credentials", str(tmp_path / "typo.json")]) == 1
    assert capsys.readouterr().err.startswith("WW801: There is no credentials file")


@pytest.mark.usefixtures("_nobody_there")
def test_a_command_that_only_reads_says_nothing_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", *_credentials(tmp_path, "north")]) == 1
    assert capsys.readouterr().err == "WW705: Nothing listens there.\n"
