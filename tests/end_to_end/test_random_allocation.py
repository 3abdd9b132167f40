"""A study whose rounds allocate each picture to one step, at real datasites: from its plan to its receipts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.hospitals import Hospital, small_plan

from policies.budget.accountant import GaussianSteps, epsilon_spent
from policies.ledger.receipt import verify
from researcher.hospitals.federation import Federation
from researcher.studies.study import Study


def test_it_is_approved_run_charged_and_receipted_as_what_it_is(
    hospitals: dict[str, Hospital], federation: Federation, hold_out: Any, tmp_path: Path
) -> None:
    from datasites.training.models import initial_weights

    allocated: dict[str, Any] = {"sampling": "random_allocation", "sample_rate": 0.25, "steps_per_round": 4}
    plan = small_plan(federation, study="allocated", **allocated)
    assert plan.privacy is not None
    study = Study.submit(federation, plan, tmp_path / "study")
    for name, request in study.requests.items():
        assert "is in exactly one step" in hospitals[name].admin("show", request.request_id, "--all").stdout
        hospitals[name].admin("approve", request.request_id)
    study.run(hold_out=hold_out, initial_weights=initial_weights(plan.model, 0))
    study.end()
    study.receipts(tmp_path)
    steps = GaussianSteps(plan.privacy.noise_multiplier, 0.25, 8, 4)
    for name in hospitals:
        key = study.federation.hospitals[name].public_key
        receipt = verify((tmp_path / f"{name}.receipt.json").read_text(), key)
        assert receipt.spend == (steps,)
        assert receipt.epsilon is not None
        assert abs(receipt.epsilon - epsilon_spent([steps], plan.privacy.delta)) < 1e-9
        assert receipt.epsilon < epsilon_spent([GaussianSteps(steps.noise_multiplier, 0.25, 8)], plan.privacy.delta)
