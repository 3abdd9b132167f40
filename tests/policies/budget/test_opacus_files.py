"""Opacus' accountants run from its files: to the last bit what Opacus itself says, and without torch."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from support.hospitals import ENVIRONMENT
from support.waiting import CEILING_SECONDS

from policies.budget import opacus_files, prv
from policies.budget.accountant import epsilon_spent
from policies.budget.steps import GaussianSteps

DELTA = 1e-5
HISTORIES = [
    (GaussianSteps(1.1, 0.02, 300),),
    (GaussianSteps(0.8, 0.3, 5), GaussianSteps(4.0, 1.0, 12)),
    (GaussianSteps(20.0, 0.5, 2000),),
    (GaussianSteps(0.6, 0.001, 40), GaussianSteps(2.5, 0.11, 700), GaussianSteps(9.0, 0.9, 3)),
]
PROGRAM = """
import json, sys
sys.modules["torch"] = None
from policies.budget.accountant import epsilon_spent
from policies.budget.steps import GaussianSteps
history = [GaussianSteps(*one) for one in json.loads(sys.argv[1])]
print(repr(epsilon_spent(history, float(sys.argv[2]))))
"""


@pytest.mark.parametrize(
    ("history", "delta"),
    [
        *(((GaussianSteps(1.1, 0.02, 505), GaussianSteps(2.5, 0.5, 1)), one) for one in (0.05, 0.002, 2e-5, 1e-9)),
        ((GaussianSteps(0.6, 0.001, 40),), 1e-5),  # which a single step makes as wide as it is
    ],
)
def test_the_grid_is_opacus_own_to_the_last_bit(history: tuple[GaussianSteps, ...], delta: float) -> None:
    from opacus.accountants import PRVAccountant
    from opacus.accountants.analysis.prv import PoissonSubsampledGaussianPRV

    asked = {"eps_error": prv.PRV_EPSILON_ERROR, "delta_error": delta * prv.PRV_DELTA_ERROR_SHARE}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Optimal order is the", UserWarning)
        expected = PRVAccountant()._get_domain(
            prvs=[PoissonSubsampledGaussianPRV(part.sample_rate, part.noise_multiplier) for part in history],
            num_self_compositions=[part.steps for part in history],
            **asked,
        )
    found = prv._domain(history, **asked)
    assert (found.t_min, found.t_max, found.size) == (expected.t_min, expected.t_max, expected.size)


@pytest.mark.parametrize("history", HISTORIES, ids=["one part", "two parts", "much noise", "three parts"])
def test_the_files_say_what_opacus_says(history: tuple[GaussianSteps, ...]) -> None:
    from opacus.accountants import PRVAccountant
    from opacus.accountants.analysis.rdp import compute_rdp

    opacus = PRVAccountant()
    opacus.history = [(part.noise_multiplier, part.sample_rate, part.steps) for part in history]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Optimal order is the", UserWarning)
        expected = opacus.get_epsilon(
            DELTA, eps_error=prv.PRV_EPSILON_ERROR, delta_error=DELTA * prv.PRV_DELTA_ERROR_SHARE
        )
    assert prv.prv_epsilon(history, DELTA) == expected
    for part in history:
        step = {"q": part.sample_rate, "noise_multiplier": part.noise_multiplier, "steps": 1}
        for order in (1.5, 8.0, 63.0):
            assert opacus_files.rdp().compute_rdp(**step, orders=order) == compute_rdp(**step, orders=order)


def test_no_epsilon_is_made_of_an_integral_that_scipy_warns_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an integral of the accountant's files is not sure, theirs is not taken: the bound by Rényi is."""
    opacus_files.prv()
    steps = sys.modules[f"{opacus_files.NAME}.analysis.prv.prvs"].PoissonSubsampledGaussianPRV
    true = steps.cdf
    asked = []

    def unsure(self: object, t: float) -> float:
        if np.ndim(t):
            return true(self, t)
        asked.append(t)
        return float(true(self, t)) + 1e-4 * math.sin(1e9 * t)  # as small as it is quick: a number comes of it

    monkeypatch.setattr(steps, "cdf", unsure)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as a datasite might, whose warnings are no errors
        assert prv.prv_epsilon(HISTORIES[0], DELTA) is None and asked
    assert epsilon_spent(HISTORIES[0], DELTA) > 0


def test_an_epsilon_is_the_same_where_torch_cannot_be_imported() -> None:
    history = HISTORIES[0]
    values = json.dumps([(part.noise_multiplier, part.sample_rate, part.steps) for part in history])
    command = [sys.executable, "-c", PROGRAM, values, str(DELTA)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, timeout=CEILING_SECONDS, check=False
    )
    assert done.stdout.strip() == repr(epsilon_spent(history, DELTA)), done.stderr
