"""Encoded weights and updates at real datasites: what the study learns, what travels, what the ledger names."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import Hospital, small_plan

from policies.contracts.encodings import ENCODINGS, encode
from policies.contracts.inputs import Ticket
from policies.contracts.weights import canonical_bytes
from policies.errors import InputRefused
from researcher.hospitals.federation import Federation
from researcher.studies.study import Study

MEGABYTES_MOVED = 100
MOST_GROWTH_MB = 50


def _study(federation: Federation, folder: Path, name: str, **changes: Any) -> tuple[Study, dict[str, np.ndarray]]:
    from datasites.training.models import initial_weights

    plan = small_plan(federation, study=name, **changes)
    return Study.submit(federation, plan, folder), initial_weights(plan.model, 0)


def test_a_study_in_eight_bits_runs_its_rounds_and_a_quarter_of_the_bytes_travels(
    hospitals: dict[str, Hospital], federation: Federation, hold_out: Any, tmp_path: Path
) -> None:
    study, weights = _study(federation, tmp_path, "eight-bits", weights_encoding="int8", update_encoding="int8")
    for name, request in study.requests.items():
        hospitals[name].admin("approve", request.request_id)
    state, history = study.run(hold_out=hold_out, initial_weights=weights)
    assert [record.datasites for record in history.records] == [("north", "south")] * 2
    encoded = len(encode(weights, "int8", seed=b""))
    assert encoded < 0.5 * len(canonical_bytes(weights))
    assert {(record.bytes_up, record.bytes_down) for record in history.records} == {(2 * encoded, 2 * encoded)}
    assert all(np.isfinite(array).all() for array in state.weights.values())
    assert any((state.weights[name] != weights[name]).any() for name in weights)


def test_ledger_and_receipt_name_the_bytes_that_left(
    hospitals: dict[str, Hospital], north_only: Federation, hold_out: Any, tmp_path: Path
) -> None:
    study, weights = _study(north_only, tmp_path, "digests", update_encoding="int8", rounds=1)
    hospitals["north"].admin("approve", study.requests["north"].request_id)
    study.run(hold_out=hold_out, initial_weights=weights, min_clients=1)
    routes, request = north_only.hospitals["north"].routes, study.requests["north"]
    update = routes.run(request.request_id, 0).update
    file = tmp_path / "update"
    routes.get_blob(update, file, max_bytes=1 << 20)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == update
    assert len(file.read_bytes()) == len(encode(weights, "int8", seed=b""))
    receipt = json.loads(routes.receipt(request.request_id))["receipt"]
    assert [entry["update_digest"] for entry in receipt["rounds"]] == [update]


@pytest.mark.parametrize("declared", ["none", "int8"])
def test_weights_in_another_encoding_than_the_plan_declares_are_refused(
    hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path, declared: str
) -> None:
    study, weights = _study(north_only, tmp_path, f"other-than-{declared}", weights_encoding=declared)
    hospitals["north"].admin("approve", study.requests["north"].request_id)
    north, entries = north_only.hospitals["north"], hospitals["north"].ledger_entries()
    for other in set(ENCODINGS) - {declared}:
        digest = north.routes.put_blob(encode(weights, other, seed=b""))
        with pytest.raises(InputRefused):
            north.ask("pictures", study.requests["north"], Ticket(0, digest))
    assert hospitals["north"].ledger_entries() == entries


def test_a_datasite_stays_small_while_large_blobs_pass(
    hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path
) -> None:
    process = hospitals["north"].process
    assert process is not None
    content = np.random.default_rng(0).bytes(MEGABYTES_MOVED * 1_000_000)
    routes = north_only.hospitals["north"].routes
    routes.put_blob(content[:1_000_000])
    status = Path(f"/proc/{process.pid}/status")
    before = _field(status, "VmRSS")
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # forgets the peak: proc(5)
    digest = routes.put_blob(content)
    assert routes.get_blob(digest, tmp_path / "blob", max_bytes=len(content)) == len(content)
    assert _field(status, "VmHWM") - before < MOST_GROWTH_MB


def _field(status: Path, name: str) -> float:
    """Megabytes."""
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024 / 1e6
