"""Signed receipts that stand behind a model's file, or do not: every figure of the file must be one of theirs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

from policies.errors import ReceiptInvalid
from policies.plans.plan_json import canonical_json
from researcher.papers.kept_receipts import KeptReceipt
from researcher.papers.model_file import Cost, ModelFile

_ROUNDING = 1e-6  # the last digits of another machine's arithmetic
NOT_SHOWN = (
    "No receipt names the model itself: each hospital signs the digests of the updates that left it, and their average "
    "is made by the researcher."
)


def check_backing(model: ModelFile, receipts: Sequence[KeptReceipt]) -> None:
    """Returns if the receipts stand behind the model.

    Guarantees:
        All receipts are of one study and of one plan but for the dataset's name; the model's plan is one of theirs; it
        has not more rounds than were charged anywhere; what it says that it cost is what they say, at each hospital.

    Raises:
        ReceiptInvalid: They contradict each other or the model.
    """
    plans = {canonical_json(_without_dataset(one.receipt.plan)) for one in receipts}
    if len(plans) != 1 or len({one.receipt.study for one in receipts}) != 1:
        _refuse("they are of several plans")
    if model.plan_digest not in {one.receipt.plan_digest for one in receipts}:
        _refuse(f"none is of the plan {model.plan_digest[:12]} that the model was trained by")
    if model.receipts is not None and set(model.receipts) != {one.sha256 for one in receipts}:
        _refuse("the model was exported with others")
    charged = max((entry.round + 1 for one in receipts for entry in one.receipt.rounds), default=0)
    if model.round > charged:
        _refuse(f"the model has {model.round} rounds, and they charge none after round {charged}")
    _check_costs(model, receipts)


def _check_costs(model: ModelFile, receipts: Sequence[KeptReceipt]) -> None:
    """Refuses a model that states another cost than the receipts of the hospitals that it was trained at."""
    ran = {one.hospital: one.receipt for one in receipts if one.receipt.rounds}
    signed = {
        name: Cost(one.epsilon, one.delta, one.unit)
        for name, one in ran.items()
        if one.epsilon is not None and one.delta is not None
    }
    if model.receipts is None:
        named = {name: cost for name, cost in model.costs.items() if cost.epsilon > 0}
        if named.keys() != signed.keys():
            other = sorted(named.keys() ^ signed.keys())[0]
            _refuse(f"the model and they do not name the same hospitals as private: {other}")
        pairs = [(name, cost, signed[name]) for name, cost in named.items()]
    else:
        stated, theirs = (sorted(costs.values(), key=_order) for costs in (model.costs, signed))
        stated = [one for one in stated if one.epsilon > 0]
        if len(stated) != len(theirs):
            _refuse(f"the model states a cost at {len(stated)} hospitals, they do at {len(theirs)}")
        pairs = [("a hospital", *pair) for pair in zip(stated, theirs, strict=True)]
    for name, stated_cost, signed_cost in pairs:
        same = (stated_cost.delta, stated_cost.unit) == (signed_cost.delta, signed_cost.unit)
        if not same or not math.isclose(stated_cost.epsilon, signed_cost.epsilon, rel_tol=_ROUNDING):
            _refuse(f"at {name} the model states {_told(stated_cost)}, the receipt {_told(signed_cost)}")
    if bool(model.without_privacy) != any(one.epsilon is None for one in ran.values()):
        _refuse("the model and they do not agree whether it was trained without differential privacy somewhere")


def _without_dataset(plan: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in plan.items() if name != "dataset"}


def _order(cost: Cost) -> tuple[str, float, float]:
    return cost.unit, cost.delta, cost.epsilon


def _told(cost: Cost) -> str:
    return f"epsilon {cost.epsilon:.4f} at delta {cost.delta:g} per {cost.unit}"


def _refuse(what: str) -> NoReturn:
    raise ReceiptInvalid(
        f"The receipts do not stand behind this model: {what}. Fetch its study's receipts again, or take the model "
        "that belongs to them."
    )
