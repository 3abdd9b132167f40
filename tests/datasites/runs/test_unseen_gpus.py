"""A run that was leased a GPU trains all the same where it sees none, and the hospital's log says so."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load
from support.array_store import SourcePictures, ingest
from support.driver_stand_in import build
from support.hospitals import ENVIRONMENT, draw_pictures
from support.waiting import CEILING_SECONDS

from datasites.runs.gpus import Gpu
from datasites.runs.processes.job import Job
from datasites.runs.processes.process import ForkServer
from datasites.runs.sandbox.confinement import Confinement, draw_uid, sandbox_report
from datasites.runs.sandbox.limits import RunLimits
from datasites.training.models import initial_weights
from policies.contracts.weights import canonical_bytes
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

LACKING = [piece.piece for piece in sandbox_report() if piece.required and not piece.present]
SPEC = ModelSpec("linear", (16, 16, 1), 2)
PLAN = TrainingPlan("one", "d", SPEC, 1, 2, 0.5, 0.1, privacy=PrivacySpec(1.0, 0.5, 1e-5))
LIMITS = RunLimits(4 << 30, 600, 600, 64, 4 << 20)
GPU = Gpu(0, "GPU-00000000-1111-2222-3333-444444444444")

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {', '.join(LACKING)}"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
]


@pytest.fixture(scope="module", autouse=True)
def imported_before() -> None:
    """Nothing is: torch's libraries load the driver's where they are imported, so each test imports them for itself."""


@pytest.mark.parametrize(
    ("wants", "leased", "told"),
    [
        ("names listens memory /proc/self/maps", True, ""),
        ("names listens starts", True, "error 304, CUDA_ERROR_OPERATING_SYSTEM"),
        ("names listens starts", False, ""),
    ],
)
def test_a_run_tells_the_log_what_the_driver_said_and_trains(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wants: str,
    leased: bool,
    told: str,
) -> None:
    """The fork server, the sandbox and the training are real; the driver's library alone is not."""
    os.umask(0o077)
    caplog.set_level(logging.WARNING, logger="datasites")  # PySyft may have raised the root logger's
    monkeypatch.setenv("LD_LIBRARY_PATH", str(build(tmp_path / "driver", wants).parent))
    images, labels = draw_pictures(60, 1)
    state = tmp_path / "state"
    ingest(SourcePictures(images, labels, ("dark", "bright"), None), state / "store", name="store")
    weights, result = state / "weights", state / "update"
    weights.write_bytes(canonical_bytes(initial_weights(SPEC, 0)))
    confinement = Confinement(LIMITS, True, state, draw_uid(), (GPU,) if leased else ())
    fork_server = ForkServer(log=tmp_path / "runs.log", threads=1)
    try:
        fork_server.start().execute(
            Job(PLAN.to_json(), 0, str(state / "store"), str(weights), str(result), confinement),
            begin=lambda: None,
            timeout_seconds=CEILING_SECONDS,
            cancelled=lambda: False,
            progress=lambda share: None,
        )
    finally:
        fork_server.stop()
    assert load(result.read_bytes()).keys() == initial_weights(SPEC, 0).keys()
    warned = [one for one in caplog.records if "sees none" in one.getMessage()]
    assert [one.levelno for one in warned] == ([logging.WARNING] if told else [])
    assert all(told in one.getMessage() for one in warned)


def test_nothing_that_runs_are_forked_from_sets_the_driver_up(tmp_path: Path) -> None:
    """A run that is forked from a process which did would see no GPU. Loading its library is no harm."""
    program = """
import ctypes
from datasites.runs.processes import runner
from datasites.runs.processes.kernels import compiler
runner.import_training()
compiler.import_kernels()
driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
print(driver.cuDeviceGetCount(ctypes.byref(count)), driver.cuInit(0), driver.cuDeviceGetCount(ctypes.byref(count)))
"""
    environment = {**ENVIRONMENT, "LD_LIBRARY_PATH": str(build(tmp_path / "driver", "names").parent)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split() == ["3", "0", "0"], done.stderr[-2000:]
