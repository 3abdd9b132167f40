"""Two processes, of torchrun or forked, that take each step together: one mechanism, as on one device."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from support import process_group_rounds
from support.nursery import born_training
from support.ports import free_port
from support.read_ahead import read_ahead_everywhere
from support.waiting import CEILING_SECONDS

from datasites.training.local_round import train_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.process_group.process_group import SINGLE_PROCESS
from datasites.training.process_group.torchrun_group import TorchrunGroup
from policies.errors import PlanError
from policies.plans.training import RunSpec, TrainingPlan

PROJECT = Path(__file__).resolve().parents[3]
ROUNDS = str(PROJECT / "tests" / "support" / "process_group_rounds.py")


def by_torchrun(out: str) -> None:
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    command = [sys.executable, *launch, "--master-port", str(free_port()), ROUNDS, out]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    environment["PYTHONPATH"] = f"{PROJECT}{os.pathsep}{PROJECT / 'tests'}"
    settings: dict = {"env": environment, "cwd": PROJECT, "stderr": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command, start_new_session=True, **settings)
    try:
        _, said = first.communicate(timeout=CEILING_SECONDS)
        assert first.returncode == 0, said[-4000:]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)  # its processes too, where it was ended half way


def forked(rounds: str, out: str) -> None:
    """Forked from a process that has imported all that training needs and trained nothing; it forks the other."""
    program = f"from support import process_group_rounds; process_group_rounds.{rounds}({out!r})"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = born_training(program, environment)
    try:
        assert first.wait(timeout=CEILING_SECONDS) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)  # the other one too, where it was ended half way
        first.wait(timeout=CEILING_SECONDS)


WAYS: dict[str, Callable[[str], None]] = {
    "torchrun": by_torchrun,
    "torchrun's environment": partial(forked, "as_by_torchrun"),
    "shared memory": partial(forked, "sharing_memory"),
}


@pytest.fixture(
    scope="module", params=[pytest.param(way, marks=[pytest.mark.slow] * (way == "torchrun")) for way in WAYS]
)
def found(tmp_path_factory, request):
    """What two processes found, by name. torchrun itself, which imports all of it three times, is a slow test."""
    out = tmp_path_factory.mktemp("process_group") / "found.npz"
    if request.param != "torchrun" and torch.cuda.is_available():
        pytest.skip("CUDA does not survive a fork")
    WAYS[request.param](str(out))
    with np.load(out, allow_pickle=False) as values:
        return dict(values)


def test_two_processes_took_part(found):
    assert found["size"] == 2


def test_the_audit_passes_on_two_processes_and_finds_a_fault_there(found):
    assert found["passed"].tolist() == [True, True, False]
    assert np.abs(found["noise_z"]).max() < 4, "noise once, not once for each process"


@pytest.mark.parametrize(("name", "settings"), [("usual", {}), ("empty", {"rate": 1e-6}), ("all", {"rate": 1.0})])
def test_the_update_of_two_processes_is_that_of_one_with_the_same_draws(found, name, settings):
    alone = process_group_rounds.small_round(SINGLE_PROCESS, noise=1e-6 if name == "all" else 1.0, **settings)
    for parameter, expected in alone.items():
        assert np.allclose(found[f"{name}.{parameter}"], expected, atol=2e-6), parameter


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA does not survive a fork")
def test_two_processes_that_read_ahead_make_the_update_of_one_that_does(tmp_path, monkeypatch):
    forked("reading_ahead", str(tmp_path / "found.npz"))
    read_ahead_everywhere(monkeypatch)
    alone = process_group_rounds.small_round(SINGLE_PROCESS, noise=1.0, steps=8)
    with np.load(tmp_path / "found.npz", allow_pickle=False) as found:
        assert all(np.allclose(found[name], expected, atol=2e-6) for name, expected in alone.items())
    assert any(np.abs(values).max() > 1e-2 for values in alone.values())


def test_several_processes_without_privacy_are_refused():
    plan = TrainingPlan("s", "d", process_group_rounds.SPEC, 1, 1, 0.5, 0.1, run=RunSpec("cpu"))
    pictures = LabelledPictures(
        np.zeros((3, 16, 16, 1), dtype=np.uint8), np.zeros(3, dtype=np.int64), np.arange(3), public_size=3
    )
    with pytest.raises(PlanError, match="one process"):
        train_round(
            plan, 0, initial_weights(process_group_rounds.SPEC, 0), pictures, process_group=TorchrunGroup(0, 2, "cpu")
        )
