"""How many threads runs have, and how they wait: several hospitals share a machine with each other and with others."""

from __future__ import annotations

import os
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from datasites.config import DatasiteConfig
from datasites.runs.processes import process

PROJECT = Path(__file__).resolve().parents[3]
# What make would first set up anew in a checkout whose files are younger than what was set up of them.
WITHOUT = [f"--old-file={one}" for one in ("setup", ".venv/.installed", ".venv/.simulation", "out/deployment/helm")]


def test_runs_have_one_thread_unless_the_hospital_says_otherwise() -> None:
    assert {f.name: f.default for f in fields(DatasiteConfig)}["threads_per_run"] == 1


@pytest.mark.parametrize("threads", [1, 4])
def test_the_process_that_runs_are_forked_from_has_their_threads_and_lets_them_sleep(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    environment = process._clean_environment(threads)
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert environment[name] == str(threads)


@pytest.mark.parametrize(("target", "threads"), [("demo", "1"), ("test", "1"), ("bench-rounds", "2")])
def test_what_make_starts_sleeps_while_it_waits(target: str, threads: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MAKE", "MFLAGS"))}
    show = 'SHELL = /usr/bin/env\n.SHELLFLAGS = sh -c "echo $$OMP_NUM_THREADS $$OMP_WAIT_POLICY" --\n'
    command = ["make", "--silent", "--eval", show, *WITHOUT, target]
    shown = subprocess.run(command, cwd=PROJECT, env=kept, capture_output=True, text=True, check=False)
    assert shown.stdout.split() == [threads, "PASSIVE"], shown.stderr
