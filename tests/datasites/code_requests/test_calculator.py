"""The calculator's process: it answers, and it does not outlive its datasite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest
from support.hospitals import ENVIRONMENT
from support.waiting import CEILING_SECONDS
from torch import nn

from datasites.code_requests import calculator
from datasites.training.models import MODELS
from policies.budget.limits import PrivacyBudget
from policies.budget.membership import membership_bounds
from policies.budget.remaining import studies_left
from policies.budget.steps import GaussianSteps
from policies.errors import PlanError
from policies.plans.training import ModelSpec

# The process of a pool is started by the first question.
DATASITE = """
import time
from datasites.code_requests.calculator import Calculator
from policies.budget.accountant import GaussianSteps

if __name__ == "__main__":
    calculator = Calculator()
    print(calculator.epsilon_spent((GaussianSteps(10.0, 1.0, 1),), 1e-5), flush=True)
    time.sleep(86_400)
"""


def test_the_calculator_ends_with_a_killed_datasite(tmp_path: object) -> None:
    program = os.path.join(str(tmp_path), "datasite.py")
    with open(program, "w") as file:
        file.write(DATASITE)
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, env=ENVIRONMENT) as datasite:
        assert datasite.stdout
        assert 0 < float(datasite.stdout.readline()) < 1
        family = psutil.Process(datasite.pid).children(recursive=True)
        assert family
        datasite.send_signal(signal.SIGKILL)
    assert not psutil.wait_procs(family, timeout=CEILING_SECONDS)[1]


def test_shapes_are_not_told_of_a_model_that_the_engine_cannot_train(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModelSpec("mixing", (8, 8, 1), 3)
    monkeypatch.setitem(MODELS, spec.name, lambda _: nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 3)))
    with pytest.raises(PlanError, match=r"'0'.*GroupNorm"):
        calculator._parameter_shapes(spec, "book_keeping")
    assert calculator._parameter_shapes(spec, None)["2.weight"] == (3, 64)


def test_the_calculator_tells_what_tests_find_and_what_remains_as_the_sums_themselves_do() -> None:
    history, budget = (GaussianSteps(5.0, 1.0, 20),), PrivacyBudget(8.0, 1e-5)
    made = calculator.Calculator()
    try:
        assert made.membership(history) == made.membership(history) == membership_bounds(history)
        assert made.membership(()) == membership_bounds(())
        left = made.studies_left(history, history, budget, adaptive=True)
        assert left == studies_left(history, history, budget, adaptive=True)
    finally:
        made.stop()
