"""Signed receipts that stand behind a model's file, or do not: every figure of the file must be one of theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple, NoReturn

from policies.answers import rounded
from policies.budget.accountant import epsilon_spent
from policies.budget.steps import merged
from policies.errors import ReceiptInvalid
from policies.plans.plan_json import canonical_json
from researcher.papers.kept_receipts import KeptReceipt
from researcher.papers.model_file import Cost, ModelFile

_ROUNDING = 1e-6  # the last digits of another machine's arithmetic
_NO_UPDATE = sha256(b"").hexdigest()
NOT_SHOWN = (
    "No receipt names the model itself: each hospital signs the digests of the updates that left it, and their average "
    "is made by the researcher."
)
MATRIX_SHOWN = "The Gram matrices that the model's file says it stepped by are those that these receipts charge."
NOT_BOUND = (
    "The model's file does not name the Gram matrix that its rounds stepped by, as none did before Wanwu 0.3: nothing "
    "here shows that it is the one that these receipts charge."
)


def check_backing(model: ModelFile, receipts: Sequence[KeptReceipt], alone: Sequence[KeptReceipt] = ()) -> None:
    """Returns if the receipts stand behind the model.

    Guarantees:
        All receipts are of one study and of one plan but for the dataset's name; the model's plan is one of theirs; it
        has not more rounds than were charged anywhere; what it says that it cost is what they say, at each hospital,
        that of the Gram matrix that it steps by too. The matrices that the file names are all that the receipts
        charge, by the digests that the hospitals signed; only a file from before Wanwu 0.3 names none.

    Args:
        model: What its file says.
        receipts: Of the hospitals.
        alone: Of the Gram matrix, of hospitals that have none of the study.

    Raises:
        ReceiptInvalid: They contradict each other or the model.
    """
    plans = {canonical_json(_without_dataset(one.receipt.plan)) for one in receipts}
    if len(plans) != 1 or len({one.receipt.study for one in receipts}) != 1:
        _refuse("they are of several plans")
    if model.plan_digest not in {one.receipt.plan_digest for one in receipts}:
        _refuse(f"none is of the plan {model.plan_digest[:12]} that the model was trained by")
    beside = (*alone, *(one.gram for one in receipts if one.gram is not None))
    if model.receipts is not None and set(model.receipts) != {one.sha256 for one in (*receipts, *beside)}:
        _refuse("the model was exported with others")
    charged = max((entry.round + 1 for one in receipts for entry in one.receipt.rounds), default=0)
    if model.round > charged:
        _refuse(f"the model has {model.round} rounds, and they charge none after round {charged}")
    _check_costs(model, receipts)
    _check_gram(model, {one.hospital: one.released for one in beside if one.released not in ("", _NO_UPDATE)})


def _check_gram(model: ModelFile, released: Mapping[str, str]) -> None:
    """Refuses a model whose rounds stepped by other matrices than all those that the receipts charge."""
    if not model.gram and not model.before_digests and released:
        _refuse("its file is of Wanwu 0.3 or later and names no Gram matrix, and they charge one")
    named = model.gram if model.receipts is None else {}
    left_over = Counter(released.values())
    for name, digest in model.gram.items():
        if (name in named and released.get(name) != digest) or not left_over[digest]:
            at = f" of {name}" if name in named else ""
            _refuse(f"its rounds stepped by a Gram matrix{at}, SHA-256 {digest[:12]}, that they do not charge")
        left_over[digest] -= 1
    if model.gram and (charged := +left_over):
        at = next(name for name, digest in sorted(released.items()) if digest in charged and name not in named)
        _refuse(f"they charge a Gram matrix of {at}, SHA-256 {released[at][:12]}, that its file does not name")


def _check_costs(model: ModelFile, receipts: Sequence[KeptReceipt]) -> None:
    """Refuses a model that states another cost than the receipts of the hospitals that it was trained at."""
    ran = [one for one in receipts if one.receipt.rounds]
    signed = {one.hospital: _Signed.of(one) for one in ran if one.epsilon is not None}
    stated = {name: cost for name, cost in model.costs.items() if cost.epsilon > 0}
    if model.receipts is None:
        needed = {name for name, one in signed.items() if one.given > 0}
        if other := sorted((stated.keys() - signed.keys()) | (needed - stated.keys())):
            _refuse(f"the model and they do not name the same hospitals as private: {other[0]}")
        pairs = [(name, cost, signed[name]) for name, cost in stated.items()]
    else:
        few = len(signed) - len(stated)
        left_out = sorted((name for name, one in signed.items() if not one.given), key=lambda name: signed[name].all)
        if few < 0 or len(left_out) < few:
            _refuse(f"the model states a cost at {len(stated)} hospitals, they do at {len(signed)}")
        theirs = sorted(one for name, one in signed.items() if name not in left_out[:few])
        pairs = [("a hospital", *pair) for pair in zip(sorted(stated.values()), theirs, strict=True)]
    for name, cost, receipt in pairs:
        same = (cost.delta, cost.unit) == (receipt.all.delta, receipt.all.unit)
        low, high = receipt.given * (1 - _ROUNDING), receipt.all.epsilon * (1 + _ROUNDING)
        if not same or not low <= cost.epsilon <= high:
            _refuse(f"at {name} the model states {_told(cost)}, the receipt {_told(receipt.all)}")
    if bool(model.without_privacy) != any(one.receipt.epsilon is None for one in ran):
        _refuse("the model and they do not agree whether it was trained without differential privacy somewhere")


class _Signed(NamedTuple):
    """What receipts state: the cost of all rounds, and the epsilon of those that gave an update."""

    all: Cost
    given: float

    @classmethod
    def of(cls, one: KeptReceipt) -> _Signed:
        receipt, matrix = one.receipt, one.gram.receipt.spend if one.gram else ()
        rounds = (each.spend for each in receipt.rounds if each.update_digest != _NO_UPDATE)
        given = merged((*(spend for spend in rounds if spend), *matrix))
        delta, epsilon = receipt.delta or 0.0, one.epsilon or 0.0
        spent = epsilon if given == one.spend else epsilon_spent(given, delta) if given else 0.0
        return cls(Cost(epsilon, delta, receipt.unit), spent)


def _without_dataset(plan: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in plan.items() if name != "dataset"}


def _told(cost: Cost) -> str:
    return f"epsilon {cost.epsilon:.4f} at delta {rounded.number(cost.delta)} per {cost.unit}"


def _refuse(what: str) -> NoReturn:
    raise ReceiptInvalid(
        f"The receipts do not stand behind this model: {what}. Fetch its study's receipts again, or take the model "
        "that belongs to them."
    )
