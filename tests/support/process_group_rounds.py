"""A process of a process group in `test_team`: audits and rounds; the first one writes what it found.

torchrun starts all of them, or `python tests/support/process_group_rounds.py OUT forked` the first, which forks the
other.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

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


def find(process_group: ProcessGroup) -> dict[str, np.ndarray]:
    """What a process group of any kind finds, by name."""
    torch.set_num_threads(1)
    device = "auto" if torch.cuda.device_count() >= process_group.size else "cpu"  # each process wants a GPU of its own
    audit = run_audit(unit="picture", seed=3, process_group=process_group, device=device)
    sound, broken = (  # canaries alone: only they have patients, and they see that nothing is clipped
        canary_round(Subject(fault, 3, device=device, process_group=process_group), unit=unit, claimed_epsilon=1.0)
        for fault, unit in ((None, "patient"), ("no_clip", "picture"))
    )
    held = [all(check.holds for check in canary_checks(one, claimed_epsilon=1.0)) for one in (sound, broken)]
    found = {"size": np.array(process_group.size), "passed": np.array([audit.passed, *held])}
    found["noise_z"] = np.array([audit.noise_z, sound.noise_z])
    for name, update in {
        "usual": small_round(process_group, noise=1.0),
        "empty": small_round(process_group, noise=1.0, rate=1e-6),
        "all": small_round(process_group, noise=1e-6, rate=1.0),
    }.items():
        found |= {f"{name}.{key}": value for key, value in update.items()}
    return found


def by_torchrun(out: str) -> None:
    """Writes the findings, in the first process."""
    process_group = TorchrunGroup.join()
    found = find(process_group)
    if process_group.is_first:
        np.savez(out, **found)
    torch.distributed.destroy_process_group()


def forked(out: str) -> None:
    """Forks the other process; writes the findings when it has ended well."""
    memory = GroupMemory(2, parameters=300_000, sample=8000)
    worker = os.fork()
    process_group = SharedMemoryGroup(memory, 0 if worker else 1)
    found = find(process_group)
    if not worker:
        os._exit(0)
    assert os.waitpid(worker, 0)[1] == 0
    np.savez(out, **found)


if __name__ == "__main__":
    (forked if sys.argv[2:] == ["forked"] else by_torchrun)(sys.argv[1])
