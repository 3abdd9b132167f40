"""A hospital that is down when a study is submitted, and is in it from round 3: real datasites, commands, receipts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import (
    CLASSES,
    RESEARCHER,
    Hospital,
    command,
    draw_pictures,
    make_hospital,
    running,
    small_plan,
    write_pictures,
)

from datasites.files.state_folder import StateFolder
from datasites.state.kept_books import open_ledger
from policies.budget.accountant import GaussianSteps, epsilon_spent
from policies.errors import DatasiteUnreachable
from policies.ledger.receipt import verify
from policies.plans.training import TrainingPlan

ROUNDS = 4
NAMES = ("ash", "beech", "cedar")


def charged(hospital: Hospital, request: str) -> list[int]:
    """The rounds that a hospital's ledger charged for a request."""
    return sorted(open_ledger(StateFolder(hospital.state)).reservations()[request].rounds_charged)


@dataclass
class Joined:
    """The study, its hospitals, and where the researcher keeps it.

    Attributes:
        made: The hospitals by name.
        files: The researcher's credentials, a pattern.
        out: The study's folder.
    """

    made: dict[str, Hospital]
    files: str
    out: Path

    def researcher(self, name: str, *more: object, fails: bool = False) -> str:
        """What a command of the researcher says about the study: its output, or why it fails."""
        done = command("-m", "researcher", name, "--credentials", self.files, "--out", self.out, *more, check=not fails)
        assert done.returncode == fails
        return done.stderr if fails else done.stdout

    @property
    def requests(self) -> dict[str, str]:
        """Hospital → its request, as the folder names it."""
        kept = json.loads((self.out / "study.json").read_text())["requests"]
        return {name: one["request_id"] for name, one in kept.items()}

    def waiting_at_cedar(self) -> list[dict[str, Any]]:
        """The requests that the hospital has which was down."""
        listed: list[dict[str, Any]] = self.made["cedar"].admin_json("requests")
        return listed


