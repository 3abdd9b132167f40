"""What runs in the fork server of tests/datasites/runs do, in the place of training with drawn noise.

`PROGRAM` is what the fork server's process runs; the study's name says which. Other studies train as hospitals do.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load

from datasites.runs.processes import runner
from datasites.runs.processes.runner import Result, RunInputs, RunPictures, Work
from datasites.runs.sandbox import confinement as sandbox
from datasites.runs.sandbox import namespaces
from datasites.training.book_keeping import BookKeeping
from datasites.training.dp_sgd import private_step
from datasites.training.dp_sgd.engine_contract import EngineFactory
from datasites.training.engines import ENGINES
from datasites.training.local_round import prepare_training
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.process_group.process_group import SINGLE_PROCESS
from datasites.training.process_group.shared_memory_group import SharedMemoryGroup
from datasites.training.randomness.randomness import SecureRandom
from policies.contracts.weights import canonical_bytes
from policies.errors import PlanError
from policies.plans.kinds import parse
from policies.plans.training import TrainingPlan

PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})
from support import process_group_work
from datasites.runs.processes.fork_server import main
process_group_work.note_when_closed_in()
process_group_work.lack_what_is_taken_away()
main(process_group_work.by_study)
"""
# Names of empty files in the fork server's folder: the next runs have no namespaces, or no filter for a worker.
NAMESPACES, FILTER = "no namespaces", "no filter for a worker"

TIMES: dict[str, float] = {}  # when this process had done what


def by_study(inputs: RunInputs) -> Work:
    plan = parse(inputs.plan)
    assert isinstance(plan, TrainingPlan)
    if plan.study in UNFIT:
        return unfit(inputs, plan, UNFIT[plan.study])
    works: dict[str, Callable[[RunInputs], Work]] = {
        "fixed": fixed_round,
        "look": look_around,
        "stop": lambda inputs: partial(stop_half_way, inputs),
        "leave": lambda inputs: partial(leave_half_way, inputs),
        "prepare": prepare_without_end,
        "study": unfit_for_some,
        "looks": count_looks,
        "boasts": boast_of_looks,
    }
    return works.get(plan.study, runner.prepare)(inputs)


class Neighbours(BookKeeping):
    """On a device where a picture's gradient depends on its neighbours."""

    def norms(self, images, labels, views=1):
        return super().norms(images, labels, views) + 1e-12 * images.double().sum()


class NoMemory(BookKeeping):
    """On a device whose memory holds no picture."""

    def norms_and_sum(self, images, labels, counted=None):
        raise MemoryError


class OtherLayers(BookKeeping):
    """For a model whose layers it cannot train."""

    def __init__(self, model, max_grad_norm, loss):
        raise PlanError("Such a layer cannot be trained.")


UNFIT: dict[str, EngineFactory] = {"neighbours": Neighbours, "no-memory": NoMemory, "layers": OtherLayers}


def unfit(inputs: RunInputs, plan: TrainingPlan, engine: EngineFactory) -> Work:
    """Of a process group, the last alone is."""
    if inputs.process_group is None or inputs.process_group.rank == inputs.process_group.size - 1:
        ENGINES[plan.run.engine] = engine
    return runner.prepare(inputs)


def unfit_for_some(inputs: RunInputs) -> Work:
    """Training as hospitals do, on a device that is unfit for the weights of seed 0: each round in a way of its own."""
    plan = parse(inputs.plan)
    assert isinstance(plan, TrainingPlan)
    if bytes(inputs.weights) == canonical_bytes(initial_weights(plan.model, 0)):
        return unfit(inputs, plan, list(UNFIT.values())[inputs.round])
    return runner.prepare(inputs)


def count_looks(inputs: RunInputs) -> Work:
    """Training as hospitals do, whose result says how often the run tried its device on made-up pictures."""
    tried: list[object] = []
    sound = private_step.check_places

    def counted(*of: Any) -> Any:
        tried.append(of)
        return sound(*of)

    private_step.check_places = counted
    trained = runner.prepare(inputs)

    def work(pictures: RunPictures) -> Result:
        trained(pictures)
        return (str(len(tried)).encode(),)

    return work


def boast_of_looks(inputs: RunInputs) -> Work:
    """A run that tells of a second look, and of a third once it has the pictures."""
    prepared = count_looks(inputs)
    inputs.looked("a second look")

    def work(pictures: RunPictures) -> Result:
        inputs.looked("a third look")
        return prepared(pictures)

    return work


