"""How many threads runs have, how they wait, and in what pages their arrays lie."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from datasites.config import DatasiteConfig
from datasites.runs.processes import process

_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
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
    environment = process.clean_environment(threads)
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert environment[name] == str(threads)


def test_what_a_run_makes_anew_lies_in_huge_pages() -> None:
    """In processes of their own: faults of making 64 MB of numbers and of bytes, as runs do and as others do."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    if "[madvise]" not in (_HUGE_PAGES.read_text() if _HUGE_PAGES.exists() else ""):
        pytest.skip("this kernel gives huge pages to everybody or to nobody")
    program = """
import resource
from datasites.training.dp_sgd.memory import keep_freed_memory
import torch
keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
numbers = torch.ones(1 << 24)
content = b"".join([numbers.numpy().data, b"end"])
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    as_runs = process.clean_environment(1)
    faults = {
        tunables: int(
            subprocess.check_output([sys.executable, "-c", program], env=as_runs | {"GLIBC_TUNABLES": tunables})
        )
        for tunables in ("", as_runs["GLIBC_TUNABLES"])
    }
    assert faults[as_runs["GLIBC_TUNABLES"]] * 10 < faults[""]


@pytest.mark.parametrize(("target", "threads"), [("demo", "1"), ("test", "1"), ("bench-rounds", "2")])
def test_what_make_starts_sleeps_while_it_waits(target: str, threads: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MAKE", "MFLAGS"))}
    show = 'SHELL = /usr/bin/env\n.SHELLFLAGS = sh -c "echo $$OMP_NUM_THREADS $$OMP_WAIT_POLICY" --\n'
    command = ["make", "--silent", "--eval", show, *WITHOUT, target]
    shown = subprocess.run(command, cwd=PROJECT, env=kept, capture_output=True, text=True, check=False)
    assert shown.stdout.split() == [threads, "PASSIVE"], shown.stderr
