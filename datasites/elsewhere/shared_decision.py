"""A hospital's decision on a plan, signed, for other hospitals. Made to leave: it names no person and no budget."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Annotated, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ReceiptInvalid
from policies.ledger.receipt import public_key
from policies.plans.plan_json import canonical_json
from policies.validate import Checks, one_of

APPROVED, DENIED = "approved", "denied"
MOST_OF_A_REASON = 500
MOST_OF_A_FILE = 16_384
_DOMAIN = b"wanwu-shared-decision-v1\n"


def _label(checks: Checks, field: str, value: object) -> str:
    return checks.label(field, value)


def _digest(checks: Checks, field: str, value: object) -> str:
    return checks.digest(field, value)


def _reason(checks: Checks, field: str, value: object) -> str:
    return checks.text(field, value, most=MOST_OF_A_REASON)


def _day(checks: Checks, field: str, value: object) -> str:
    text = checks.text(field, value, most=10)
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise checks.refusal(f"{field} must be a day such as 2026-11-28.")


@dataclass(frozen=True)
class SharedDecision:
    """A hospital's decision on a plan, as it leaves.

    Attributes:
        hospital: As it wishes to be called.
        plan_digest: Of the plan, its dataset's name included.
        decision: `approved` or `denied`.
        decided_on: The day, ISO 8601.
        reason: What the hospital says of it in public; may be empty.
    """

    hospital: Annotated[str, _label]
    plan_digest: Annotated[str, _digest]
    decision: Annotated[str, one_of(APPROVED, DENIED)]
    decided_on: Annotated[str, _day]
    reason: Annotated[str, _reason] = ""


@dataclass(frozen=True)
class _SignedDecision:
    """What the file holds."""

    decision: SharedDecision
    public_key: Annotated[str, _digest]
    signature: str


class SignedBy(NamedTuple):
    """A decision that was verified, and the key that signed it, hexadecimal."""

    decision: SharedDecision
    public_key: str


def sign_decision(decision: SharedDecision, seed: bytes) -> str:
    """The file of a decision, signed with the key of the datasite's receipts.

    Raises:
        ReceiptInvalid: A value of it cannot be told.
    """
    from_plain(SharedDecision, to_plain(decision), _refusal)
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(_signed(decision)).hex()
    return json.dumps(to_plain(_SignedDecision(decision, public_key(seed), signature)), indent=1) + "\n"


def read_decision(text: str) -> SignedBy:
    """Reads the file of a decision.

    Guarantees:
        What is returned is what the holder of the returned key signed. Whose key that is, it does not say.

    Raises:
        ReceiptInvalid: Anything else, with what was wrong.
    """
    if len(text) > MOST_OF_A_FILE:
        raise _refusal(f"it is longer than {MOST_OF_A_FILE} characters.")
    try:
        found = from_plain(_SignedDecision, json.loads(text), _refusal)
        verifier = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found.public_key))
        verifier.verify(bytes.fromhex(found.signature), _signed(found.decision))
    except (InvalidSignature, ValueError, RecursionError) as error:
        raise _refusal("it is not what was signed.") from error
    return SignedBy(found.decision, found.public_key)


def fingerprint(key: str) -> str:
    """What people compare of a public key, in groups of four: the first half of its SHA-256."""
    digits = sha256(bytes.fromhex(key)).hexdigest()[:32]
    return " ".join(digits[at : at + 4] for at in range(0, 32, 4))


def _signed(decision: SharedDecision) -> bytes:
    return _DOMAIN + canonical_json(to_plain(decision)).encode()


def _refusal(what: str) -> ReceiptInvalid:
    return ReceiptInvalid(f"This is no decision that another hospital shared: {what} Ask that hospital for it again.")
