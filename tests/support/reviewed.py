"""Requests to review, with real books and stores and without PySyft's server: three datasets, one study approved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from support.array_store import SourcePictures, ingest
from support.books import make_state
from support.governed import Calculator

from datasites.approvals.approvals import Approvals
from datasites.assets.published import PublishedDataset
from datasites.assets.store import open_store
from datasites.audit_log.counted_events import CountedEvents
from datasites.code_requests.books import Books
from datasites.code_requests.calculator import DeclaredShapes
from datasites.code_requests.canonical import CanonicalRequest
from datasites.code_requests.cards import make_card
from datasites.code_requests.decided import decision_on
from datasites.code_requests.limits.hospital_limits import HospitalLimits
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.rehearsal.rehearsals import Rehearsals
from datasites.review.review import Review
from datasites.review.reviewing import reviewed
from datasites.state.kept_books import open_audit, open_ledger
from policies.budget.accountant import epsilon_spent, plan_spend
from policies.plans.features import FEATURES_MODEL, FeatureSpec
from policies.plans.kinds import Plan
from policies.plans.plan_json import canonical_json, sha256_text
from policies.plans.releases import GramPlan, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

ADA, BOB = "ada@example.org", "bob@example.org"
SHAPE, SIZE = (8, 8, 1), 200
MODEL = ModelSpec("small_cnn", SHAPE, 2, {"width": 8})
WEIGHTS = FeatureSpec("resnet18", "a" * 64)
PRIVACY = PrivacySpec(3.0, 1.0, 1e-5, "picture")
PLAN = TrainingPlan("pneumonia", "pictures", MODEL, 10, 2, 0.1, 0.5, privacy=PRIVACY)
ON_FEATURES = replace(PLAN, study="head", model=ModelSpec(FEATURES_MODEL, SHAPE, 2, WEIGHTS.options))


class Reckoner(Calculator):
    """Sums as they are, and one array for each model, as large as its options say."""

    epsilon_spent = staticmethod(epsilon_spent)

    def shapes(self, plan: Plan) -> DeclaredShapes:
        if isinstance(plan, StatisticsPlan | GramPlan):
            return DeclaredShapes({}, plan.outputs)
        inputs = {"w": (int(plan.model.options.get("width", 4)), 3)}
        return DeclaredShapes(inputs, inputs if isinstance(plan, TrainingPlan) else plan.outputs)


@dataclass
class Reviewed:
    """The books of one datasite, and its datasets."""

    state: StateFolder
    books: Books
    datasets: dict[str, PublishedDataset]
    asked: dict[str, CanonicalRequest] = field(default_factory=dict)

    def request(self, plan: Plan, *, by: str = ADA, name: str = "") -> str:
        """Takes a request in; returns its identifier."""
        request_id = sha256_text(name or f"{plan.to_json()}{by}")[:32]
        dataset, digest = self.datasets[plan.dataset], sha256_text(plan.to_json() + by)
        self.asked[request_id] = CanonicalRequest(request_id, f"code{request_id}", "e" * 64, by, plan, dataset, digest)
        return request_id

    def approve(self, request_id: str, *, by: str = "grace") -> None:
        """What an approval leaves in ledger and decisions."""
        checked = self.asked[request_id]
        plan, manifest = checked.plan, checked.dataset.manifest
        self.books.ledger.reserve(
            fingerprint=manifest.budget_key,
            dataset=manifest.name,
            request_id=request_id,
            study=plan.study,
            researcher=checked.researcher,
            plan_digest=plan.digest(),
            spend=plan_spend(plan),
            rounds=plan.rounds,
            limits=self.books.limits.current,
            dataset_version=manifest.dataset_version,
        )
        shapes = canonical_json(asdict(self.books.calculator.shapes(plan)))
        at = "2026-11-27T11:00:00+00:00"
        self.books.approvals.record(decision_on(checked, "approved", by=by, reason="", shapes=shapes, at=at))

    def review(self, request_id: str) -> Review:
        """The review of a request as it stands."""
        checked = self.asked[request_id]
        request: Any = SimpleNamespace(
            id=request_id, requesting_user_email=checked.researcher, request_time="2026-11-26 10:00:00"
        )
        reader: Any = SimpleNamespace(read=lambda request, version: checked)
        card = make_card(request, reader, self.books)
        return reviewed(card, checked, self.books, enrolled_since="2026-10-01T00:00:00+00:00")

    def topics(self, plan: Plan, *, by: str = ADA) -> list[str]:
        """What the review of a new request finds against it."""
        found = self.review(self.request(plan, by=by))
        return [*(one.topic for one in found.findings), *(one.field for one in found.unusual)]


def _dataset(folder: Path, name: str, *, patients: int, unit: str, seed: int) -> PublishedDataset:
    drawn = np.random.default_rng(seed)
    images = drawn.integers(0, 256, (60, *SHAPE), dtype=np.uint8)
    of = tuple(f"p{index % patients}" for index in range(60)) if patients else None
    source = SourcePictures(images, np.arange(60) % 2, ("absent", "present"), of)
    ingest(source, folder / name, name=name, unit=unit, public_size=SIZE, min_public_size=20)
    return PublishedDataset(open_store(folder / name).manifest, folder / name, f"asset-{name}")


@contextmanager
def reviewed_datasite(folder: Path, pictures: Path) -> Iterator[Reviewed]:
    """Datasets: `pictures` of nobody known; `series`, two of each patient, unit picture; `wards`, unit patient."""
    state = make_state(folder / "north", pictures)
    audit = open_audit(state)
    calculator: Any = Reckoner()
    books = Books(
        limits=HospitalLimits(state, DatasiteConfig.from_toml(state.config), audit),
        approvals=Approvals(state.approvals),
        ledger=open_ledger(state),
        calculator=calculator,
        audit=audit,
        counted=CountedEvents(audit),
        rehearsals=Rehearsals(state.rehearsals),
    )
    made = {
        name: _dataset(folder, name, patients=patients, unit=unit, seed=seed)
        for seed, (name, patients, unit) in enumerate(
            (("pictures", 0, "picture"), ("series", 30, "picture"), ("wards", 30, "patient"))
        )
    }
    for dataset in made.values():
        kept = dataset.store / "features" / WEIGHTS.key
        kept.mkdir(parents=True)
        record = {"features": asdict(WEIGHTS), "fingerprint": "", "rows_digest": "", "sha256": ""}
        (kept / "features.json").write_text(json.dumps(record))
    try:
        yield Reviewed(state, books, made)
    finally:
        books.approvals.close()
