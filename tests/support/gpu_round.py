"""What the fork server of tests on a GPU runs: rounds on draws that are the same in every run, closed in or not.

Called as a program it does the same in a process of its own that is not closed in, with kernels that Triton compiles.
"""

from __future__ import annotations

import sys
from pathlib import Path

from safetensors.numpy import load

from datasites.runs.processes.runner import Result, RunInputs, RunPictures, Work
from datasites.training.local_round import prepare_training
from datasites.training.pictures.data import LabelledPictures
from datasites.training.process_group.process_group import SINGLE_PROCESS
from datasites.training.randomness.randomness import SecureRandom
from policies.contracts.weights import canonical_bytes
from policies.plans.kinds import parse
from policies.plans.training import TrainingPlan

# The search path goes along: a machine that is lent may have packages in a folder of their own.
PROGRAM = f"""
import sys
sys.path[:0] = {[str(Path(__file__).resolve().parents[1]), *sys.path]!r}
from support import gpu_round
from datasites.runs.processes.fork_server import main
main(gpu_round.prepare)
"""


def prepare(inputs: RunInputs) -> Work:
    """The round, on draws that are the same in every run."""
    process_group, plan = inputs.process_group or SINGLE_PROCESS, parse(inputs.plan)
    assert isinstance(plan, TrainingPlan)
    prepared = prepare_training(
        plan,
        0,
        load(bytes(inputs.weights)),
        public_size=inputs.public_size,
        process_group=process_group,
        slower=inputs.slower,
    )

    def work(pictures: RunPictures) -> Result:
        store = pictures.store
        random = SecureRandom.for_tests(1 if process_group.is_first else 10_000)
        known = LabelledPictures(store.images, store.labels, store.units, inputs.public_size)
        return (canonical_bytes(prepared.train(known, random=random)),)

    return work


def main(plan: str, store: str, weights: str, result: str) -> None:
    """Runs a round in this process, and says what is slower."""
    from datasites.assets.store import open_store

    opened = open_store(Path(store))
    inputs = RunInputs(Path(plan).read_text(), 0, Path(weights).read_bytes(), opened.manifest.public_size, slower=print)
    Path(result).write_bytes(b"".join(prepare(inputs)(RunPictures(opened))))


if __name__ == "__main__":
    main(*sys.argv[1:])
