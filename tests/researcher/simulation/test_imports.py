"""Before the first hospital trains nothing is imported that has no part in it, by the command or by workers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.hospitals import ENVIRONMENT
from support.waiting import CEILING_SECONDS

HEAVY = {"torch", "opacus", "torch._dynamo", "sympy", "scipy", "matplotlib", "pandas", "onnx", "syft", "ray"}


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("researcher.cli.trials.simulated_study", set[str]()),
        ("researcher.simulation.at_work.worker", set[str]()),
        ("researcher.simulation.at_work.bounded_trainer", {"torch"}),
    ],
)
def test_what_a_simulation_begins_with_imports_what_it_needs_alone(module: str, needed: set[str]) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=CEILING_SECONDS,
        check=True,
    )
    assert HEAVY & set(json.loads(done.stdout)) == needed
