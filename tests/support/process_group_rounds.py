"""A process of a process group in `test_torchrun_group`: audits and rounds; the first one writes what it found.

torchrun starts both of them, or they are forked: with the environment that torchrun gives, or sharing memory.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import torch
from support.ports import free_port
from support.read_ahead import SeenStreams

from datasites.training.dp_sgd.loader import Loader
from datasites.training.local_round import train_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.privacy_audit import run_audit
from datasites.training.privacy_audit.canaries import canary_checks, canary_round
from datasites.training.privacy_audit.subject import Subject
from datasites.training.process_group.group_memory import GroupMemory
from datasites.training.process_group.process_group import ProcessGroup
from datasites.training.process_group.shared_memory_group import SharedMemoryGroup
from datasites.training.process_group.torchrun_group import TorchrunGroup
from datasites.training.randomness.randomness import SecureRandom
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})


def small_round(
    process_group: ProcessGroup, *, noise: float, rate: float = 0.5, seed: int = 1, steps: int = 3
) -> dict[str, np.ndarray]:
    """A round on 41 pictures, repeatable by its seed."""
    privacy = PrivacySpec(noise, 0.5, 1e-5)
    plan = TrainingPlan("s", "d", SPEC, 1, steps, rate, 0.1, momentum=0.5, privacy=privacy, run=RunSpec("cpu"))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (41, 16, 16, 1), dtype=np.uint8)
    pictures = LabelledPictures(images, rng.integers(0, 3, 41), np.arange(41), 40)
    random = SecureRandom.for_tests(seed if process_group.is_first else 10_000 + seed)
    return train_round(plan, 0, initial_weights(SPEC, 0), pictures, random=random, process_group=process_group)


def find(process_group: ProcessGroup, *, whole: bool) -> dict[str, np.ndarray]:
    """What a process group of any kind finds, by name; `whole` asks for every part of the audit."""
    torch.set_num_threads(1)
    device = "auto" if torch.cuda.device_count() >= process_group.size else "cpu"  # each process wants a GPU of its own
    patients, pictures, broken = (  # only canaries have patients, and they see that nothing is clipped
        canary_round(Subject(fault, 3, device=device, process_group=process_group), unit=unit, claimed_epsilon=1.0)
        for fault, unit in ((None, "patient"), (None, "picture"), ("no_clip", "picture"))
    )
    rounds = (patients, pictures, broken)
    held = [all(check.holds for check in canary_checks(one, claimed_epsilon=1.0)) for one in rounds]
    if whole:
        held[1] = run_audit(unit="picture", seed=3, process_group=process_group, device=device).passed
    found = {"size": np.array(process_group.size), "passed": np.array(held)}
    found["noise_z"] = np.array([patients.noise_z, pictures.noise_z])
    for name, update in {
        "usual": small_round(process_group, noise=1.0),
        "empty": small_round(process_group, noise=1.0, rate=1e-6),
        "all": small_round(process_group, noise=1e-6, rate=1.0),
    }.items():
        found |= {f"{name}.{key}": value for key, value in update.items()}
    return found


def joined(out: str, *, whole: bool) -> None:
    """A process that torchrun started, or that has such a one's environment; the first writes the findings."""
    process_group = TorchrunGroup.join()
    found = find(process_group, whole=whole)
    if process_group.is_first:
        np.savez(out, **found)
    torch.distributed.destroy_process_group()


def as_by_torchrun(out: str) -> None:
    """Forks the other process; both join by what torchrun would have told them."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {**shared, "GLOO_SOCKET_IFNAME": "lo"}
    worker = os.fork()
    os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if worker else "1"
    joined(out, whole=False)
    _end_together(worker)


def sharing_memory(out: str) -> None:
    """Forks the other process; writes the findings when it has ended well."""
    memory = GroupMemory(2, parameters=300_000, sample=8000)
    worker = os.fork()
    found = find(SharedMemoryGroup(memory, 0 if worker else 1), whole=True)
    _end_together(worker)
    np.savez(out, **found)


def reading_ahead(out: str) -> None:
    """Forks the other process; writes a round that both took, each sample told before the step before it was taken."""
    torch.set_num_threads(1)
    Loader._streams = lambda loader: SeenStreams()  # type: ignore[method-assign, assignment, return-value]
    memory = GroupMemory(2, parameters=300_000, sample=8000)
    worker = os.fork()
    found = small_round(SharedMemoryGroup(memory, 0 if worker else 1), noise=1.0, steps=8)
    _end_together(worker)
    np.savez(out, **found)


def _end_together(worker: int) -> None:
    if not worker:
        os._exit(0)
    assert os.waitpid(worker, 0)[1] == 0


if __name__ == "__main__":
    joined(sys.argv[1], whole=True)
