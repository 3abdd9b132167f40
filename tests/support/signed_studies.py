"""A study's folder as `train` leaves it, made without a hospital: a small model, its sidecar and signed receipts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from policies.budget.accountant import epsilon_spent, plan_spend, round_spend
from policies.ledger.receipt import Receipt, RoundEntry, public_key, sign
from policies.plans.features import FeatureSpec, width_of
from policies.plans.picture_form import PictureForm
from policies.plans.plan_json import sha256_text
from policies.plans.releases import GramPlan, ReleaseSpec
from policies.plans.training import ModelSpec, PrivacySpec, ServerSpec, TrainingPlan
from researcher.counts.kept_gram import KeptGram
from researcher.strategies import released_digest
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
    over = spend.allocated_over if spend else 0
    entries = tuple(RoundEntry(at, *counted, sha256_text(f"{name} {at}"), over) for at in range(rounds))
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


HEAD = ModelSpec("features", (28, 28, 3), 2, FeatureSpec("vit_small_patch16_224", "a" * 64).options)
BY_A_GRAM = replace(PLAN, model=HEAD, server=ServerSpec("dp_fc", 8.0, server_ridge=90.0))
GRAM = GramPlan("cells", "blood-cells", HEAD, ReleaseSpec(2.0, 1e-6, "patient"))


def gram_arrays(name: str, plan: GramPlan = GRAM) -> dict[str, np.ndarray]:
    """What a hospital released on the request for it."""
    draw = np.random.default_rng(list(f"{name} {plan.privacy.noise_multiplier}".encode())).standard_normal
    return {output: draw(shape).astype(np.float32) for output, shape in plan.outputs.items()}


def signed_gram(name: str, plan: GramPlan = GRAM, **changes: object) -> Receipt:
    """A hospital's receipt of a Gram matrix."""
    (spend,) = plan_spend(plan)
    left = released_digest(gram_arrays(name, plan))
    entry = RoundEntry(0, spend.noise_multiplier, spend.sample_rate, spend.steps, left)
    values = {"request_id": f"{name}-gram", "study": plan.study, "dataset": plan.dataset, "unit": plan.privacy.unit}
    values |= {"plan": json.loads(plan.to_json()), "plan_digest": plan.digest(), "delta": plan.privacy.delta}
    values |= {"rounds": (entry,), "epsilon": epsilon_spent([spend], plan.privacy.delta)}
    return replace(signed(name), **{**values, **changes})


def write_receipt(study: Path, receipt: Receipt, seed: bytes | None = None, folder: str = "receipts") -> Path:
    """Puts a receipt and its key where `receipts` puts them, or into another folder of the study."""
    seed = seed or SEEDS.get(receipt.datasite) or sha256(receipt.datasite.encode()).digest()
    return _write(study / folder, receipt, seed)


def _write(folder: Path, receipt: Receipt, seed: bytes) -> Path:
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
    _write_model(folder, plan, rounds, {name: (one.epsilon, one.delta) for name, one in receipts.items()})
    return folder


def write_few_rounds(folder: Path) -> Path:
    """Writes a study that steps by a Gram matrix of both hospitals, and of one that trained in no round."""
    write_study(folder, BY_A_GRAM)
    spends = {}
    for name, dataset in (("north", "blood-cells"), ("south", "smears"), ("west", "blood-cells")):
        receipt = signed_gram(name, replace(GRAM, dataset=dataset))
        write_receipt(folder, receipt, folder="gram_receipts")
        spends[name] = receipt.spend
    steps, delta = signed("north", BY_A_GRAM).spend, PRIVACY.delta
    costs = {name: (epsilon_spent((*steps, *spends[name]), delta), delta) for name in ("north", "south")}
    kept_gram(spends).save(folder)
    _write_model(folder, BY_A_GRAM, ROUNDS, costs, kept_gram(spends).digests)
    return folder


def kept_gram(names: Iterable[str], plan: GramPlan = GRAM) -> KeptGram:
    """The matrix of these hospitals, as a folder keeps it."""
    arrays = {name: gram_arrays(name, plan) for name in names}
    return KeptGram(plan, arrays, dict.fromkeys(arrays, 100), dict.fromkeys(arrays, 1.0))


def _write_model(
    folder: Path,
    plan: TrainingPlan,
    rounds: int,
    costs: Mapping[str, tuple[float | None, float | None]],
    gram: Mapping[str, str] | None = None,
) -> None:
    privacy = {
        name: PrivacySpent(epsilon, delta, plan.privacy.unit) if plan.privacy and epsilon and delta else None
        for name, (epsilon, delta) in costs.items()
    }
    inputs = 64 if plan.model == MODEL else width_of(plan.model)
    weights = {"weight": np.ones((2, inputs or 1), np.float32), "bias": np.zeros(2, np.float32)}
    height, width, channels = plan.model.image_shape
    form = PictureForm((height, width), channels, resize="fit")
    checkpoint = Checkpoint(weights, plan.model, rounds, CLASSES, plan.digest(), privacy, form, "microscopy", gram)
    save_model(folder / "global_model.safetensors", checkpoint)
