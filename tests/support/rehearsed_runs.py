"""What rehearsals do in tests, by the study's name: they train as hospitals do, or go wrong in one way each."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from datasites.runs.processes import runner
from datasites.runs.processes.runner import Result, RunInputs, RunPictures, Work
from policies.contracts.weights import canonical_bytes
from policies.plans.kinds import parse

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})
from support import rehearsed_runs
from datasites.runs.processes.fork_server import main
main(rehearsed_runs.by_study)
"""
HELD = "/of-the-hospital/secret-folder/file.npy"


def by_study(inputs: RunInputs) -> Work:
    """Training, but for the studies that are named after what goes wrong."""
    study = parse(inputs.plan).study
    return _WRONG[study] if study in _WRONG else runner.prepare(inputs)


def _raises(pictures: RunPictures) -> Result:
    raise RuntimeError(f"no kernel for\x1b[2J {HELD}\nin its second line")


def _crashes(pictures: RunPictures) -> Result:
    os._exit(9)


def _hoards(pictures: RunPictures) -> Result:
    return (bytes(np.ones(1 << 34)),)


def _sleeps(pictures: RunPictures) -> Result:
    time.sleep(600)
    return ()


def _writes_else(pictures: RunPictures) -> Result:
    return (canonical_bytes({"undeclared": np.zeros(3, np.float32)}),)


def _chatters(pictures: RunPictures) -> Result:
    error: BaseException | None = None
    for number in range(200):
        another = ValueError(f"{number} " + "x" * 1000)
        another.__cause__, error = error, another
    assert error
    raise error


_WRONG = {
    "raises": _raises,
    "crashes": _crashes,
    "hoards": _hoards,
    "sleeps": _sleeps,
    "writes-else": _writes_else,
    "chatters": _chatters,
}
