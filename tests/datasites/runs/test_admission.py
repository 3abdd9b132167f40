"""A round that is asked for again is answered again, and written down once."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.open_files import room_for_files

from datasites.runs import admission
from datasites.runs.queue import RunQueue
from policies.contracts.inputs import Ticket
from policies.contracts.weights import canonical_bytes
from policies.errors import InputRefused, StorageUnavailable


def test_only_what_queues_a_round_is_in_the_audit_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "check_weights_file", lambda *_, **__: None)
    plan = SimpleNamespace(rounds=3, weights_encoding="none", update_encoding="none", to_json=lambda: "{}")
    approval: Any = SimpleNamespace(plan=plan, account="a", request_id="r", inputs={}, outputs={})
    events: list[str] = []
    fakes: Any = {
        "blobs": SimpleNamespace(path=lambda *_: tmp_path, check_room=lambda *_: None),
        "ledger": SimpleNamespace(reservations=dict, path=tmp_path / "ledger.jsonl"),
        "audit": SimpleNamespace(write=lambda event, **_: events.append(event)),
    }
    with contextlib.closing(RunQueue(tmp_path / "runs.sqlite")) as queue:
        admit = admission.Admission(queue=queue, max_update_bytes=1000, **fakes)
        ticket = Ticket(0, "0" * 64).to_text()
        runs = {admit(approval, "{}", ticket).run for _ in range(50)}
        assert (len(runs), events) == (1, ["round asked for"])
        queue.fail(runs.pop(), code="WW501", reason="")
        admit(approval, "{}", ticket)
        admit(approval, "{}", ticket)
        assert events == ["round asked for"] * 2


def test_weights_that_cannot_be_opened_now_are_the_disks_fault_and_not_the_researchers(tmp_path: Path) -> None:
    weights = {"w": np.ones(3, np.float32)}
    file = tmp_path / "weights"
    file.write_bytes(canonical_bytes(weights))
    plan = SimpleNamespace(rounds=3, weights_encoding="none", update_encoding="none", to_json=lambda: "{}")
    plan.server = SimpleNamespace(strategy="fed_avg")
    approval: Any = SimpleNamespace(plan=plan, account="a", request_id="r", inputs={"w": (3,)}, outputs={"w": (3,)})
    fakes: Any = {
        "blobs": SimpleNamespace(path=lambda *_: file, check_room=lambda *_: None),
        "ledger": SimpleNamespace(reservations=dict, path=tmp_path / "ledger.jsonl"),
        "audit": SimpleNamespace(write=lambda event, **_: None),
    }
    with contextlib.closing(RunQueue(tmp_path / "runs.sqlite")) as queue:
        admit = admission.Admission(queue=queue, max_update_bytes=1000, **fakes)
        ticket = Ticket(0, "0" * 64).to_text()
        with room_for_files(0), pytest.raises(StorageUnavailable) as told:
            admit(approval, "{}", ticket)
        assert str(file) in told.value.private and not queue.list()
        file.unlink()
        with pytest.raises(InputRefused, match="cannot be opened"):
            admit(approval, "{}", ticket)
