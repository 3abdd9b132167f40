"""A study's folder as `train` leaves it, made without a hospital: a small model, its sidecar and signed receipts."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from policies.budget.accountant import epsilon_spent, round_spend
from policies.ledger.receipt import Receipt, RoundEntry, public_key, sign
from policies.plans.plan_json import sha256_text
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.studies.checkpoints import Checkpoint, save_model
from researcher.studies.history import PrivacySpent

MODEL = ModelSpec("linear", (8, 8, 1), 2)
PRIVACY = PrivacySpec(4.0, 1.0, 1e-5, "patient")
PLAN = TrainingPlan("cells", "blood-cells", MODEL, 3, 10, 0.1, 0.5, privacy=PRIVACY)
CLASSES = ("red", "white")
SEEDS = {name: sha256(name.encode()).digest() for name in ("north", "south")}
ROUNDS = 2


def signed(name: str, plan: TrainingPlan = PLAN, rounds: int = ROUNDS, **changes: object) -> Receipt:
    """A hospital's receipt of so many rounds of a plan."""
    spend = round_spend(plan)
    counted = (spend.noise_multiplier, spend.sample_rate, spend.steps) if spend else (None, None, None)
    entries = tuple(RoundEntry(at, *counted, sha256_text(f"{name} {at}")) for at in range(rounds))
    delta = plan.privacy.delta if plan.privacy else None
    spent = [entry.spend for entry in entries if entry.spend]
    values = {
        **{"datasite": name, "request_id": f"{name}-1", "study": plan.study, "researcher": "ada@university.org"},
        **{"dataset": plan.dataset, "dataset_mark": sha256_text(name)},
        "unit": plan.privacy.unit if plan.privacy else "patient",
        **{"plan": json.loads(plan.to_json()), "plan_digest": plan.digest(), "approver": "Grace Hopper"},
        **{"approved_at": "2026-05-01T09:00:00+00:00", "approval_digest": "a" * 64, "rounds": entries},
        **{"epsilon": epsilon_spent(spent, delta) if delta else None, "delta": delta, "state": "ended"},
        **{"versions": {"wanwu": "0.1.0", "python": "3.11.9"}, "audit_head": "b" * 64},
        "issued_at": "2026-05-02T09:00:00+00:00",
    }
    return Receipt(**{**values, **changes})  # type: ignore[arg-type]


def write_receipt(study: Path, receipt: Receipt, seed: bytes | None = None) -> Path:
    """Puts a receipt and its key where `receipts` puts them."""
    folder, seed = study / "receipts", seed or SEEDS[receipt.datasite]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{receipt.datasite}.key").write_text(public_key(seed) + "\n")
    file = folder / f"{receipt.datasite}.receipt.json"
    file.write_text(sign(receipt, seed))
    return file


def write_study(folder: Path, plan: TrainingPlan = PLAN, rounds: int = ROUNDS) -> Path:
    """Writes model, sidecar and receipts of two hospitals; the second has the dataset under another name."""
    plans = {"north": plan, "south": replace(plan, dataset="smears")}
    receipts = {name: signed(name, one, rounds) for name, one in plans.items()}
    for one in receipts.values():
        write_receipt(folder, one)
    privacy = {
        name: PrivacySpent(one.epsilon, one.delta, one.unit) if one.epsilon is not None and one.delta else None
        for name, one in receipts.items()
    }
    weights = {"weight": np.ones((2, 64), np.float32), "bias": np.zeros(2, np.float32)}
    save_model(folder / "global_model.safetensors", Checkpoint(weights, MODEL, rounds, CLASSES, plan.digest(), privacy))
    return folder
