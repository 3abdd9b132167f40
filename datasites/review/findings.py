"""Findings of a review: what speaks against a request, each with its reason. An ordinary request has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from datasites.assets.features import kept_features
from datasites.assets.published import PublishedDataset
from datasites.assets.read_rows import in_memory
from datasites.assets.store import open_store
from datasites.code_requests.books import Books
from datasites.code_requests.card import RequestCard
from datasites.review.contradicting import contradicting
from datasites.review.earlier import Standing
from datasites.review.misleading import misleading
from datasites.review.review import Cost, ReviewFinding
from policies.answers import rounded
from policies.answers.sentence import Sentence, said
from policies.budget.accountant import plan_spend
from policies.budget.steps import merged
from policies.ledger.budget_check import charged
from policies.plans.features import FeatureSpec
from policies.plans.plan_json import canonical_json, plain, sha256_text
from policies.plans.releases import GramPlan, StatisticsPlan
from policies.plans.training import ModelSpec

REFUSED = "It cannot be approved as it is. {reason}"
OVER_BUDGET = {
    "dataset": "It would take the dataset's budget to epsilon {after}; at most {limit} may ever be spent.",
    "researcher": "It would take this researcher's part to epsilon {after}; at most {limit} may be spent by one.",
    "study": "It would take this study to epsilon {after}; at most {limit} may be spent by one.",
}
OVER_BY_THE_FILTER = (
    "By the filter for studies chosen by earlier results it would take the dataset to {after} of {limit}."
)
DELTA_TOO_LARGE = (
    "Delta {delta} is not below 1 / {size}, the public size: one {unit} of the dataset could be handed out whole, and "
    "the promise would still be kept."
)

if TYPE_CHECKING:
    from datasites.code_requests.canonical import CanonicalRequest
OTHER_MODEL = (
    "The model is another than the one that was last approved for this study (request {request}): its digest is {now}, "
    "it was {before}."
)
OTHER_VERSION = (
    "The dataset is version {now}; the last request that was approved for this study (request {request}) reads version "
    "{before}."
)
UNIT_IS_THE_PATIENT = "The plan protects single pictures, but the dataset's privacy unit is the patient."
PATIENTS_HAVE_SEVERAL = (
    "The plan protects single pictures, but patients here have several: up to {most} of one. What the request costs "
    "is what it tells of one picture; of a patient with all pictures it tells more."
)
SAME_UNDER_ANOTHER_NAME = (
    "But for its name and its texts it is what was approved for this researcher's study {study} (request {request}). "
    "What one study may spend counts the two apart."
)
UNKNOWN_WEIGHTS = (
    "The weights {digest} are of unknown origin: this hospital has computed nothing with them, and no request that was "
    "approved here has used them."
)


def findings_of(
    card: RequestCard, checked: CanonicalRequest, books: Books, standing: Standing, cost: Cost, texts: Mapping[str, str]
) -> tuple[ReviewFinding, ...]:
    """What speaks against a request.

    Guarantees:
        A request is told of that its budgets do not hold, that states a delta of 1 / public size or more, protects
        pictures where patients have several, names weights that were never used here, has another model or dataset
        version than the last approved request of its study, or asks for the same as one of its researcher's that was
        approved for a study of another name.
    """
    found: list[tuple[str, Sentence]] = []
    if card.finding and card.state == "pending":
        found.append(("refused", said(REFUSED, reason=card.finding)))
    found += [("budget", one) for one in _over_budget(card, checked, books, standing, cost)]
    found += [("delta", one) for one in _delta(checked, books)]
    found += [("text", one) for one in misleading(texts)]
    found += [("contradiction", one) for one in contradicting(texts, checked.plan, cost.epsilon)]
    found += [("repeat", one) for one in _repeats(card, checked, standing)]
    found += _swapped(checked, books, standing)
    found += [("unit", one) for one in _unit(checked)]
    found += [("weights", one) for one in _weights(checked, standing)]
    return tuple(ReviewFinding(topic, reason) for topic, reason in found)


def model_digest(model: ModelSpec, inputs: Mapping[str, tuple[int, ...]]) -> str:
    """SHA-256 over a model, its options and the names and shapes of its weights, hexadecimal."""
    weights = {name: list(shape) for name, shape in inputs.items()}
    return sha256_text(canonical_json({"model": plain(model), "weights": weights}))


def _over_budget(
    card: RequestCard, checked: CanonicalRequest, books: Books, standing: Standing, cost: Cost
) -> Iterator[Sentence]:
    if card.state != "pending" or cost.epsilon is None:
        return
    for scope in cost.scopes:
        if scope.after > scope.limit:
            yield said(OVER_BUDGET[scope.of], after=rounded.cost(scope.after), limit=rounded.left(scope.limit))
    limits = books.limits.current
    if limits.adaptive_filter:
        held = (one for one in standing.held.values() if one.fingerprint == checked.dataset.manifest.budget_key)
        history = merged((*charged(held), *plan_spend(checked.plan)))
        after = books.calculator.filter_epsilon(history, limits.total)
        if after > limits.total.epsilon:
            yield said(OVER_BY_THE_FILTER, after=rounded.cost(after), limit=rounded.left(limits.total.epsilon))


def _delta(checked: CanonicalRequest, books: Books) -> Iterator[Sentence]:
    privacy, manifest = checked.plan.privacy, checked.dataset.manifest
    largest = max(books.limits.current.total.delta, privacy.delta) if privacy else 0.0
    if largest * manifest.public_size >= 1:
        yield said(DELTA_TOO_LARGE, delta=rounded.number(largest), size=manifest.public_size, unit=manifest.unit)


def _swapped(checked: CanonicalRequest, books: Books, standing: Standing) -> Iterator[tuple[str, Sentence]]:
    plan, version = checked.plan, checked.dataset.manifest.dataset_version
    last = standing.last_of_study(plan.study)
    if last is not None and last.held.dataset == checked.dataset.manifest.name and last.held.dataset_version != version:
        before = last.held.dataset_version
        yield "version", said(OTHER_VERSION, now=version, before=before, request=last.held.request_id)
    weightless = isinstance(plan, StatisticsPlan | GramPlan)
    with_model = None if weightless else standing.last_of_study(plan.study, with_model=True)
    if with_model is None or with_model.model is None or isinstance(plan, StatisticsPlan | GramPlan):
        return
    now = model_digest(plan.model, books.calculator.shapes(plan).inputs)
    before_digest = model_digest(with_model.model, with_model.inputs)
    if now != before_digest:
        yield "graph", said(OTHER_MODEL, now=now, before=before_digest, request=with_model.held.request_id)


def _repeats(card: RequestCard, checked: CanonicalRequest, standing: Standing) -> Iterator[Sentence]:
    """That the same was approved for the researcher under another name, which the limit of a study does not see."""
    plan = checked.plan
    alike = (card.researcher, checked.dataset.manifest.budget_key, merged(plan_spend(plan)), plan.rounds)
    for request_id, held in reversed(standing.held.items()):  # the same plan holds the same, so few plans are read
        if (held.researcher, held.fingerprint, held.spend, held.rounds) != alike or held.study == plan.study:
            continue
        earlier = standing.approved(request_id)
        if earlier and replace(earlier.plan, study=plan.study, statement=plan.statement, run=plan.run) == plan:
            yield said(SAME_UNDER_ANOTHER_NAME, study=held.study, request=request_id)
            return


def _unit(checked: CanonicalRequest) -> Iterator[Sentence]:
    privacy, dataset = checked.plan.privacy, checked.dataset
    if privacy is None or privacy.unit != "picture":
        return
    if dataset.manifest.unit != "picture":
        yield said(UNIT_IS_THE_PATIENT)
    elif (most := _most_pictures_of_a_patient(dataset)) > 1:
        yield said(PATIENTS_HAVE_SEVERAL, most=most)


def _most_pictures_of_a_patient(dataset: PublishedDataset) -> int:
    """Of the patient who has most, where pictures are the unit; 1 where the source names no patients."""
    return _counted(dataset.store, dataset.manifest.rows_digest) if dataset.manifest.has_patients else 1


@lru_cache(maxsize=32)
def _counted(store: Path, rows_digest: str) -> int:
    import numpy as np

    patients = open_store(store).patients
    if patients is None or not len(patients):
        return 1
    _, counts = np.unique(in_memory(patients).view(f"V{patients.shape[1]}"), return_counts=True)
    return int(counts.max())


def _weights(checked: CanonicalRequest, standing: Standing) -> Iterator[Sentence]:
    plan = checked.plan
    spec = None if isinstance(plan, StatisticsPlan) else FeatureSpec.of(plan.model)
    if spec is None:
        return
    known = {one.weights_sha256 for one in kept_features(checked.dataset.store) if isinstance(one, FeatureSpec)}
    for request_id in standing.held:
        earlier = standing.approved(request_id)
        before = FeatureSpec.of(earlier.model) if earlier and earlier.model else None
        known |= {before.weights_sha256} if before else set()
    if spec.weights_sha256 not in known:
        yield said(UNKNOWN_WEIGHTS, digest=spec.weights_sha256)
