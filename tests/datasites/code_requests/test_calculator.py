"""The calculator: it answers, remembers, asks a new process where one has ended, and none outlives its datasite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.hospitals import ENVIRONMENT
from support.waiting import CEILING_SECONDS
from torch import nn

from datasites.code_requests import calculator
from datasites.code_requests.calculator import Calculator
from datasites.runs.processes.process import ForkServer
from datasites.training.models import MODELS
from policies.budget.limits import PrivacyBudget
from policies.budget.membership import membership_bounds
from policies.budget.remaining import studies_left
from policies.budget.steps import GaussianSteps
from policies.errors import PlanError, RunFailed
from policies.ledger.composed.kept_sums import KeptSums
from policies.ledger.seal import Seal
from policies.plans.kinds import parse
from policies.plans.training import ModelSpec

# A fork server that imports nothing ahead: what is asked of it here needs no torch.
PROGRAM = """
from datasites.runs.processes import fork_server
fork_server.runner.import_training = lambda: None
fork_server.main()
"""
DATASITE = f"""
import sys, time
from pathlib import Path
from datasites.code_requests.calculator import Calculator
from datasites.runs.processes.process import ForkServer
from policies.budget.accountant import GaussianSteps

server = ForkServer(log=Path(sys.argv[1]), threads=1, program={PROGRAM!r})
print(Calculator(server.compute_sums).epsilon_spent((GaussianSteps(10.0, 1.0, 1),), 1e-5), flush=True)
time.sleep(86_400)
"""


class SumsHere:
    """Sums that are computed in the test's own process."""

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def end(self) -> None: ...


@pytest.fixture
def fork_server(tmp_path: Path) -> Iterator[ForkServer]:
    server = ForkServer(log=tmp_path / "runs.log", threads=1, program=PROGRAM)
    yield server
    server.stop()


def test_the_calculator_ends_with_a_killed_datasite(tmp_path: Path) -> None:
    program = tmp_path / "datasite.py"
    program.write_text(DATASITE)
    command = [sys.executable, program, tmp_path / "runs.log"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as datasite:
        assert datasite.stdout
        assert 0 < float(datasite.stdout.readline()) < 1
        family = psutil.Process(datasite.pid).children(recursive=True)
        assert len(family) == 2  # the fork server, and what it forked
        datasite.send_signal(signal.SIGKILL)
    assert not psutil.wait_procs(family, timeout=CEILING_SECONDS)[1]


def test_a_process_that_has_ended_is_followed_by_another_and_is_reaped(fork_server: ForkServer) -> None:
    sums = fork_server.compute_sums()
    assert sums.ask(os.getpid) == sums.pid
    ended = psutil.Process(sums.pid)
    ended.kill()
    with pytest.raises(RunFailed, match="ended"):
        sums.ask(os.getpid)
    sums.end()
    assert not psutil.pid_exists(sums.pid) or psutil.Process(sums.pid) != ended
    made = Calculator(fork_server.compute_sums)
    first = made._ask(os.getpid)
    psutil.Process(first).kill()
    assert made._ask(os.getpid) != first
    made.stop()


def test_what_a_sum_raises_is_raised_where_it_was_asked(fork_server: ForkServer) -> None:
    sums = fork_server.compute_sums()
    with pytest.raises(PlanError) as told:
        sums.ask(parse, "no plan")
    with pytest.raises(PlanError) as here:
        parse("no plan")
    assert (str(told.value), told.value.private) == (str(here.value), here.value.private)
    assert sums.ask(len, "four") == len("four")
    sums.end()


def test_shapes_are_not_told_of_a_model_that_the_engine_cannot_train(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModelSpec("mixing", (8, 8, 1), 3)
    monkeypatch.setitem(MODELS, spec.name, lambda _: nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 3)))
    with pytest.raises(PlanError, match=r"'0'.*GroupNorm"):
        calculator._parameter_shapes(spec, "book_keeping")
    assert calculator._parameter_shapes(spec, None)["2.weight"] == (3, 64)


def test_the_calculator_tells_what_tests_find_and_what_remains_as_the_sums_themselves_do() -> None:
    history, budget = (GaussianSteps(5.0, 1.0, 20),), PrivacyBudget(8.0, 1e-5)
    made = Calculator(SumsHere)
    assert made.membership(history) == made.membership(history) == membership_bounds(history)
    assert made.membership(()) == membership_bounds(())
    left = made.studies_left(history, history, budget, adaptive=True)
    assert left == studies_left(history, history, budget, adaptive=True)


def test_what_a_history_costs_is_known_after_a_start_without_a_sum(tmp_path: Path) -> None:
    history, budget = (GaussianSteps(2.0, 0.1, 100), GaussianSteps(3.0, 0.1, 100)), PrivacyBudget(8.0, 1e-5)

    def kept() -> KeptSums:
        return KeptSums(tmp_path / "sums.jsonl", Seal(b"s" * 32))

    first = Calculator(SumsHere, kept())
    told = first.epsilon_spent(history, 1e-5), first.filter_epsilon(history, budget)
    again = Calculator(cannot_start, kept())
    assert (again.epsilon_spent(history, 1e-5), again.filter_epsilon(history, budget)) == told
    with pytest.raises(RunFailed):
        again.epsilon_spent(history[:1], 1e-5)


def cannot_start() -> SumsHere:
    raise RunFailed("No further process can be had.")


def test_a_prepared_calculator_has_its_process_before_the_first_question() -> None:
    started: list[SumsHere] = []

    def start() -> SumsHere:
        started.append(SumsHere())
        return started[-1]

    prepared = Calculator(start)
    prepared.prepare()
    assert len(started) == 1
    assert prepared.epsilon_spent((GaussianSteps(10.0, 1.0, 1),), 1e-5) > 0
    assert len(started) == 1


def test_a_process_that_cannot_be_prepared_is_told_of_by_the_first_question() -> None:
    def start() -> SumsHere:
        raise RunFailed("It does not start.")

    calculator = Calculator(start)
    calculator.prepare()
    with pytest.raises(RunFailed, match="does not start"):
        calculator.epsilon_spent((GaussianSteps(10.0, 1.0, 1),), 1e-5)
