"""What a researcher says of a request comes from options and from a file, and goes into every kind of plan."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import references

from policies.errors import ConfigError, PlanError
from policies.plans.words.statement import Statement

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.cli import counts
    from researcher.cli.program import make_program
    from researcher.cli.setting_options import STATEMENT_VARIABLE
    from researcher.cli.study_options import study_settings_of
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.planning.planning import make_plan

DATASETS = [DatasetInfo("north", "cells", ("a", "b"), (28, 28, 3), "patient", 500, {})]
PROFILE = '[statement]\nname = "Wang"\ninstitution = "Example University"\npurpose = """\nTo see\nmore."""\n'


@pytest.fixture(autouse=True)
def _no_file_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STATEMENT_VARIABLE, raising=False)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    file = tmp_path / "profile.toml"
    file.write_text(PROFILE)
    return file


def said(*words: str) -> Statement | None:
    return study_settings_of(references.understood(make_program(), ("submit", *words))).statement


def test_nothing_said_leaves_the_plan_without_a_statement() -> None:
    assert said() is None


def test_an_option_stands_in_place_of_the_files_text(profile: Path) -> None:
    assert said("--statement", str(profile), "--name", "Li", "--protocol", "EK 17") == Statement(
        "Li", "Example University", "", "To see more.", "EK 17"
    )


def test_a_file_named_in_the_environment_is_read(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATEMENT_VARIABLE, str(profile))
    assert said("--contact", "wang@example.org") == Statement(
        "Wang", "Example University", "wang@example.org", "To see more."
    )


def test_the_statement_stands_in_the_plan() -> None:
    options = references.understood(make_program(), ("submit", "--no-dp", "--purpose", "To see."))
    assert make_plan(study_settings_of(options), DATASETS).statement == Statement(purpose="To see.")


def test_requests_for_counts_say_it_too(profile: Path) -> None:
    options: dict[str, Any] = references.understood(
        make_program(), ("statistics", "--statement", str(profile), "--publication", "none")
    )
    own = {name: value for name, value in options.items() if name not in ("credentials", "out")}
    assert counts._settings(own).statement == Statement(
        "Wang", "Example University", purpose="To see more.", publication="none"
    )


@pytest.mark.parametrize(
    ("content", "error", "told"),
    [
        (b'name = "Wang"', ConfigError, "no table"),
        (b"[statement", ConfigError, "not TOML"),
        (b"\xff", ConfigError, "not TOML in UTF-8"),
        ("[statement]\nname = “Wang”".encode(), ConfigError, r"line 2, .*stands U\+201C, LEFT DOUBLE QUOTATION MARK"),
        ("[statement]\nname\u00a0= 'Wang'".encode(), ConfigError, r"line 2, .*U\+00A0, NO-BREAK SPACE.*plain quotes"),
        ("\ufeff\ufeff[statement]\n".encode(), ConfigError, r"line 1, .*U\+FEFF, ZERO WIDTH NO-BREAK SPACE"),
        ("# Wang’s\n[statement]\nname = Wang".encode(), ConfigError, r"column \d+\)\.$"),
        (b"[statement]\nrole = 'x'", PlanError, "no 'role'"),
        (b"[statement]\nname = 3", PlanError, "statement.name must be"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(
    tmp_path: Path, content: bytes, error: type[Exception], told: str
) -> None:
    file = tmp_path / "profile.toml"
    file.write_bytes(content)
    with pytest.raises(error, match=told):
        said("--statement", str(file))
    with pytest.raises(ConfigError, match="cannot be read"):
        said("--statement", str(tmp_path / "missing.toml"))
