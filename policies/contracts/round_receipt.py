"""Receipts of single rounds: a datasite's signed word that its ledger holds a round's end. Made to leave the hospital.

A researcher's side keeps the last one of each request, and shows it to the datasite with every further question about
the request. A datasite whose ledger does not know what it has signed itself has older books than it had: an older copy
of its state folder was put in place. What a receipt holds, the researcher knows from the round's answer; its signature
is by the datasite's key alone, so that nobody else makes one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.errors import ReceiptInvalid
from policies.plans.plan_json import canonical_json
from policies.plans.training import MAX_ROUNDS
from policies.validate import Checks

ROUND_RECEIPT = "x-wanwu-round-receipt"
"""The header in which a researcher's side shows the last one of a request; datasites of 0.3 and later read it."""
MAX_ROUND_RECEIPT_BYTES = 1024
_checks = Checks(ReceiptInvalid)
_DOMAIN = b"wanwu-round-receipt-v1\n"


@dataclass(frozen=True)
class RoundReceipt:
    """The end of one round, as the ledger holds it.

    Attributes:
        request: Identifier of the code request.
        round: From 0.
        update: SHA-256 of the update that it gave; of no bytes where it gave none.
        at: When the ledger held it: ISO 8601, with its time zone, by the datasite's clock.
    """

    request: str
    round: int
    update: str
    at: str

    def __post_init__(self) -> None:
        _checks.text("receipt.request", self.request, most=200)
        _checks.integer("receipt.round", self.round, low=0, high=MAX_ROUNDS - 1)
        _checks.digest("receipt.update", self.update)
        if not isinstance(self.at, str) or datetime.fromisoformat(self.at).tzinfo is None:
            raise ReceiptInvalid("receipt.at must be a time in ISO 8601 with its time zone.")

    def signed(self, seed: bytes) -> str:
        """Its text: JSON in ASCII, in one line of at most `MAX_ROUND_RECEIPT_BYTES`.

        Args:
            seed: The datasite's ed25519 seed, 32 bytes.
        """
        signature = Ed25519PrivateKey.from_private_bytes(seed).sign(self._signed_bytes())
        return canonical_json({**asdict(self), "signature": signature.hex()})

    @classmethod
    def own(cls, text: str, seed: bytes) -> Self | None:
        """What the holder of the seed has signed; None for anything else, which says nothing of why.

        Args:
            text: As a researcher's side shows it; hostile until this returns.
            seed: The datasite's ed25519 seed, 32 bytes.
        """
        if not could_be_one(text):
            return None
        try:
            values = json.loads(text)
            signature = bytes.fromhex(values.pop("signature"))
            receipt = cls(**values)
            Ed25519PrivateKey.from_private_bytes(seed).public_key().verify(signature, receipt._signed_bytes())
        except (InvalidSignature, ReceiptInvalid, LookupError, TypeError, AttributeError, ValueError, RecursionError):
            return None
        return receipt

    def _signed_bytes(self) -> bytes:
        return _DOMAIN + canonical_json(asdict(self)).encode()


def could_be_one(text: str) -> bool:
    """Whether a text is as short, and of such letters, as a receipt of a round: it can be a header then."""
    return 0 < len(text) <= MAX_ROUND_RECEIPT_BYTES and text.isascii() and text.isprintable()
