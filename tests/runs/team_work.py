"""What the processes of a run do in `test_team_runs`, in the place of training with drawn noise.

`PROGRAM` is what the nursery's process runs; the study's name says which.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load

from datasites.runs import namespaces, runner, sandbox
from datasites.runs.runner import RunInputs
from datasites.training.data import LabelledPictures
from datasites.training.local_round import train_round
from datasites.training.randomness import SecureRandom
from datasites.training.team import ALONE
from policies.plan import TrainingPlan
from policies.plans import parse
from policies.weights import canonical_bytes

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import team_work
from datasites.runs.nursery import main
main(team_work.by_study)
"""
# The same, but a second process finds no system call filter.
PROGRAM_WITHOUT_A_FILTER = PROGRAM.replace("main(team", "team_work.take_the_filter_from_companions()\nmain(team")
PROGRAM_WITHOUT_NAMESPACES = PROGRAM.replace("main(team", "team_work.take_the_namespaces()\nmain(team")


def by_study(inputs: RunInputs) -> bytes:
    plan = parse(inputs.plan)
    assert isinstance(plan, TrainingPlan)
    if plan.study == "train":
        return runner.train(inputs)
    return {"fixed": fixed_round, "look": look_around, "stop": stop_half_way, "leave": leave_half_way}[plan.study](
        inputs
    )


def fixed_round(inputs: RunInputs) -> bytes:
    """The round, on draws that are the same in every run; a companion's own would be others."""
    team, store = inputs.team or ALONE, inputs.store
    plan = parse(inputs.plan)
    assert isinstance(plan, TrainingPlan)
    pictures = LabelledPictures(store.images, store.labels, store.units, store.manifest.public_size)
    random = SecureRandom.for_tests(1 if team.is_first else 10_000)
    return canonical_bytes(train_round(plan, 0, load(inputs.weights), pictures, random=random, team=team))


def look_around(inputs: RunInputs) -> bytes:
    """When each process began to work, and what it sees of GPUs and limits, told by the first."""
    import resource

    began = time.monotonic()

    team = inputs.team
    assert team is not None
    own = {
        "began": began,
        "gpus": os.environ["CUDA_VISIBLE_DEVICES"],
        "threads": torch.get_num_threads(),
        "processor": resource.getrlimit(resource.RLIMIT_CPU)[0],
        "written": resource.getrlimit(resource.RLIMIT_FSIZE)[0],
    }
    rows = np.zeros((team.size, 400), dtype=np.float32)
    letters = json.dumps(own).encode()
    rows[team.rank, : len(letters)] = np.frombuffer(letters, dtype=np.uint8)
    (total,) = team.total([torch.from_numpy(rows)])
    return json.dumps([json.loads(row.astype(np.uint8).tobytes().rstrip(b"\0")) for row in total.numpy()]).encode()


def stop_half_way(inputs: RunInputs) -> bytes:
    """The first says that it is half done and waits for a companion that never comes."""
    team = inputs.team
    assert team is not None
    if not team.is_first:
        signal.pause()
    inputs.progress(0.5)
    team.total([torch.zeros(1)])
    return b""


def leave_half_way(inputs: RunInputs) -> bytes:
    """The first says that it is half done and waits for itself; its companion waits for it."""
    team = inputs.team
    assert team is not None
    inputs.progress(0.5)
    if team.is_first:
        signal.pause()
    for _ in team.samples(lambda: iter(()), steps=1):
        pass
    return b""


def take_the_filter_from_companions() -> None:
    restrict = sandbox.seccomp.restrict

    def only_the_first() -> None:
        if os.getpid() != 1:
            raise OSError(38, "no filter for a companion")
        restrict()

    sandbox.seccomp.restrict = only_the_first


def take_the_namespaces() -> None:
    namespaces.separate = lambda: dict.fromkeys(namespaces.KINDS, "none for this test")
