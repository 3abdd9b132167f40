"""The main job over real sockets: submit, approve, rounds, evaluation, and what a study survives."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import Hospital, small_plan
from support.waiting import wait_for

from datasites.files.state_folder import StateFolder
from datasites.state.kept_books import open_ledger
from policies.answers.plain_values import to_plain
from policies.answers.runs import ENDED
from policies.budget.accountant import GaussianSteps, epsilon_spent
from policies.contracts.inputs import Ticket
from policies.contracts.weights import canonical_bytes
from policies.errors import RequestDenied, RequestPending, RoundRefused, RunLost
from policies.ledger.receipt import verify
from policies.ledger.reservations import NOTHING_LEFT
from researcher.hospitals.federation import Federation
from researcher.studies.retry_policy import RetryPolicy
from researcher.studies.study import Study


def _approve(study: Study, hospitals: dict[str, Hospital], *names: str) -> None:
    for name in names or study.requests:
        hospitals[name].admin("approve", study.requests[name].request_id)


def _initial(study: Study, seed: int = 0) -> dict[str, np.ndarray]:
    from datasites.training.models import initial_weights

    return initial_weights(study.plan.model, seed)


def _ask(study: Study, name: str, round_index: int, weights: bytes | None = None) -> dict[str, Any]:
    hospital = study.federation.hospitals[name]
    digest = hospital.routes.put_blob(weights or canonical_bytes(_initial(study)))
    answer = hospital.ask(study.plan.dataset, study.requests[name], Ticket(round_index, digest))
    return dict(to_plain(answer))


def _entries(hospital: Hospital) -> Any:
    return open_ledger(StateFolder(hospital.state)).entries()


def _finished(study: Study, name: str, round_index: int) -> dict[str, Any]:
    routes, request = study.federation.hospitals[name].routes, study.requests[name]

    def ended() -> dict[str, Any] | None:
        run = routes.run(request.request_id, round_index, wait_seconds=1.0)
        return to_plain(run) if run.state in ENDED else None

    return dict(wait_for(ended))


def test_two_rounds_at_two_hospitals_teach_the_global_model(
    hospitals: dict[str, Hospital], federation: Federation, hold_out: Any, tmp_path: Path
) -> None:
    plan = small_plan(federation, study="teaches", learning_rate=1.0, steps_per_round=5)
    study = Study.submit(federation, plan, tmp_path)
    assert set(study.decisions().values()) == {("pending", "")}
    _approve(study, hospitals)
    before = hospitals["north"].ledger_entries()

    state, history = study.run(hold_out=hold_out, initial_weights=_initial(study))

    assert state.round == len(history) == 2
    assert all(record.datasites == ("north", "south") for record in history.records)
    assert history.records[-1].bytes_up > 0 and history.records[-1].bytes_down > 0
    privacy = plan.privacy
    assert privacy is not None
    for done, record in enumerate(history.records, start=1):
        steps = GaussianSteps(privacy.noise_multiplier, plan.sample_rate, done * plan.steps_per_round)
        expected = epsilon_spent([steps], privacy.delta)
        assert record.epsilon == pytest.approx({"north": expected, "south": expected})
    assert hospitals["north"].ledger_entries() == before + 4


def test_each_hospital_ran_one_canary_that_its_ledger_does_not_know(
    federation: Federation, hospitals: dict[str, Hospital], tmp_path: Path, hold_out: Any
) -> None:
    study = Study.submit(federation, small_plan(federation, study="canary"), tmp_path / "study")
    _approve(study, hospitals)
    for _ in range(2):
        study.run(hold_out=hold_out, initial_weights=_initial(study), rounds=1)
    for name, request in study.requests.items():
        passed = [event for event in hospitals[name].events("canary passed") if event["request"] == request.request_id]
        started = [event for event in hospitals[name].events("run started") if event["request"] == request.request_id]
        assert (len(passed), len(started)) == (1, 1)


def test_a_finished_round_is_handed_out_again_and_spends_once(
    hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path
) -> None:
    study = Study.submit(north_only, small_plan(north_only, study="again"), tmp_path)
    _approve(study, hospitals)
    _ask(study, "north", 0)
    first = _finished(study, "north", 0)
    entries = hospitals["north"].ledger_entries()
    assert _ask(study, "north", 0)["update"] == first["update"]
    assert hospitals["north"].ledger_entries() == entries
    with pytest.raises(RoundRefused, match="other weights"):
        _ask(study, "north", 0, canonical_bytes(_initial(study, seed=5)))


def test_a_round_before_the_decision_is_refused_and_runs_nothing(
    hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path
) -> None:
    study = Study.submit(north_only, small_plan(north_only, study="early"), tmp_path)
    entries = hospitals["north"].ledger_entries()
    with pytest.raises(RequestPending):
        _ask(study, "north", 0)
    assert hospitals["north"].ledger_entries() == entries
    assert not [run for run in hospitals["north"].admin_json("runs") if run["request_id"] in str(study.requests)]


def test_a_denied_request_tells_its_reason_and_leaves_the_ledger_unchanged(
    hospitals: dict[str, Hospital], north_only: Federation, hold_out: Any, tmp_path: Path
) -> None:
    study = Study.submit(north_only, small_plan(north_only, study="denied"), tmp_path)
    entries = hospitals["north"].ledger_entries()
    hospitals["north"].admin("deny", study.requests["north"].request_id, "--reason", "Ask the ethics board first.")
    assert study.decisions() == {"north": ("denied", "Ask the ethics board first.")}
    with pytest.raises(RequestDenied, match="ethics board"):
        _ask(study, "north", 0)
    with pytest.raises(RequestDenied, match="min_clients"):
        study.run(hold_out=hold_out, initial_weights=_initial(study), min_clients=1)
    assert hospitals["north"].ledger_entries() == entries
    late = hospitals["north"].admin("approve", study.requests["north"].request_id, check=False)
    assert late.returncode == 1 and "WW403" in late.stderr


def test_a_study_goes_on_without_a_hospital_that_denied_it(
    hospitals: dict[str, Hospital], federation: Federation, hold_out: Any, tmp_path: Path
) -> None:
    study = Study.submit(federation, small_plan(federation, study="partly"), tmp_path)
    _approve(study, hospitals, "north")
    hospitals["south"].admin("deny", study.requests["south"].request_id, "--reason", "Not this month.")
    with pytest.raises(RequestDenied, match="of the 2 hospitals that min_clients asks for"):
        study.run(hold_out=hold_out, initial_weights=_initial(study), min_clients=2)
    _, history = study.run(hold_out=hold_out, initial_weights=_initial(study), min_clients=1, rounds=1)
    assert history.records[0].datasites == ("north",)
    assert history.records[0].skipped == {"south": "denied: Not this month."}


def test_a_round_beyond_the_approved_number_is_refused(
    hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path
) -> None:
    study = Study.submit(north_only, small_plan(north_only, study="beyond"), tmp_path)
    _approve(study, hospitals)
    with pytest.raises(RoundRefused, match="rounds 1 to 2"):
        _ask(study, "north", 2)


def test_a_datasite_killed_within_one_study_and_between_rounds_of_another_goes_on_with_both(
    hospitals: dict[str, Hospital], federation: Federation, north_only: Federation, hold_out: Any, tmp_path: Path
) -> None:
    """Killed in the middle of a round, it finishes that after its restart; the round charged is charged once."""
    between = Study.submit(federation, small_plan(federation, study="restarted"), tmp_path / "between")
    _approve(between, hospitals)
    between.run(hold_out=hold_out, initial_weights=_initial(between), rounds=1)
    plan = small_plan(north_only, study="interrupted", steps_per_round=1500, rounds=1)
    study = Study.submit(north_only, plan, tmp_path / "within")
    _approve(study, hospitals)
    _ask(study, "north", 0)
    routes, request_id = north_only.hospitals["north"].routes, study.requests["north"].request_id
    wait_for(lambda: [event for event in hospitals["north"].events("run started") if event["request"] == request_id])
    hospitals["north"].stop(signal.SIGKILL)
    hospitals["north"].start(forked=True)
    hospitals["north"].wait_until_ready()
    assert routes.run(request_id, 0).state in ("queued", "running")
    with pytest.raises(RoundRefused, match="other weights"):
        _ask(study, "north", 0, canonical_bytes(_initial(study, seed=5)))
    routes.cancel(request_id, 0)
    kinds = [entry.kind for entry in _entries(hospitals["north"]) if entry.request_id == request_id]
    assert kinds == ["reserve", "start", "commit"], "it ran twice and is charged once"

    _, history = between.run(hold_out=hold_out, initial_weights={})

    assert [record.datasites for record in history.records] == [("north", "south")] * 2


def test_a_killed_runner_loses_its_round_which_the_receipt_states_and_the_study_goes_on(
    hospitals: dict[str, Hospital], north_only: Federation, hold_out: Any, tmp_path: Path
) -> None:
    plan = small_plan(north_only, study="killed", steps_per_round=400)
    study = Study.submit(north_only, plan, tmp_path)
    _approve(study, hospitals)
    run = _ask(study, "north", 0)["run"]

    def started() -> list[int]:
        return [event["pid"] for event in hospitals["north"].events("run started") if event["run"] == run]

    os.kill(wait_for(started)[0], signal.SIGKILL)
    lost = _finished(study, "north", 0)
    assert (lost["state"], lost["code"]) == ("failed", RunLost.code)
    assert "nothing left it" in lost["reason"] and "is not run again" in lost["reason"]
    assert _ask(study, "north", 0)["state"] == "failed"
    with pytest.raises(RoundRefused, match="other weights"):
        _ask(study, "north", 0, canonical_bytes(_initial(study, seed=5)))

    state, history = study.run(hold_out=hold_out, initial_weights=_initial(study), min_clients=1)

    assert state.round == 2
    assert [record.datasites for record in history.records] == [(), ("north",)]
    assert history.records[0].skipped["north"].startswith(RunLost.code)
    assert history.records[0].epsilon == {"north": pytest.approx(lost["epsilon_spent"])}
    (written,) = study.receipts(tmp_path)
    receipt = verify(written.read_text(), north_only.hospitals["north"].public_key)
    assert [entry.update_digest == NOTHING_LEFT for entry in receipt.rounds] == [True, False]
    assert receipt.epsilon == pytest.approx(history.records[1].epsilon["north"])


def test_a_cancelled_run_ends_at_once_and_stays_charged(
    hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path
) -> None:
    plan = small_plan(north_only, study="cancelled", steps_per_round=1500, rounds=1)
    study = Study.submit(north_only, plan, tmp_path)
    _approve(study, hospitals)
    run = _ask(study, "north", 0)["run"]
    events = wait_for(lambda: [e for e in hospitals["north"].events("run started") if e["run"] == run])
    hospitals["north"].admin("cancel", run)
    ended = _finished(study, "north", 0)
    assert (ended["state"], ended["code"]) == ("cancelled", RunLost.code)
    wait_for(lambda: not Path(f"/proc/{events[0]['pid']}").exists())
    assert [entry.kind for entry in _entries(hospitals["north"])][-2:] == ["start", "commit"]


def test_a_study_that_too_few_hospitals_can_begin_changes_nothing(
    hospitals: dict[str, Hospital],
    federation: Federation,
    hold_out: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = Study.submit(federation, small_plan(federation, study="too-few"), tmp_path)
    _approve(study, hospitals)
    hospitals["south"].admin("end", study.requests["south"].request_id, "--reason", "The scanner is being replaced.")
    retry_policy = RetryPolicy(attempts=1, unreachable_seconds=1)
    monkeypatch.setattr(study, "_told", lambda name: ("approved", ""))  # as it was before south ended it
    with pytest.raises(RequestDenied, match="scanner"):
        study.run(hold_out=hold_out, initial_weights=_initial(study), retry_policy=retry_policy)
    assert not (tmp_path / "state.json").exists()
