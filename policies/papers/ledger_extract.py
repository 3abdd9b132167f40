"""Signed ledger extracts: what one study holds of a dataset's budget beside all others. Made to leave the hospital.

A receipt states what one study cost; an extract states beside it what the dataset's patients bear altogether. It names
no other study, no person, no count and no time of a run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ReceiptInvalid
from policies.ledger.receipt import public_key
from policies.plans.plan_json import canonical_json
from policies.validate import Checks, whole

MAX_EXTRACT_BYTES = 16_384
_DOMAIN = b"wanwu-ledger-extract-v1\n"


def _line(checks: Checks, field: str, value: object) -> str:
    return checks.text(field, value, most=200)


@dataclass(frozen=True)
class LedgerExtract:
    """What a hospital's ledger holds of one request, and of its dataset.

    Attributes:
        datasite: Its name.
        request_id: Of the code request.
        dataset_mark: As in the receipt.
        plan_digest: Of the approved plan.
        rounds_reserved: That the approval covers.
        rounds_charged: Of these, those that were charged.
        released: Whether what the request did not use was given back: no round can follow.
        epsilon_limit: The most that all studies of the dataset together may ever spend.
        epsilon_held: What they have spent or still hold, at `delta`.
        delta: At which both are stated.
        without_privacy: Whether rounds without differential privacy ran on the dataset too, which no epsilon bounds.
        ledger_head: Hash of the ledger's last entry when the extract was made.
    """

    datasite: Annotated[str, Checks.name]
    request_id: Annotated[str, _line]
    dataset_mark: Annotated[str, Checks.digest]
    plan_digest: Annotated[str, Checks.digest]
    rounds_reserved: Annotated[int, whole(0, 10**6)]
    rounds_charged: Annotated[int, whole(0, 10**6)]
    released: bool
    epsilon_limit: float
    epsilon_held: float
    delta: float
    without_privacy: bool
    ledger_head: Annotated[str, Checks.digest]


@dataclass(frozen=True)
class _Signed:
    """What the file holds."""

    extract: LedgerExtract
    public_key: Annotated[str, Checks.digest]
    signature: str


class SignedExtract(NamedTuple):
    """An extract that was verified, and the key that signed it, hexadecimal."""

    extract: LedgerExtract
    public_key: str


def sign_extract(extract: LedgerExtract, seed: bytes) -> str:
    """The file of an extract, signed with the key of the datasite's receipts."""
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(_signed_bytes(extract)).hex()
    return _rendered(_Signed(extract, public_key(seed), signature))


def read_extract(content: bytes) -> SignedExtract:
    """Reads the file of an extract.

    Guarantees:
        What is returned is what the holder of the returned key signed, and `content` is, to the last byte, the one
        text that `sign_extract` gives it. Whose key that is, it does not say.

    Raises:
        ReceiptInvalid: Anything else.
    """
    if len(content) > MAX_EXTRACT_BYTES:
        raise _refusal(f"it is longer than {MAX_EXTRACT_BYTES} bytes.")
    try:
        found = from_plain(_Signed, json.loads(content.decode()), _refusal)
        verifier = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found.public_key))
        verifier.verify(bytes.fromhex(found.signature), _signed_bytes(found.extract))
        whole_text = _rendered(found).encode() == content
    except (InvalidSignature, ValueError, RecursionError) as error:
        raise _refusal("it is not what was signed.") from error
    if not whole_text:
        raise _refusal("its text is not written as the datasite writes it.")
    return SignedExtract(found.extract, found.public_key)


def _rendered(signed: _Signed) -> str:
    return json.dumps(to_plain(signed), indent=1, allow_nan=False) + "\n"


def _signed_bytes(extract: LedgerExtract) -> bytes:
    return _DOMAIN + canonical_json(to_plain(extract)).encode()


def _refusal(what: str) -> ReceiptInvalid:
    return ReceiptInvalid(f"This is no extract of a ledger that can be trusted: {what} Ask the hospital for it again.")
