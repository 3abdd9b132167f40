"""Privacy receipts of real studies: fetched over the wire, checked with the published key alone."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from support.hospitals import Hospital, command, small_plan

from datasites.audit_log import log as audit
from policies.budget.accountant import GaussianSteps, epsilon_spent
from policies.errors import ReceiptInvalid
from policies.ledger.receipt import verify
from researcher.hospitals.federation import Federation
from researcher.studies.study import Study


@pytest.fixture(scope="module")
def ended(
    hospitals: dict[str, Hospital], federation: Federation, hold_out: Any, tmp_path_factory: pytest.TempPathFactory
) -> Study:
    """A study of two rounds, one of which ran before it was ended."""
    from datasites.training.models import initial_weights

    folder = tmp_path_factory.mktemp("receipts") / "study"
    study = Study.submit(federation, small_plan(federation, study="with-receipt"), folder)
    for name, request in study.requests.items():
        hospitals[name].admin("approve", request.request_id)
    study.run(hold_out=hold_out, initial_weights=initial_weights(study.plan.model, 0), rounds=1)
    study.end()
    return study


def test_a_receipt_states_what_ran_and_what_that_cost(
    hospitals: dict[str, Hospital], ended: Study, tmp_path: Path
) -> None:
    ended.receipts(tmp_path)
    for name, hospital in hospitals.items():
        key = ended.federation.hospitals[name].public_key
        receipt = verify((tmp_path / f"{name}.receipt.json").read_text(), key)
        privacy = ended.plan.privacy
        assert privacy is not None
        steps = GaussianSteps(privacy.noise_multiplier, ended.plan.sample_rate, ended.plan.steps_per_round)
        assert receipt.epsilon == pytest.approx(epsilon_spent([steps], privacy.delta))
        assert (receipt.datasite, receipt.state, receipt.unit) == (name, "ended", "picture")
        assert receipt.plan_digest == ended.plan.digest()
        (entry,) = receipt.rounds
        assert list((hospital.state / "blobs").rglob(f"{entry.update_digest}*"))
        assert receipt.audit_head in {event["hash"] for event in hospital.events("receipt issued")}
        audit.verify(hospital.state / "audit.log")


def test_the_command_checks_a_receipt_with_the_published_key_alone(ended: Study, tmp_path: Path) -> None:
    ended.receipts(tmp_path)
    key = ended.federation.hospitals["north"].public_key
    said = command("-m", "researcher", "receipt", "verify", tmp_path / "north.receipt.json", "--key", key).stdout
    assert "Valid" in said and "1 round" in said and "in 100 pictures that were" in said
    other = ended.federation.hospitals["south"].public_key
    refused = command(
        "-m", "researcher", "receipt", "verify", tmp_path / "north.receipt.json", "--key", other, check=False
    )
    assert refused.returncode == 1 and "another key" in refused.stderr


def test_the_hospital_reads_the_review_and_keeps_a_record_that_holds(
    hospitals: dict[str, Hospital], ended: Study, tmp_path: Path
) -> None:
    hospital, request = hospitals["north"], ended.requests["north"].request_id
    review = hospital.admin_json("show", request)
    told = {finding["topic"] for finding in review["findings"]}  # other tests' studies here may ask for the same
    assert told <= {"repeat"}
    assert review["enrolled_since"] and review["cost"]["membership"]["powers"]
    card = hospital.admin("show", request, "--all").stdout
    assert review["digest"][:12] in card and "such studies left" in card
    page = tmp_path / "decision.html"
    hospital.admin("record", request, "--out", str(page))
    assert review["digest"] in page.read_text()
    assert "The record holds: ended" in hospital.admin("record", request, "--check", str(page)).stdout
    page.write_text(page.read_text().replace("<h1>Decision", "<h1>No decision"))
    refused = hospital.admin("record", request, "--check", str(page), check=False)
    assert refused.returncode == 1 and "not what was signed" in refused.stderr


def test_what_one_hospital_shares_of_a_decision_stands_on_the_others_card(
    hospitals: dict[str, Hospital], federation: Federation, tmp_path: Path
) -> None:
    study = Study.submit(federation, small_plan(federation, study="told"), tmp_path)
    north, south = (study.requests[name].request_id for name in ("north", "south"))
    hospitals["north"].admin("deny", north, "--reason", "said to the researcher")
    file = tmp_path / "north.json"
    hospitals["north"].admin("record", north, "--share", str(file), "--called", "North General")
    assert "said to the researcher" not in file.read_text()
    assert "North General denied" in hospitals["south"].admin("elsewhere", "add", str(file)).stdout
    assert [one["hospital"] for one in hospitals["south"].admin_json("show", south)["elsewhere"]] == ["North General"]
    assert "signature verified" in hospitals["south"].admin("show", south, "--all").stdout
    hospitals["south"].admin("deny", south, "--reason", "as above")


def test_any_changed_byte_makes_a_receipt_invalid(ended: Study, tmp_path: Path) -> None:
    ended.receipts(tmp_path)
    content = (tmp_path / "north.receipt.json").read_bytes()
    key = ended.federation.hospitals["north"].public_key
    chosen = random.Random(0)
    for position in chosen.sample(range(len(content)), 300):
        changed = bytearray(content)
        changed[position] ^= 1 << chosen.randrange(8)
        with pytest.raises(ReceiptInvalid):
            verify(bytes(changed), key)
    assert json.loads(content)["public_key"] == key
