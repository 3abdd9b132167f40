"""A hospital that is stopped as its people stop it, in the middle of a round, and started again."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.hospitals import CLASSES, Hospital, draw_pictures, small_plan
from support.waiting import CEILING_SECONDS, wait_for

from datasites.files.state_folder import StateFolder
from datasites.state.kept_books import open_ledger

STEPS = 100  # so many take longer than it takes to stop


def test_a_hospital_that_is_stopped_and_started_in_a_round_is_in_that_round(
    hospitals: dict[str, Hospital], federation: Any, tmp_path: Path
) -> None:
    from datasites.training.models import initial_weights
    from researcher.evaluation.hold_out import HoldOut
    from researcher.studies.retry_policy import RetryPolicy
    from researcher.studies.study import Study

    plan = small_plan(federation, study="stopped", rounds=2, steps_per_round=STEPS)
    plan = replace(plan, privacy=replace(plan.privacy, noise_multiplier=200.0))
    study = Study.submit(federation, plan, tmp_path / "study")
    requests = {name: request.request_id for name, request in study.requests.items()}
    for name, hospital in hospitals.items():
        hospital.admin("approve", requests[name])
    north, found = hospitals["north"], list[Any]()

    def run() -> None:
        found.append(
            study.run(
                hold_out=HoldOut(*draw_pictures(20, seed=99), CLASSES),
                initial_weights=initial_weights(plan.model, 0),
                retry_policy=RetryPolicy(unreachable_seconds=CEILING_SECONDS),
                min_clients=2,
            )
        )

    def held(name: str) -> Any:
        return open_ledger(StateFolder(hospitals[name].state)).reservations()[requests[name]]

    running = threading.Thread(target=run)
    running.start()
    wait_for(lambda: held("north").started, alive=running.is_alive)
    north.stop()
    assert len(held("north").committed) < 2
    north.start(forked=True)
    north.wait_until_ready()
    running.join()
    _, history = found[0]
    assert [sorted(record.datasites) for record in history.records] == [["north", "south"]] * 2
    for name in hospitals:
        assert sum(part.steps for part in held(name).spent) == 2 * STEPS, "each round is charged once"
        assert "Traceback" not in (hospitals[name].state / "logs" / "datasite.log").read_text()
    study.end()
