"""What runs on the cluster of tests/support/slurm.py do in the place of training, by the study's name.

They import no torch: a step begins in half a second. `TRAINING` is the program of those that train.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import time
from pathlib import Path

from datasites.runs import gpus
from datasites.runs.processes import runner
from datasites.runs.processes.runner import Result, RunInputs, RunPictures, Work
from datasites.runs.slurm import node, step
from policies.plans.kinds import parse

_ANYBODYS = tempfile.gettempdir()  # found before a run is closed in
_TESTS = str(Path(__file__).resolve().parents[1])
PROGRAM = f"""
import sys
sys.path.insert(0, {_TESTS!r})
from support import slurm_work
slurm_work.main()
"""
TRAINING = f"""
import sys
sys.path.insert(0, {_TESTS!r})
from support import process_group_work
from datasites.runs.slurm.step import main
main(process_group_work.by_study)
"""
# In the node's folder for tests: GPUs that a driver lists there, and seconds of silence that a step bears.
DRIVER, SILENCE = "driver", "silence"
SECRET = "zyzzyva4711"  # in a picture's place: all that a run says it tries to say by this


def program(folder: Path, study: str = "") -> str:
    """The step's program on a node of its own, as this folder tells; its runs do as their study's name says, or so."""
    return PROGRAM.replace("main()", f"main({str(folder)!r}, {study!r})")


def main(folder: str, study: str) -> None:
    """A step whose run imports nothing, on a node that is as the folder tells."""
    runner.import_training = lambda: None
    step.BEAT_SECONDS = 0.2
    if (Path(folder) / DRIVER).exists():
        node.find_gpus = lambda: gpus.find_gpus(Path(folder) / DRIVER)  # type: ignore[attr-defined]
        opened, devices = node.own_gpus, Path(folder) / DRIVER / "devices"
        node.own_gpus = lambda present: opened(present, devices) if devices.exists() else tuple(present)  # type: ignore[assignment,misc]
    if (Path(folder) / SILENCE).exists():
        step.SILENT_SECONDS = float((Path(folder) / SILENCE).read_text())
    step.main(lambda inputs: _WORKS[study or parse(inputs.plan).study](inputs))


def _tells(inputs: RunInputs) -> Work:
    """A run whose result is what it sees, and what it could not do."""

    def work(pictures: RunPictures) -> Result:
        seen = {"pid": os.getpid(), "uid": os.getuid(), "gpus": os.environ["CUDA_VISIBLE_DEVICES"]}
        seen["environment"] = sorted(os.environ)
        for name, attempt in {
            "socket": lambda: socket.socket().close(),
            "file": lambda: open(f"{_ANYBODYS}/of-a-run", "w").close(),
            "state": lambda: os.listdir(Path(__file__).parent),
            "process": os.fork,
        }.items():
            try:
                attempt()
                seen[name] = "had"
            except OSError as error:
                seen[name] = type(error).__name__
        print(SECRET, flush=True)
        os.write(2, SECRET.encode())
        return (json.dumps({**seen, "pictures": int(pictures.store.images[0].sum())}).encode(),)

    return work


def _waits(inputs: RunInputs) -> Work:
    def work(pictures: RunPictures) -> Result:
        inputs.progress(0.5)
        signal.pause()
        return ()

    return work


def _half(inputs: RunInputs) -> Work:
    def work(pictures: RunPictures) -> Result:
        inputs.progress(0.5)
        time.sleep(1)
        return (b"done",)

    return work


def _crashes(inputs: RunInputs) -> Work:
    def work(pictures: RunPictures) -> Result:
        os._exit(9)

    return work


def _raises(inputs: RunInputs) -> Work:
    def work(pictures: RunPictures) -> Result:
        raise ValueError(SECRET)

    return work


def _never(inputs: RunInputs) -> Work:
    while True:
        time.sleep(1)


def _updates(inputs: RunInputs) -> Work:
    """Its update is the weights that it was given."""
    return lambda pictures: (bytes(inputs.weights),)


_WORKS = {
    "crashes": _crashes,
    "half": _half,
    "never": _never,
    "raises": _raises,
    "tells": _tells,
    "updates": _updates,
    "waits": _waits,
}
