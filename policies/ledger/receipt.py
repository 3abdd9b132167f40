"""Signed receipts: what a study ran and spent at one hospital, for anyone to check. Made to leave the hospital.

Whoever knows the datasite's public key can check a receipt alone. Every byte of its text counts, so that what people
read is what was signed.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies import validate
from policies.answers.odds import at_each_rate, odds
from policies.answers.sentence import Sentence
from policies.budget.accountant import epsilon_spent
from policies.budget.membership import membership_bounds
from policies.budget.steps import GaussianSteps
from policies.errors import PlanError, ReceiptInvalid
from policies.ledger.receipt_contents import RECEIPT_VERSION, STATES, Receipt, RoundEntry
from policies.plans.plan_json import canonical_json, sha256_text
from policies.plans.rounds.sampling import POISSON, RANDOM_ALLOCATION, SAMPLINGS, steps_of_epoch

__all__ = [
    "MAX_RECEIPT_BYTES",
    "RECEIPT_VERSION",
    "STATES",
    "Receipt",
    "RoundEntry",
    "as_odds",
    "dataset_mark",
    "public_key",
    "sign",
    "verify",
]

MAX_RECEIPT_BYTES = 16 << 20
_DOMAIN = b"wanwu-receipt-v1\n"
_MARK_DOMAIN = b"wanwu-dataset-mark-v1"
# The one kind of plan that draws a sample, and the fields that say how.
_TRAINING, _DRAWS = "training", ("sample_rate", "steps_per_round", "sampling")
_ROUNDING = 1e-6  # the last digits of another machine's arithmetic


def dataset_mark(fingerprint: str, seed: bytes) -> str:
    """Stands for a dataset in receipts: 64 hexadecimal digits.

    Guarantees:
        One datasite gives one dataset the same mark in every receipt, under any name. Without the datasite's seed,
        nobody can tell from a mark whether a guess of the pictures is right, nor whether two hospitals hold the same.

    Args:
        fingerprint: Of the picture store.
        seed: The datasite's ed25519 seed, 32 bytes.
    """
    key = hmac.digest(seed, _MARK_DOMAIN, "sha256")
    return hmac.digest(key, fingerprint.encode(), "sha256").hex()


def public_key(seed: bytes) -> str:
    """The key that a datasite publishes and its receipts verify with: 64 hexadecimal digits.

    Args:
        seed: The datasite's ed25519 seed, 32 bytes.
    """
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def sign(receipt: Receipt, seed: bytes) -> str:
    """Writes a receipt as indented JSON with its signature, ed25519 (RFC 8032).

    Its epsilon is taken as it is, so that a datasite can have it computed elsewhere; `verify` computes it again.

    Args:
        receipt: What is to be signed.
        seed: The datasite's ed25519 seed, 32 bytes.

    Raises:
        ReceiptInvalid: The receipt contradicts its plan or itself; no datasite signs such a one.
    """
    _check_consistent(receipt)
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(_signed_bytes(receipt))
    return _rendered(receipt, public_key(seed), signature.hex()).decode()


def verify(content: str | bytes, public_key_hex: str) -> Receipt:
    """Reads a receipt that the holder of a key signed.

    Guarantees:
        What is returned is exactly what was signed, and `content` is, to the last byte, the one text that `sign`
        gives it. Its plan has the stated digest, its rounds are rounds of that plan at its noise and sample rate, and
        the stated epsilon is at least what the accountant makes of them here.

    Args:
        content: The file's bytes; as text only where no line ends were converted.
        public_key_hex: The datasite's key, learnt from the hospital and not from the receipt.

    Raises:
        ReceiptInvalid: Anything else, with what was wrong.
    """
    receipt, key, signature = _read(content)
    if key != public_key_hex:
        _refuse("it was signed with another key than the one given")
    if not re.fullmatch("[0-9a-f]{64}", key) or not re.fullmatch("[0-9a-f]{128}", signature):
        _refuse("its key and signature must be 64 and 128 lower-case hexadecimal digits")
    try:
        verifier = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        verifier.verify(bytes.fromhex(signature), _signed_bytes(receipt))
    except (InvalidSignature, ValueError) as error:
        raise ReceiptInvalid(_refusal("it is not what was signed")) from error
    _check_consistent(receipt)
    _check_epsilon(receipt)
    return receipt


def as_odds(receipt: Receipt) -> tuple[Sentence, ...]:
    """What its rounds mean for one privacy unit, reckoned from them here: no receipt states odds."""
    if receipt.epsilon is None:
        return (odds(None, receipt.unit),)
    bounds = membership_bounds(receipt.spend)
    return odds(bounds, receipt.unit), at_each_rate(bounds)


def _read(content: str | bytes) -> tuple[Receipt, str, str]:
    """Receipt, key and signature of a text that is written exactly as `sign` writes."""
    try:
        raw = content.encode() if isinstance(content, str) else content
        if len(raw) > MAX_RECEIPT_BYTES:
            _refuse(f"it has {len(raw)} bytes, at most {MAX_RECEIPT_BYTES} are read")
        values = json.loads(raw.decode())
        receipt = Receipt.from_dict(values["receipt"])
        key, signature = str(values["public_key"]), str(values["signature"])
        rendered = _rendered(receipt, key, signature)
    except (PlanError, LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ReceiptInvalid(_refusal("it does not read as one")) from error
    if raw != rendered:
        _refuse("its text is not written as the datasite writes it")
    return receipt, key, signature


def _rendered(receipt: Receipt, key: str, signature: str) -> bytes:
    """The one text of a signed receipt, UTF-8."""
    values = {"receipt": receipt.to_dict(), "public_key": key, "signature": signature}
    return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _signed_bytes(receipt: Receipt) -> bytes:
    """What the signature covers; its first line keeps it apart from all else that the key signs."""
    return _DOMAIN + canonical_json(receipt.to_dict()).encode()


def _check_consistent(receipt: Receipt) -> None:
    """Refuses a receipt whose parts contradict each other."""
    plan = receipt.plan
    if sha256_text(canonical_json(dict(plan))) != receipt.plan_digest:
        _refuse("plan_digest is not the digest of its plan")
    if (plan.get("study"), plan.get("dataset")) != (receipt.study, receipt.dataset):
        _refuse("study and dataset are not those of its plan")
    try:
        declared, rounds = _declared_round(plan), validate.integer("rounds", plan["rounds"], low=1, high=10**6)
        unit = plan["privacy"]["unit"] if declared else receipt.unit
    except (PlanError, LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise ReceiptInvalid(_refusal("its plan does not read as one")) from error
    if unit != receipt.unit:
        _refuse("unit is not the plan's")
    indices = [entry.round for entry in receipt.rounds]
    if indices != sorted(set(indices)) or any(index >= rounds for index in indices):
        _refuse("its rounds are not rounds of its plan, each once and in order")
    if any(entry.spend != declared for entry in receipt.rounds):
        _refuse("a round did not run with the noise, sample rate and steps of its plan")
    if receipt.delta != (plan["privacy"] or {}).get("delta") or (receipt.epsilon is None) != (declared is None):
        _refuse("it must state an epsilon at its plan's delta, or neither without differential privacy")


def _check_epsilon(receipt: Receipt) -> None:
    """Refuses an epsilon that the rounds exceed."""
    if receipt.epsilon is None or receipt.delta is None:
        return
    computed = epsilon_spent(receipt.spend, receipt.delta)
    if not math.isfinite(computed):
        _refuse("what its rounds spent has no bound by this version's accountant")
    if receipt.epsilon < computed * (1 - _ROUNDING):
        _refuse(
            f"it states epsilon {receipt.epsilon:.4f}, its rounds spent {computed:.4f} by this version's accountant"
        )


def _declared_round(plan: Mapping[str, Any]) -> GaussianSteps | None:
    """What a round of the plan spends; read from plain values, so that receipts outlive the plans' classes."""
    privacy = plan["privacy"]
    if privacy is None:
        return None
    if plan["kind"] != _TRAINING:  # it releases sums over everybody, once a round, and draws no sample
        if drawn := [name for name in _DRAWS if name in plan]:
            raise PlanError(f"A plan of kind {plan['kind']!r:.40} has no {', '.join(drawn)}.")
        return GaussianSteps(privacy["noise_multiplier"], 1.0, 1)
    rate, steps = plan["sample_rate"], plan["steps_per_round"]
    sampling = validate.choice("sampling", plan.get("sampling", POISSON), SAMPLINGS)
    allocated = steps_of_epoch(rate) if sampling == RANDOM_ALLOCATION else 0
    return GaussianSteps(privacy["noise_multiplier"], rate, steps, allocated)


def _refusal(what: str) -> str:
    return (
        f"The receipt cannot be trusted: {what}. Take it from the datasite again, and its public key from the hospital."
    )


def _refuse(what: str) -> NoReturn:
    raise ReceiptInvalid(_refusal(what))
