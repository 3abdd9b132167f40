"""A hospital that is down when a study is submitted, and is in it from round 3: real datasites, commands, receipts."""

from __future__ import annotations

import json
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

ROUNDS = 4
NAMES = ("ash", "beech", "cedar")


def charged(hospital: Hospital, request: str) -> list[int]:
    """The rounds that a hospital's ledger charged for a request."""
    return sorted(open_ledger(StateFolder(hospital.state)).reservations()[request].rounds_charged)


@pytest.mark.slow
def test_a_hospital_that_is_down_at_submission_is_invited_and_takes_part_from_round_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasites.training.models import initial_weights
    from researcher.evaluation.hold_out import HoldOut
    from researcher.hospitals.federation import Federation
    from researcher.studies import submission
    from researcher.studies.study import Study

    write_pictures(tmp_path / "pictures.npz", sites=NAMES)
    made = {name: make_hospital(tmp_path / "state", name, tmp_path / "pictures.npz") for name in NAMES}
    files, out = str(tmp_path / "state" / "*" / "credentials" / f"{RESEARCHER}.json"), tmp_path / "study"
    about = ("--credentials", files, "--out", out)
    images, labels = draw_pictures(40, seed=99)
    np.savez(tmp_path / "hold_out.npz", images=images, labels=labels, class_names=np.array(CLASSES))

    with running(*made.values()):
        made["cedar"].stop()
        with Federation.connect(files) as federation:
            plan = small_plan(federation, study="joined", rounds=ROUNDS)
            study = Study.submit(federation, plan, out)
            assert list(study.refused) == ["cedar"] and study.refused["cedar"].startswith(DatasiteUnreachable.code)
            for name, request in study.requests.items():
                made[name].admin("approve", request.request_id)
            study.run(
                hold_out=HoldOut(images, labels, CLASSES), initial_weights=initial_weights(plan.model, 0), rounds=2
            )
        digest = plan.digest()

        with running(made["cedar"]):
            submit: Any = submission._submit

            def loses_the_answer(hospital: Any, **named: Any) -> None:
                submit(hospital, **named)
                raise DatasiteUnreachable("The line broke.")

            with monkeypatch.context() as patch, Federation.connect(files, begun=True) as federation:
                patch.setattr(submission, "_submit", loses_the_answer)
                again = Study.load(federation, out)
                again.submit_to_more(["cedar"], after_round=2)
                assert "cedar" not in again.requests
            (waiting,) = made["cedar"].admin_json("requests")
            assert (
                "cedar: may have a request that was not noted here"
                in command("-m", "researcher", "status", *about).stdout
            )
            said = command("-m", "researcher", "invite", *about).stdout
            assert f"cedar: request {waiting['id'][:8]}, waiting for the hospital's decision" in said
            assert "ash was asked before: approved" in said and "They take part from the round after" in said
            assert len(made["cedar"].admin_json("requests")) == 1, "one request, however often it is asked"
            twice = command("-m", "researcher", "invite", *about, check=False)
            assert twice.returncode == 1 and "There is nobody to invite" in twice.stderr
            kept = json.loads((out / "study.json").read_text())["requests"]
            requests = {name: one["request_id"] for name, one in kept.items()}
            assert made["cedar"].admin_json("show", requests["cedar"])["plan_digest"] == digest
            made["cedar"].admin("approve", requests["cedar"])

            trained = command(
                *("-m", "researcher", "train", *about, "--test", tmp_path / "hold_out.npz", "--min_clients", "3")
            ).stdout
            assert f"Written to {out}/" in trained
            status = command("-m", "researcher", "status", *about).stdout
            assert "cedar: invited after round 2 (" in status and "canary at cedar: passed" in status
            assert "round 1 without cedar: WW705" in status

            result = json.loads((out / "result.json").read_text())
            assert result["took_part"] == list(NAMES) and result["invited"]["cedar"]["after_round"] == 2
            assert result["hospitals"]["cedar"]["rounds"] == [3, 4] and result["plan"]["study"] == "joined"
            assert result["hospitals"]["ash"]["rounds"] == [1, 2, 3, 4]
            assert "cedar was invited after round 2" in (out / "report.html").read_text()
            assert [charged(made[name], requests[name]) for name in NAMES] == [[0, 1, 2, 3]] * 2 + [[2, 3]]

            privacy = plan.privacy
            for name, rounds in zip(NAMES, (4, 4, 2), strict=True):
                key = (out / "receipts" / f"{name}.key").read_text().strip()
                receipt = verify((out / "receipts" / f"{name}.receipt.json").read_text(), key)
                assert (receipt.plan_digest, len(receipt.rounds)) == (digest, rounds)
                steps = GaussianSteps(privacy.noise_multiplier, plan.sample_rate, rounds * plan.steps_per_round)
                assert receipt.epsilon == pytest.approx(epsilon_spent([steps], privacy.delta))
                assert result["privacy"][name]["epsilon"] == pytest.approx(receipt.epsilon)
            model = out / "global_model.safetensors"
            verified = command("-m", "researcher", "receipt", "verify-model", model, "--out", out).stdout
            assert "is of 'joined', 4 round(s)" in verified and "cedar: 2 round(s)" in verified
            command("-m", "researcher", "evidence", out, "--out", tmp_path / "papers")
            command("-m", "researcher", "end", *about)
            late = command("-m", "researcher", "invite", *about, check=False)
            assert late.returncode == 1 and "All 4 rounds of 'joined' are done" in late.stderr
            for hospital in made.values():
                assert "Traceback" not in (hospital.state / "logs" / "datasite.log").read_text()
