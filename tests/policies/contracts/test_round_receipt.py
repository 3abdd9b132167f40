"""Receipts of single rounds: only what the datasite's own key has signed is one, and nothing else counts."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.contracts.round_receipt import MAX_ROUND_RECEIPT_BYTES, RoundReceipt, could_be_one
from policies.errors import ReceiptInvalid
from policies.plans.plan_json import canonical_json

SEED, OTHER = bytes(range(32)), bytes(32)
RECEIPT = RoundReceipt("3f" * 16, 4, "a" * 64, "2026-11-30T11:00:00.000+00:00")


def test_a_receipt_reads_back_with_the_key_that_signed_it() -> None:
    text = RECEIPT.signed(SEED)
    assert RoundReceipt.own(text, SEED) == RECEIPT
    assert could_be_one(text) and len(text) < MAX_ROUND_RECEIPT_BYTES // 2


def test_another_datasites_receipt_is_none() -> None:
    assert RoundReceipt.own(RECEIPT.signed(OTHER), SEED) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("request", "3e" * 16), ("round", 5), ("update", "b" * 64), ("at", "2026-12-30T11:00:00.000+00:00")],
)
def test_a_receipt_of_which_a_value_was_changed_is_none(name: str, value: object) -> None:
    values = json.loads(RECEIPT.signed(SEED)) | {name: value}
    assert RoundReceipt.own(canonical_json(values), SEED) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "null",
        "{}",
        '{"signature": 1}',
        '{"signature": "zz"}',
        '{"signature": "00"}',
        "[" * 1000,
        '{"round": 1e999, "signature": ""}',
        "é",
        RECEIPT.signed(SEED) + "\n",
        RECEIPT.signed(SEED) + " " * MAX_ROUND_RECEIPT_BYTES,
        RECEIPT.signed(SEED)[:-1] + ',"more": 1}',
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert RoundReceipt.own(text, SEED) is None


def test_what_the_key_signs_elsewhere_is_no_receipt() -> None:
    body = {name: value for name, value in json.loads(RECEIPT.signed(SEED)).items() if name != "signature"}
    for domain in (b"", b"wanwu-receipt-v1\n"):
        signature = Ed25519PrivateKey.from_private_bytes(SEED).sign(domain + canonical_json(body).encode())
        assert RoundReceipt.own(canonical_json({**body, "signature": signature.hex()}), SEED) is None


@pytest.mark.parametrize(
    ("name", "value"), [("round", -1), ("update", "a"), ("at", "2026-11-30T11:00:00"), ("request", "a\nb")]
)
def test_a_receipt_of_nothing_is_refused(name: str, value: object) -> None:
    with pytest.raises(ReceiptInvalid):
        RoundReceipt(**{**vars(RECEIPT), name: value})
