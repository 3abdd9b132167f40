"""A state folder of earlier that is copied back by hand: found out by the hospital's own receipts, and mended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.hospitals import CLASSES, RESEARCHER, Hospital, draw_pictures, make_hospital, running, small_plan

from datasites.files.state_folder import StateFolder
from datasites.state.kept_books import open_ledger
from policies.errors import RequestDenied

ROUNDS = 4


@pytest.fixture
def north(tmp_path: Path, pictures: Path) -> Hospital:
    return make_hospital(tmp_path, "north", pictures)


def run(study: Any, rounds: int) -> Any:
    from datasites.training.models import initial_weights
    from researcher.evaluation.hold_out import HoldOut
    from researcher.studies.retry_policy import RetryPolicy

    return study.run(
        hold_out=HoldOut(*draw_pictures(20, seed=99), CLASSES),
        initial_weights=initial_weights(study.plan.model, 0),
        retry_policy=RetryPolicy(unreachable_seconds=0.5),
        min_clients=1,
        rounds=rounds,
    )


def ends(state: Path, request: str) -> dict[int, str]:
    held = open_ledger(StateFolder(state)).reservations()[request]
    return {index: done.update_digest for index, done in held.committed.items()}


def test_a_folder_of_after_round_one_runs_nothing_until_it_is_restored_and_then_the_study_goes_on(
    north: Hospital, tmp_path: Path
) -> None:
    from researcher.hospitals.federation import Federation
    from researcher.studies.study import Study

    earlier, newer, folder = tmp_path / "earlier", tmp_path / "newer", tmp_path / "study"
    with running(north), Federation.connect(north.credentials()) as federation:
        study = Study.submit(federation, small_plan(federation, study="put-back", rounds=ROUNDS), folder)
        request = study.requests["north"].request_id
        north.admin("approve", request)
        run(study, 1)
        north.admin("backup", tmp_path / "backups")
    shutil.copytree(north.state, earlier)
    with running(north), Federation.connect(north.credentials()) as federation:
        run(Study.load(federation, folder), 2)
    released = ends(north.state, request)
    assert sorted(released) == [0, 1]
    north.state.rename(newer)
    shutil.copytree(earlier, north.state)

    with running(north), Federation.connect(north.credentials()) as federation:
        check_stands_still(Study.load(federation, folder))
        other = Study.submit(federation, small_plan(federation, study="other"), tmp_path / "other")
        said = north.admin("approve", other.requests["north"].request_id, check=False)
        assert said.returncode and "WW832" in said.stderr
        assert [row["kind"] for row in north.admin_json("notices")["notices"]].count("books behind") == 1
    assert "a receipt of this datasite states" in (north.state / "logs" / "datasite.log").read_text()
    (event,) = north.events("books behind")
    assert (event["request"], event["round"], event["by"]) == (request, 2, RESEARCHER)

    (folder / "round_receipts.json").rename(tmp_path / "kept.json")  # whoever asks, and whatever they show
    with running(north), Federation.connect(north.credentials()) as federation:
        check_stands_still(Study.load(federation, folder))
        doctor = north.admin("doctor", check=False)
        assert doctor.returncode and "lacks what a receipt of this datasite states" in doctor.stdout
    assert ends(north.state, request) == {0: released[0]}
    (tmp_path / "kept.json").rename(folder / "round_receipts.json")

    north.admin("backup", tmp_path / "of-the-copy")
    restored, closed = Hospital(tmp_path / "restored"), Hospital(tmp_path / "closed")
    in_vain = closed.admin("restore", tmp_path / "of-the-copy", "--nothing_since", check=False)
    assert in_vain.returncode and "an older copy, which a receipt has shown" in in_vain.stderr
    said = closed.admin("restore", tmp_path / "of-the-copy", "--lost", newer).stdout
    assert f"Closed and charged in full: {RESEARCHER}: put-back" in said
    said = restored.admin("restore", tmp_path / "backups", "--lost", newer).stdout
    assert "Closed" not in said
    with running(restored), Federation.connect(restored.credentials()) as federation:
        _, history = run(Study.load(federation, folder), ROUNDS)
        assert [record.datasites for record in history.records] == [("north",)] * ROUNDS
    held = ends(restored.state, request)
    assert sorted(held) == list(range(ROUNDS)) and {index: held[index] for index in released} == released
    assert restored.admin("ledger", "verify").returncode == 0


def check_stands_still(study: Any) -> None:
    """Two more sessions of `train` are refused, each in one sentence."""
    for _ in range(2):
        with pytest.raises(RequestDenied, match="WW832: This hospital found that its books are an older copy") as told:
            run(study, ROUNDS)
        assert "receipt" not in told.value.public
