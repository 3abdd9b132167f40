"""A small state folder with real books in it: two studies approved, rounds charged, a queue, blobs, a store."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from datasites.approvals import Approvals, Decision
from datasites.assets.ingestion import ingest
from datasites.assets.sources import read_source
from datasites.audit import AuditLog
from datasites.config import DatasiteConfig
from datasites.identity import StateFolder
from datasites.ledger_witness import head_of
from datasites.prepare import write_config
from datasites.runs.queue import RunQueue
from policies.accountant import GaussianSteps
from policies.budget import DatasetLimits, PrivacyBudget
from policies.ledger import Ledger
from policies.plan import canonical_json

LIMITS = DatasetLimits(PrivacyBudget(8.0, 1e-5))
FINGERPRINT, ACCOUNT = "a" * 64, "e" * 64


def tenth_a_step(history: object, delta: float) -> float:
    """An accountant to check by hand: epsilon 0.1 a step."""
    return sum(part.steps for part in history) / 10  # type: ignore[attr-defined]


def ledger_of(state: StateFolder) -> Ledger:
    return Ledger(state.ledger, tenth_a_step)


def make_state(folder: Path, pictures: Path) -> StateFolder:
    """A state folder whose datasite ran once and stopped."""
    state = StateFolder(folder)
    config = DatasiteConfig(name="north", data_path=str(pictures), site="north")
    write_config(state, config)
    ingest(read_source(pictures, site="north"), state.store / "pictures", name="pictures")
    AuditLog(state.audit).write("datasite started")
    (state.logs / "datasite.log").write_text("a line")
    return state


def approve(state: StateFolder, request: str, *, steps: int = 4, rounds: int = 4, study: str = "pneumonia") -> None:
    """What an approval leaves in the books."""
    ledger = ledger_of(state)
    held = ledger.reserve(
        fingerprint=FINGERPRINT,
        dataset="pictures",
        request_id=request,
        study=study,
        researcher="ada@example.org",
        plan_digest="c" * 64,
        spend=(GaussianSteps(1.0, 0.1, steps),),
        rounds=rounds,
        limits=LIMITS,
    )
    AuditLog(state.audit).write(
        "request approved",
        request=request,
        fingerprint=FINGERPRINT,
        reserved=canonical_json(held.body()),
        **head_of(ledger),
    )
    approvals = Approvals(state.approvals)
    shapes = json.dumps({"inputs": {}, "outputs": {}})
    now = "2026-11-23T11:00:00+00:00"
    people = {"researcher": "ada@example.org", "decided_by": "admin@north.org", "decided_at": now}
    approvals.record(
        Decision(
            request_id=request,
            decision="approved",
            digest="d" * 64,
            code_id=f"code-{request}",
            account=ACCOUNT,
            dataset="pictures",
            fingerprint=FINGERPRINT,
            plan="{}",
            shapes=shapes,
            reason="",
            **people,
        )
    )
    approvals.close()


def run_round(state: StateFolder, request: str, index: int, *, steps: int = 1) -> str:
    """What a finished round leaves in the books; returns its update's digest."""
    contents = [f"{what} of {request} round {index}".encode() for what in ("weights", "update")]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    folder = state.blobs / ACCOUNT[:32]
    folder.mkdir(exist_ok=True)
    for digest, content in zip(digests, contents, strict=True):
        (folder / digest).write_bytes(content)
    queue = RunQueue(state.runs)
    queue.enqueue(request_id=request, round_index=index, account=ACCOUNT, weights=digests[0])
    run = queue.take(queue.waiting()[0].id)
    assert run
    ledger = ledger_of(state)
    spend = GaussianSteps(1.0, 0.1, steps)
    ledger.start(request_id=request, round_index=index, spend=spend, weights_digest=digests[0])
    ledger.commit(request_id=request, round_index=index, update_digest=digests[1])
    AuditLog(state.audit).write("run done", request=request, round=index, update=digests[1], **head_of(ledger))
    queue.finish(run.id, digests[1])
    queue.close()
    return digests[1]