def made_in(folder: Path) -> Joined:
    """Three hospitals that are not started yet, and a hold-out beside them."""
    write_pictures(folder / "pictures.npz", sites=NAMES)
    made = {name: make_hospital(folder / "state", name, folder / "pictures.npz") for name in NAMES}
    images, labels = draw_pictures(40, seed=99)
    np.savez(folder / "hold_out.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    files = str(folder / "state" / "*" / "credentials" / f"{RESEARCHER}.json")
    return Joined(made, files, folder / "study")


def two_rounds_without_cedar(joined: Joined) -> TrainingPlan:
    """Submits the study while a hospital is down, and runs half of it."""
    from datasites.training.models import initial_weights
    from researcher.evaluation.hold_out import HoldOut
    from researcher.hospitals.federation import Federation
    from researcher.studies.study import Study

    joined.made["cedar"].stop()
    with Federation.connect(joined.files) as federation:
        plan = small_plan(federation, study="joined", rounds=ROUNDS)
        study = Study.submit(federation, plan, joined.out)
        assert list(study.refused) == ["cedar"] and study.refused["cedar"].startswith(DatasiteUnreachable.code)
        for name, request in study.requests.items():
            joined.made[name].admin("approve", request.request_id)
        hold_out = HoldOut(*draw_pictures(40, seed=99), CLASSES)
        study.run(hold_out=hold_out, initial_weights=initial_weights(plan.model, 0), rounds=2)
    return plan


def invited_but_for_the_answer(joined: Joined, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invites the hospital, over a line that breaks once it has taken the request."""
    from researcher.hospitals.federation import Federation
    from researcher.hospitals.hospital import Hospital as Connected
    from researcher.studies.study import Study

    submit = Connected.submit

    def loses_the_answer(*given: Any) -> None:
        submit(*given)
        raise DatasiteUnreachable("The line broke.")

    with monkeypatch.context() as patch, Federation.connect(joined.files, begun=True) as federation:
        patch.setattr(Connected, "submit", loses_the_answer)
        again = Study.load(federation, joined.out)
        again.submit_to_more(["cedar"], after_round=2)
        assert "cedar" not in again.requests


def invited_once_however_often(joined: Joined, digest: str) -> None:
    """Invites it again: the request that it has is found, and approved there."""
    (waiting,) = joined.waiting_at_cedar()
    assert "cedar: may have a request that was not noted here" in joined.researcher("status")
    said = joined.researcher("invite")
    assert f"cedar: request {waiting['id'][:8]}, waiting for the hospital's decision" in said
    assert "ash was asked before: approved" in said and "They take part from the round after" in said
    assert len(joined.waiting_at_cedar()) == 1, "one request, however often it is asked"
    assert "There is nobody to invite" in joined.researcher("invite", fails=True)
    request = joined.requests["cedar"]
    assert joined.made["cedar"].admin_json("show", request)["plan_digest"] == digest
    joined.made["cedar"].admin("approve", request)


def trained_to_its_end(joined: Joined, hold_out: Path) -> dict[str, Any]:
    """Runs the rounds that are left, at all three; what the study then says of itself."""
    trained = joined.researcher("train", "--test", hold_out, "--min_clients", "3")
    assert f"Written to {joined.out}/" in trained
    status = joined.researcher("status")
    assert "cedar: invited after round 2 (" in status and "canary at cedar: passed" in status
    assert "round 1 without cedar: WW705" in status
    result: dict[str, Any] = json.loads((joined.out / "result.json").read_text())
    assert result["took_part"] == list(NAMES) and result["invited"]["cedar"]["after_round"] == 2
    assert result["hospitals"]["cedar"]["rounds"] == [3, 4] and result["plan"]["study"] == "joined"
    assert result["hospitals"]["ash"]["rounds"] == [1, 2, 3, 4]
    assert "cedar was invited after round 2" in (joined.out / "report.html").read_text()
    return result


def check_books_and_receipts(joined: Joined, plan: TrainingPlan, result: dict[str, Any]) -> None:
    """Each hospital has charged the rounds that it ran, once, and signs for these."""
    requests, privacy = joined.requests, plan.privacy
    assert privacy is not None
    assert [charged(joined.made[name], requests[name]) for name in NAMES] == [[0, 1, 2, 3]] * 2 + [[2, 3]]
    for name, rounds in zip(NAMES, (4, 4, 2), strict=True):
        key = (joined.out / "receipts" / f"{name}.key").read_text().strip()
        receipt = verify((joined.out / "receipts" / f"{name}.receipt.json").read_text(), key)
        assert (receipt.plan_digest, len(receipt.rounds)) == (plan.digest(), rounds)
        steps = GaussianSteps(privacy.noise_multiplier, plan.sample_rate, rounds * plan.steps_per_round)
        assert receipt.epsilon == pytest.approx(epsilon_spent([steps], privacy.delta))
        assert result["privacy"][name]["epsilon"] == pytest.approx(receipt.epsilon)


@pytest.mark.slow
def test_a_hospital_that_is_down_at_submission_is_invited_and_takes_part_from_round_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = made_in(tmp_path)
    with running(*joined.made.values()):
        plan = two_rounds_without_cedar(joined)
        with running(joined.made["cedar"]):
            invited_but_for_the_answer(joined, monkeypatch)
            invited_once_however_often(joined, plan.digest())
            result = trained_to_its_end(joined, tmp_path / "hold_out.npz")
            check_books_and_receipts(joined, plan, result)
            model = joined.out / "global_model.safetensors"
            verified = command("-m", "researcher", "receipt", "verify-model", model, "--out", joined.out).stdout
            assert "is of 'joined', 4 rounds" in verified and "cedar: 2 rounds" in verified
            command("-m", "researcher", "evidence", joined.out, "--out", tmp_path / "papers")
            joined.researcher("end")
            assert "All 4 rounds of 'joined' are done" in joined.researcher("invite", fails=True)
            for hospital in joined.made.values():
                assert "Traceback" not in (hospital.state / "logs" / "datasite.log").read_text()