def fixed_round(inputs: RunInputs) -> Work:
    """The round, on draws that are the same in every run; a worker's own would be others."""
    process_group, plan = inputs.process_group or SINGLE_PROCESS, parse(inputs.plan)
    assert isinstance(plan, TrainingPlan)
    prepared = prepare_training(
        plan, 0, load(bytes(inputs.weights)), public_size=inputs.public_size, process_group=process_group
    )

    def work(pictures: RunPictures) -> Result:
        store = pictures.store
        random = SecureRandom.for_tests(1 if process_group.is_first else 10_000)
        known = LabelledPictures(store.images, store.labels, store.units, inputs.public_size)
        return (canonical_bytes(prepared.train(known, random=random)),)

    return work


def look_around(inputs: RunInputs) -> Work:
    """When each process did what, and what it sees of GPUs and limits, told by the first."""
    import resource

    TIMES["prepared"] = time.monotonic()
    process_group = inputs.process_group
    assert process_group is not None
    own = {
        "gpus": os.environ["CUDA_VISIBLE_DEVICES"],
        "threads": torch.get_num_threads(),
        "processor": resource.getrlimit(resource.RLIMIT_CPU)[0],
        "written": resource.getrlimit(resource.RLIMIT_FSIZE)[0],
    }
    return lambda pictures: together(process_group, {**own, **TIMES, "began": time.monotonic()})


def together(process_group: SharedMemoryGroup, own: dict[str, Any]) -> Result:
    """What all processes tell, as the sum over them: one number for each letter."""
    rows = np.zeros((process_group.size, 400), dtype=np.float32)
    letters = json.dumps(own).encode()
    rows[process_group.rank, : len(letters)] = np.frombuffer(letters, dtype=np.uint8)
    (total,) = process_group.reduce([torch.from_numpy(rows)])
    process_group.barrier()  # as each step of training ends: whoever ends before the others are heard counts as lost
    if not process_group.is_first:
        return ()  # it has its own row alone
    told = [json.loads(row.astype(np.uint8).tobytes().rstrip(b"\0")) for row in total.numpy()]
    return (json.dumps(told).encode(),)


def prepare_without_end(inputs: RunInputs) -> Work:
    """The first waits for a worker that is never prepared."""
    if inputs.process_group is not None and not inputs.process_group.is_first:
        signal.pause()
    return lambda pictures: ()


def stop_half_way(inputs: RunInputs, pictures: RunPictures) -> Result:
    """The first says that it is half done and waits for a worker that never comes."""
    process_group = inputs.process_group
    assert process_group is not None
    if not process_group.is_first:
        signal.pause()
    inputs.progress(0.5)
    process_group.reduce([torch.zeros(1)])
    return ()


def leave_half_way(inputs: RunInputs, pictures: RunPictures) -> Result:
    """The first says that it is half done and waits for itself; its worker waits for it."""
    process_group = inputs.process_group
    assert process_group is not None
    inputs.progress(0.5)
    if process_group.is_first:
        signal.pause()
    for _ in process_group.samples(lambda: iter(()), steps=1):
        pass
    return ()


def note_when_closed_in() -> None:
    """Notes it; a worker takes longer than the first."""
    enter = sandbox.enter

    def noted(*settings: Any) -> None:
        if os.getpid() != 1:
            time.sleep(0.1)
        enter(*settings)
        TIMES["closed in"] = time.monotonic()

    sandbox.enter = noted  # type: ignore[assignment]


def lack_what_is_taken_away() -> None:
    """Before each run, what stands in the fork server's folder is taken away from it."""
    separate, restrict = namespaces.separate, sandbox.seccomp.restrict
    taken: set[str] = set()

    def separate_if_there() -> dict[str, str]:
        taken.update(name for name in (NAMESPACES, FILTER) if Path(name).exists())
        return dict.fromkeys(namespaces.KINDS, "none for this test") if NAMESPACES in taken else separate()

    def restrict_if_there(**settings: Any) -> None:
        if FILTER in taken and os.getpid() != 1:
            raise OSError(38, FILTER)
        restrict(**settings)

    namespaces.separate, sandbox.seccomp.restrict = separate_if_there, restrict_if_there
