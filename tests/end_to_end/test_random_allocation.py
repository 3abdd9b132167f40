"""A study whose rounds allocate each picture to one step, at real datasites: from its plan to its receipts."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.hospitals import Hospital, small_plan
from support.waiting import wait_for

from datasites.files.state_folder import StateFolder
from datasites.state.kept_books import open_ledger
from policies.answers.runs import ENDED, RunAnswer
from policies.budget.accountant import GaussianSteps, epsilon_spent
from policies.contracts.inputs import Ticket
from policies.contracts.weights import canonical_bytes
from policies.errors import RunLost
from policies.ledger.receipt import verify
from policies.ledger.reservations import NOTHING_LEFT
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


def test_rounds_that_are_killed_cancelled_and_asked_for_again_are_each_charged_once_as_whole_epochs(
    hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path
) -> None:
    """A round lost half way costs what it would have cost whole: nobody knows which pictures its epochs had reached."""
    from datasites.training.models import initial_weights

    north, epochs = hospitals["north"], 100
    allocated: dict[str, Any] = {"sampling": "random_allocation", "sample_rate": 0.25, "steps_per_round": 4 * epochs}
    plan = small_plan(north_only, study="allocated-lost", rounds=3, **allocated)
    plan = replace(plan, privacy=replace(plan.privacy, noise_multiplier=40.0))
    study = Study.submit(north_only, plan, tmp_path)
    request, routes = study.requests["north"], north_only.hospitals["north"].routes
    north.admin("approve", request.request_id)
    weights = routes.put_blob(canonical_bytes(initial_weights(plan.model, 0)))

    def ask(round_index: int) -> RunAnswer:
        return north_only.hospitals["north"].ask(plan.dataset, request, Ticket(round_index, weights))

    def started(run: str) -> int:
        return int(wait_for(lambda: [one["pid"] for one in north.events("run started") if one["run"] == run])[-1])

    def ended(round_index: int) -> RunAnswer:
        def at_its_end() -> RunAnswer | None:
            found = routes.run(request.request_id, round_index, wait_seconds=1.0)
            return found if found.state in ENDED else None

        return wait_for(at_its_end)

    os.kill(started(ask(0).run), signal.SIGKILL)
    lost = ended(0)
    assert (lost.state, lost.code) == ("failed", RunLost.code)
    assert ask(0).state == "failed", "it is not run again"
    run = ask(1).run
    started(run)
    north.admin("cancel", run)
    assert ended(1).state == ask(1).state == "cancelled"
    started(ask(2).run)
    north.stop(signal.SIGKILL)
    north.start(forked=True)
    north.wait_until_ready()
    assert ended(2).state == ask(2).state == "done", "the datasite runs it again after its restart"

    entries = open_ledger(StateFolder(north.state)).entries()
    kinds = [one.kind for one in entries if one.request_id == request.request_id]
    assert kinds == ["reserve", *("start", "commit") * 3]
    study.end()
    (written,) = study.receipts(tmp_path)
    receipt = verify(written.read_text(), north_only.hospitals["north"].public_key)
    assert [one.update_digest == NOTHING_LEFT for one in receipt.rounds] == [True, True, False]
    whole = GaussianSteps(plan.privacy.noise_multiplier, 0.25, 3 * 4 * epochs, 4)
    assert receipt.spend == (whole,)
    assert receipt.epsilon == pytest.approx(epsilon_spent([whole], plan.privacy.delta))
