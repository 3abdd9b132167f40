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


class Session:
    """A researcher's session that runs a study's rounds in a thread, as far as the test lets it.

    Attributes:
        study: The study.
        records: Its rounds so far.
    """

    def __init__(self, study: Any) -> None:
        self.study, self.records = study, list[Any]()
        self._seen, self._thread = threading.Event(), threading.Thread(target=self._run)

    def __enter__(self) -> Session:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._seen.set()
        self._thread.join()

    def wait_until_in(self, name: str) -> None:
        """Returns once a hospital is in the last round."""
        wait_for(lambda: bool(self.records) and name in self.records[-1].datasites, alive=self._thread.is_alive)

    def wait_until_without(self, name: str, why: str) -> str:
        """Returns the whole reason once a hospital is left out of the last round for one that says this."""
        wait_for(lambda: why in self._why_without(name), alive=self._thread.is_alive)
        return self._why_without(name)

    def _why_without(self, name: str) -> str:
        return str(self.records[-1].skipped.get(name, "")) if self.records else ""

    def _run(self) -> None:
        from datasites.training.models import initial_weights
        from researcher.evaluation.hold_out import HoldOut
        from researcher.studies.retry_policy import RetryPolicy

        with pytest.raises(Enough):
            self.study.run(
                hold_out=HoldOut(*draw_pictures(20, seed=99), CLASSES),
                initial_weights=initial_weights(self.study.plan.model, 0),
                retry_policy=RetryPolicy(unreachable_seconds=0.0),
                min_clients=1,
                on_round=self._note,
            )

    def _note(self, record: Any) -> None:
        self.records.append(record)
        if self._seen.is_set():
            raise Enough


def hand_over(hospital: Hospital, folder: Path) -> None:
    """The hospital gives the researcher the credentials that it has made last."""
    shutil.copy(hospital.credentials(), folder / f"{hospital.state.name}.json")


def approved_study(federation: Any, made: list[Hospital], folder: Path) -> Any:
    """A study that every hospital has approved, of more rounds than the test needs."""
    from researcher.studies.study import Study

    plan = small_plan(federation, study="renewed", rounds=400, steps_per_round=STEPS)
    plan = replace(plan, privacy=replace(plan.privacy, noise_multiplier=200.0))
    study = Study.submit(federation, plan, folder)
    for hospital in made:
        hospital.admin("approve", study.requests[hospital.state.name].request_id)
    return study


def renew_access(session: Session, ash: Hospital, folder: Path) -> None:
    """The hospital ends the researcher's access, and gives a new one."""
    session.wait_until_in("ash")
    ash.admin("revoke", RESEARCHER)
    assert "put it in the place of the old one" in session.wait_until_without("ash", "WW711")
    ash.admin("enrol", RESEARCHER)
    hand_over(ash, folder)
    session.wait_until_in("ash")


def move_away(session: Session, ash: Hospital, folder: Path) -> None:
    """The hospital moves to another folder and another address, and gives credentials for that."""
    ash.stop()
    session.wait_until_without("ash", "nothing listens at that port")
    (folder / "after").mkdir()
    ash.state = Path(shutil.move(ash.state, folder / "after" / "ash"))
    ash.configure(host="127.0.0.2", port=free_port())
    ash.start(forked=True)
    ash.wait_until_ready()
    ash.admin("enrol", RESEARCHER)
    hand_over(ash, folder)
    session.wait_until_in("ash")


def check_books(session: Session, ash: Hospital) -> None:
    """The hospital's ledger has each round once, and all that the study's history has of it."""
    request = session.study.requests["ash"].request_id
    held = open_ledger(StateFolder(ash.state)).reservations()[request]
    in_history = [
        record.round - 1 - record.staleness.get("ash", 0) for record in session.records if "ash" in record.datasites
    ]
    assert set(in_history) <= set(held.committed) and len(in_history) == len(set(in_history))
    assert sum(part.steps for part in held.spent) == STEPS * len(held.rounds_charged), "each round once"


@pytest.mark.slow
def test_a_study_goes_on_over_a_renewed_certificate_and_a_hospital_that_moved(tmp_path: Path) -> None:
    from researcher.hospitals.federation import Federation

    write_pictures(tmp_path / "pictures.npz", sites=("ash", "beech"))
    made = [make_hospital(tmp_path / "before", name, tmp_path / "pictures.npz") for name in ("ash", "beech")]
    ash = made[0]
    with running(*made):
        for hospital in made:
            hand_over(hospital, tmp_path)
        with Federation.connect(str(tmp_path / "*.json")) as federation:
            study = approved_study(federation, made, tmp_path / "study")
            with Session(study) as session:
                renew_access(session, ash, tmp_path)
                move_away(session, ash, tmp_path)
            check_books(session, ash)
            for hospital in made:
                assert "Traceback" not in (hospital.state / "logs" / "datasite.log").read_text()
            study.end()
