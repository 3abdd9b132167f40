"""A small state folder with real books in it: two studies approved, rounds charged, a queue, blobs, a store."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from support.array_store import ingest, listed

from datasites.approvals.approvals import Approvals, Decision
from datasites.audit_log.ledger_witness import head_of
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.prepare import write_config
from datasites.runs.queue import RunQueue
from datasites.sources.dataset_settings import DatasetSettings
from datasites.state.kept_books import open_audit, open_ledger
from datasites.state.version import write_version
from policies.budget.accountant import GaussianSteps
from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.ledger.ledger import Ledger
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan, canonical_json

LIMITS = DatasetLimits(PrivacyBudget(8.0, 1e-5))
FINGERPRINT, ACCOUNT = "a" * 64, "e" * 64
MODEL = ModelSpec("linear", (8, 8, 1), 2)
PLAN = TrainingPlan("pneumonia", "pictures", MODEL, 4, 1, 0.1, 0.5, privacy=PrivacySpec(1.0, 1.0, 1e-5, "picture"))


def tenth_a_step(history: object, delta: float) -> float:
    """An accountant to check by hand: epsilon 0.1 a step."""
    return sum(part.steps for part in history) / 10  # type: ignore[attr-defined]


def ledger_of(state: StateFolder) -> Ledger:
    return open_ledger(state, tenth_a_step)


def make_state(folder: Path, pictures: Path) -> StateFolder:
    """A state folder whose datasite ran once and stopped."""
    state = StateFolder(folder)
    config = DatasiteConfig(name="north", dataset=DatasetSettings(data_path=str(pictures), site="north"))
    write_config(state, config)
    ingest(listed(pictures, site="north"), state.store / "pictures", name="pictures")
    open_audit(state).write("datasite started")
    (state.logs / "datasite.log").write_text("a line")
    return state


def approve(state: StateFolder, request: str, *, steps: int = 4, rounds: int = 4, study: str = "pneumonia") -> None:
    """What an approval leaves in the books."""
    ledger, plan = ledger_of(state), replace(PLAN, study=study, rounds=rounds)
    held = ledger.reserve(
        fingerprint=FINGERPRINT,
        dataset="pictures",
        request_id=request,
        study=study,
        researcher="ada@example.org",
        plan_digest=plan.digest(),
        spend=(GaussianSteps(1.0, 0.1, steps),),
        rounds=rounds,
        limits=LIMITS,
    )
    open_audit(state).write(
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
            plan=plan.to_json(),
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
    named: dict[str, str | int] = {"run": run.id, "request": request, "round": index}
    open_audit(state).write("run done", **named, update=digests[1], **head_of(ledger))
    queue.finish(run.id, digests[1])
    queue.close()
    return digests[1]


def as_before_seals(state: StateFolder) -> StateFolder:
    """The same folder as a program of state version 1 left it: no head sealed, no word of the books in the identity."""
    count, digest = ledger_of(state).head()
    state.ledger.with_suffix(".head").write_text(canonical_json({"count": count, "hash": digest}))
    state.audit.with_suffix(".head").unlink()
    (state.identity / "books.json").unlink()
    identity = json.loads((state.identity / "datasite.json").read_text())
    del identity["books"]
    (state.identity / "datasite.json").write_text(json.dumps(identity))
    write_version(state.path, 1)
    return state
