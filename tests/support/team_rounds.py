"""A process of a team in `test_team`: audits and rounds; the first one writes what it found.

torchrun starts all of them, or `python tests/support/team_rounds.py OUT forked` the first, which forks the other.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datasites.training.audit import run_audit
from datasites.training.audit.canaries import canary_checks, canary_round
from datasites.training.audit.subject import Subject
from datasites.training.local_round import train_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.process_group.shared_memory_team import SharedMemoryTeam
from datasites.training.process_group.team import Team
from datasites.training.process_group.team_memory import TeamMemory
from datasites.training.process_group.torchrun_team import TorchrunTeam
from datasites.training.randomness.randomness import SecureRandom
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})


def small_round(team: Team, *, noise: float, rate: float = 0.5, seed: int = 1, steps: int = 3) -> dict[str, np.ndarray]:
    """A round on 41 pictures, repeatable by its seed."""
    privacy = PrivacySpec(noise, 0.5, 1e-5)
    plan = TrainingPlan("s", "d", SPEC, 1, steps, rate, 0.1, momentum=0.5, privacy=privacy, run=RunSpec("cpu"))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (41, 16, 16, 1), dtype=np.uint8)
    pictures = LabelledPictures(images, rng.integers(0, 3, 41), np.arange(41), 40)
    random = SecureRandom.for_tests(seed if team.is_first else 10_000 + seed)
    return train_round(plan, 0, initial_weights(SPEC, 0), pictures, random=random, team=team)


def find(team: Team) -> dict[str, np.ndarray]:
    """What a team of any kind finds, by name."""
    torch.set_num_threads(1)
    device = "auto" if torch.cuda.device_count() >= team.size else "cpu"  # each process wants a GPU of its own
    audit = run_audit(unit="picture", seed=3, team=team, device=device)
    sound, broken = (  # canaries alone: only they have patients, and they see that nothing is clipped
        canary_round(Subject(fault, 3, device=device, team=team), unit=unit, claimed_epsilon=1.0)
        for fault, unit in ((None, "patient"), ("no_clip", "picture"))
    )
    held = [all(check.holds for check in canary_checks(one, claimed_epsilon=1.0)) for one in (sound, broken)]
    found = {"size": np.array(team.size), "passed": np.array([audit.passed, *held])}
    found["noise_z"] = np.array([audit.noise_z, sound.noise_z])
    for name, update in {
        "usual": small_round(team, noise=1.0),
        "empty": small_round(team, noise=1.0, rate=1e-6),
        "all": small_round(team, noise=1e-6, rate=1.0),
    }.items():
        found |= {f"{name}.{key}": value for key, value in update.items()}
    return found


def by_torchrun(out: str) -> None:
    """Writes the findings, in the first process."""
    team = TorchrunTeam.join()
    found = find(team)
    if team.is_first:
        np.savez(out, **found)
    torch.distributed.destroy_process_group()


def forked(out: str) -> None:
    """Forks the other process; writes the findings when it has ended well."""
    memory = TeamMemory(2, parameters=300_000, sample=8000)
    companion = os.fork()
    team = SharedMemoryTeam(memory, 0 if companion else 1)
    found = find(team)
    if not companion:
        os._exit(0)
    assert os.waitpid(companion, 0)[1] == 0
    np.savez(out, **found)


if __name__ == "__main__":
    (forked if sys.argv[2:] == ["forked"] else by_torchrun)(sys.argv[1])
