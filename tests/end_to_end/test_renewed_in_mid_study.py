"""A researcher whose access ends, and a hospital that moves, in the middle of a study: the same session goes on."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.hospitals import (
    CLASSES,
    RESEARCHER,
    Hospital,
    draw_pictures,
    make_hospital,
    running,
    small_plan,
    write_pictures,
)
from support.ports import free_port
from support.waiting import wait_for

from datasites.files.state_folder import StateFolder
from datasites.state.kept_books import open_ledger

STEPS = 20


class Enough(Exception):
    """The test has seen what it came for."""


@pytest.mark.slow
def test_a_study_goes_on_over_a_renewed_certificate_and_a_hospital_that_moved(tmp_path: Path) -> None:
    from datasites.training.models import initial_weights
    from researcher.evaluation.hold_out import HoldOut
    from researcher.hospitals.federation import Federation
    from researcher.studies.retry_policy import RetryPolicy
    from researcher.studies.study import Study

    write_pictures(tmp_path / "pictures.npz", sites=("ash", "beech"))
    made = [make_hospital(tmp_path / "before", name, tmp_path / "pictures.npz") for name in ("ash", "beech")]
    ash, files = made[0], {hospital.state.name: tmp_path / f"{hospital.state.name}.json" for hospital in made}
    records: list[Any] = []
    seen = threading.Event()

    def hand_over(hospital: Hospital) -> None:
        shutil.copy(hospital.credentials(), files[hospital.state.name])

    def on_round(record: Any) -> None:
        records.append(record)
        if seen.is_set():
            raise Enough

    def in_the_last_round() -> bool:
        return bool(records) and "ash" in records[-1].datasites

    def left_out_because(code: str) -> bool:
        return bool(records) and code in records[-1].skipped.get("ash", "")

    with running(*made):
        for hospital in made:
            hand_over(hospital)
        with Federation.connect(str(tmp_path / "*.json")) as federation:
            plan = small_plan(federation, study="renewed", rounds=400, steps_per_round=STEPS)
            plan = replace(plan, privacy=replace(plan.privacy, noise_multiplier=200.0))
            study = Study.submit(federation, plan, tmp_path / "study")
            for hospital in made:
                hospital.admin("approve", study.requests[hospital.state.name].request_id)

            def run() -> None:
                with pytest.raises(Enough):
                    study.run(
                        hold_out=HoldOut(*draw_pictures(20, seed=99), CLASSES),
                        initial_weights=initial_weights(plan.model, 0),
                        retry_policy=RetryPolicy(unreachable_seconds=0.0),
                        min_clients=1,
                        on_round=on_round,
                    )

            session = threading.Thread(target=run)
            session.start()
            try:
                wait_for(in_the_last_round, alive=session.is_alive)
                ash.admin("revoke", RESEARCHER)
                wait_for(lambda: left_out_because("WW711"), alive=session.is_alive)
                assert "put it in the place of the old one" in records[-1].skipped["ash"]
                ash.admin("enrol", RESEARCHER)
                hand_over(ash)
                wait_for(in_the_last_round, alive=session.is_alive)

                ash.stop()
                wait_for(lambda: left_out_because("nothing listens at that port"), alive=session.is_alive)
                (tmp_path / "after").mkdir()
                ash.state = Path(shutil.move(ash.state, tmp_path / "after" / "ash"))
                ash.configure(host="127.0.0.2", port=free_port())
                ash.start(forked=True)
                ash.wait_until_ready()
                ash.admin("enrol", RESEARCHER)
                hand_over(ash)
                wait_for(in_the_last_round, alive=session.is_alive)
            finally:
                seen.set()
                session.join()
            request = study.requests["ash"].request_id
            held = open_ledger(StateFolder(ash.state)).reservations()[request]
            in_history = [
                record.round - 1 - record.staleness.get("ash", 0) for record in records if "ash" in record.datasites
            ]
            assert set(in_history) <= set(held.committed) and len(in_history) == len(set(in_history))
            assert sum(part.steps for part in held.spent) == STEPS * len(held.rounds_charged), "each round once"
            for hospital in made:
                log = (hospital.state / "logs" / "datasite.log").read_text()
                assert "Traceback" not in log
            study.end()
