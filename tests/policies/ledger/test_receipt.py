"""Receipts: what a datasite signed verifies with its key alone, and nothing else does."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import CEILING_SECONDS

from policies.answers.odds import at_each_rate, odds
from policies.budget.accountant import epsilon_spent, round_spend
from policies.budget.membership import membership_bounds
from policies.budget.steps import GaussianSteps
from policies.errors import PlanError, ReceiptInvalid
from policies.ledger import receipt as receipts
from policies.ledger.receipt import Receipt, RoundEntry, dataset_mark, public_key, sign, verify
from policies.plans.plan_json import canonical_json, sha256_text
from policies.plans.releases import EvaluationPlan, GramPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

PROJECT = Path(__file__).resolve().parents[3]
SEED, OTHER_SEED = bytes(range(32)), bytes(range(1, 33))
KEY = public_key(SEED)
FINGERPRINT = "f" * 64
MODEL = ModelSpec("linear", (8, 8, 1), 2)
PLAN = TrainingPlan("cells", "blood-cells", MODEL, 3, 10, 0.1, 0.5, privacy=PrivacySpec(4.0, 1.0, 1e-5, "patient"))
OPEN_PLAN = replace(PLAN, privacy=None)
RELEASES = ReleaseSpec(20.0, 1e-5, "patient")


def entry(index: int, plan: TrainingPlan | EvaluationPlan | StatisticsPlan = PLAN) -> RoundEntry:
    spend = round_spend(plan)
    counted = (spend.noise_multiplier, spend.sample_rate, spend.steps) if spend else (None, None, None)
    return RoundEntry(index, *counted, sha256_text(f"update {index}"), spend.allocated_over if spend else 0)


def of_plan(plan: TrainingPlan | EvaluationPlan | StatisticsPlan = PLAN, *indices: int, **changes: object) -> Receipt:
    rounds = tuple(entry(index, plan) for index in indices)
    spent = [part.spend for part in rounds if part.spend]
    values = {
        "datasite": "hospital_a",
        "request_id": "0a1b2c",
        "study": plan.study,
        "researcher": "ada@university.org",
        "dataset": plan.dataset,
        "dataset_mark": dataset_mark(FINGERPRINT, SEED),
        "unit": "patient",
        "plan": json.loads(plan.to_json()),
        "plan_digest": plan.digest(),
        "approver": "Grace Hopper",
        "approved_at": "2026-05-01T09:00:00+00:00",
        "approval_digest": "a" * 64,
        "rounds": rounds,
        "epsilon": epsilon_spent(spent, 1e-5) if plan.privacy else None,
        "delta": 1e-5 if plan.privacy else None,
        "state": "approved",
        "versions": {"wanwu": "0.1.0", "python": "3.11.9"},
        "audit_head": "b" * 64,
        "issued_at": "2026-05-02T09:00:00+00:00",
    }
    return Receipt(**(values | changes))


RECEIPT = of_plan(PLAN, 0, 1)
TEXT = sign(RECEIPT, SEED)


def signed_anyway(receipt: Receipt, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a datasite that checks nothing would sign."""
    with monkeypatch.context() as patched:
        patched.setattr(receipts, "_check_consistent", lambda _: None)
        return sign(receipt, SEED)


# --- what verifies ------------------------------------------------------------------------------------------


def test_what_was_signed_verifies_with_the_published_key_and_reads_back_equal():
    assert verify(TEXT, KEY) == RECEIPT
    assert verify(TEXT.encode(), KEY) == RECEIPT


def test_the_signature_is_plain_ed25519_over_a_domain_and_canonical_json():
    values = json.loads(TEXT)
    signed = b"wanwu-receipt-v1\n" + json.dumps(values["receipt"], sort_keys=True, separators=(",", ":")).encode()
    published = Ed25519PublicKey.from_public_bytes(bytes.fromhex(KEY))
    published.verify(bytes.fromhex(values["signature"]), signed)
    assert values["public_key"] == KEY


def test_a_receipt_reads_from_the_top_as_a_person_would_ask():
    lines = TEXT.splitlines()
    assert lines[:4] == ["{", '  "receipt": {', '    "version": 1,', '    "datasite": "hospital_a",']
    assert '    "approver": "Grace Hopper",' in lines
    assert TEXT.endswith("}\n")


@pytest.mark.parametrize(
    "plan",
    [
        OPEN_PLAN,
        EvaluationPlan("cells", "blood-cells", MODEL, 2, RELEASES, score_bins=10),
        StatisticsPlan("cells", "blood-cells", (8, 8, 1), 2, RELEASES),
    ],
    ids=["without privacy", "evaluation", "statistics"],
)
def test_every_kind_of_plan_has_receipts(plan):
    receipt = of_plan(plan, 0)
    assert verify(sign(receipt, SEED), KEY) == receipt


def test_an_approved_study_that_has_not_run_spent_nothing():
    receipt = of_plan(PLAN)
    assert receipt.epsilon == 0.0
    assert verify(sign(receipt, SEED), KEY) == receipt


def test_a_name_in_any_script_stays_readable():
    text = sign(replace(RECEIPT, approver="林巧稚"), SEED)
    assert "林巧稚" in text
    assert verify(text, KEY).approver == "林巧稚"


# --- what does not ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_of_any_byte_can_be_flipped(bit):
    raw = TEXT.encode()
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1 << bit
        with pytest.raises(ReceiptInvalid):
            verify(bytes(changed), KEY)


def test_no_byte_can_be_removed_or_doubled():
    raw = TEXT.encode()
    for position in range(len(raw)):
        for changed in (raw[:position] + raw[position + 1 :], raw[: position + 1] + raw[position:]):
            with pytest.raises(ReceiptInvalid):
                verify(changed, KEY)


def test_no_receipt_can_be_cut_short():
    raw = TEXT.encode()
    for length in range(0, len(raw), 7):
        with pytest.raises(ReceiptInvalid):
            verify(raw[:length], KEY)


def reordered(text: str) -> str:
    values = json.loads(text)
    return json.dumps(dict(reversed(values.items())), indent=2) + "\n"


def with_capital_digits(text: str) -> str:
    signature = json.loads(text)["signature"]
    return text.replace(signature, signature.upper())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: json.dumps(json.loads(text)),
        lambda text: json.dumps(json.loads(text), indent=4) + "\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + " ",
        lambda text: "\ufeff" + text,
        lambda text: text.replace("Grace", "Gr\\u0061ce"),
        lambda text: text.replace('"delta": 1e-05', '"delta": 0.00001'),
        lambda text: text.replace('"delta": 1e-05', '"delta": 1e-05, "delta": 1e-05'),
        lambda text: text.replace('"state": "approved"', '"state": "denied", "state": "approved"'),
        lambda text: text.replace('"state"', '"note": "", "state"'),
        lambda text: text.replace('"momentum"', '"nesterov": true, "momentum"'),
        reordered,
        with_capital_digits,
    ],
)
def test_the_same_content_in_another_writing_does_not_verify(change):
    changed = change(TEXT)
    assert changed != TEXT
    with pytest.raises(ReceiptInvalid):
        verify(changed, KEY)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"7",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"receipt": {}, "public_key": "", "signature": ""}',
        b'{"receipt": {"rounds": 3}, "public_key": "", "signature": ""}',
        b'{"receipt": {"rounds": [3]}, "public_key": "", "signature": ""}',
        b'{"receipt": {"rounds": [], "plan": NaN}, "public_key": 1, "signature": []}',
        TEXT.replace('"wanwu": "0.1.0"', '"wanwu": "\\ud800"').encode(),
        TEXT.replace('"versions": {', '"versions": [').encode(),
    ],
)
def test_what_is_no_receipt_is_refused_by_name(content):
    with pytest.raises(ReceiptInvalid, match="does not read as one"):
        verify(content, KEY)


def test_a_receipt_beyond_any_study_is_not_read(monkeypatch):
    monkeypatch.setattr(receipts, "MAX_RECEIPT_BYTES", len(TEXT) - 1)
    with pytest.raises(ReceiptInvalid, match="bytes"):
        verify(TEXT, KEY)


@pytest.mark.parametrize("key", [public_key(OTHER_SEED), KEY.upper(), "", "0" * 64, "nothing"])
def test_another_key_does_not_verify_it(key):
    with pytest.raises(ReceiptInvalid, match="another key"):
        verify(TEXT, key)


def test_putting_ones_own_key_into_a_receipt_does_not_help():
    with pytest.raises(ReceiptInvalid, match="not what was signed"):
        verify(TEXT.replace(KEY, public_key(OTHER_SEED)), public_key(OTHER_SEED))


def test_a_signature_over_the_same_content_in_another_domain_does_not_count():
    content = canonical_json(RECEIPT.to_dict()).encode()
    foreign = Ed25519PrivateKey.from_private_bytes(SEED).sign(content).hex()
    with pytest.raises(ReceiptInvalid, match="not what was signed"):
        verify(TEXT.replace(json.loads(TEXT)["signature"], foreign), KEY)


def test_a_key_that_is_no_key_is_refused():
    with pytest.raises(ReceiptInvalid, match="64 and 128"):
        verify(TEXT.replace(KEY, "short"), "short")


# --- what contradicts itself --------------------------------------------------------------------------------

CONTRADICTIONS = {
    "plan_digest": replace(RECEIPT, plan_digest="0" * 64),
    "study and dataset": replace(RECEIPT, study="another"),
    "unit": replace(RECEIPT, unit="picture"),
    "in order": replace(RECEIPT, rounds=(entry(1), entry(0))),
    "each once": replace(RECEIPT, rounds=(entry(0), entry(0))),
    "rounds of its plan": replace(RECEIPT, rounds=(entry(0), entry(3))),
    "with the noise": replace(RECEIPT, rounds=(entry(0), replace(entry(1), noise_multiplier=2.0))),
    "sample rate and steps": replace(RECEIPT, rounds=(entry(0), replace(entry(1), steps=9))),
    "of its plan": replace(RECEIPT, rounds=(entry(0), entry(1, OPEN_PLAN))),
    "must state an epsilon": replace(RECEIPT, epsilon=None, delta=None),
    "state an epsilon at": replace(RECEIPT, epsilon=None),
    "plan's delta": replace(RECEIPT, delta=1e-4),
    "or neither": replace(of_plan(OPEN_PLAN, 0), epsilon=0.1, delta=1e-5),
    "without differential privacy": replace(of_plan(OPEN_PLAN, 0), epsilon=0.1),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_receipt_that_contradicts_itself_is_neither_signed_nor_believed(what, monkeypatch):
    with pytest.raises(ReceiptInvalid, match=what):
        sign(CONTRADICTIONS[what], SEED)
    with pytest.raises(ReceiptInvalid, match=what):
        verify(signed_anyway(CONTRADICTIONS[what], monkeypatch), KEY)


def test_less_epsilon_than_was_spent_is_not_believed():
    receipt = replace(RECEIPT, epsilon=RECEIPT.epsilon * (1 - 1e-5))
    with pytest.raises(ReceiptInvalid, match="its rounds spent"):
        verify(sign(receipt, SEED), KEY)


def test_signing_loads_no_torch():
    # The datasite's process, which signs, has none: its sums are done elsewhere.
    script = (
        "import sys, policies.ledger.receipt as r\n"
        f"receipt = r._read({TEXT!r})[0]\n"
        f"print(r.sign(receipt, {SEED!r}) == {TEXT!r}, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=CEILING_SECONDS
    )
    assert done.stdout.split() == ["True", "False"], done.stderr


@pytest.mark.parametrize(
    "plan", [{}, {"privacy": None}, {"privacy": 3, "rounds": 3}, {"privacy": {"unit": "patient"}, "rounds": 3}]
)
def test_a_plan_that_is_none_is_refused(plan, monkeypatch):
    plan = {"study": RECEIPT.study, "dataset": RECEIPT.dataset, **plan}
    wrong = replace(RECEIPT, plan=plan, plan_digest=sha256_text(canonical_json(plan)))
    with pytest.raises(ReceiptInvalid, match="plan does not read"):
        verify(signed_anyway(wrong, monkeypatch), KEY)


def test_more_epsilon_than_was_spent_may_be_stated():
    receipt = replace(RECEIPT, epsilon=RECEIPT.epsilon + 1)
    assert verify(sign(receipt, SEED), KEY).epsilon == receipt.epsilon


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"datasite": "Hospital A"},
        {"approver": ""},
        {"approver": "Grace\nHopper"},
        {"researcher": "a" * 201},
        {"dataset_mark": "F" * 64},
        {"approved_at": "yesterday"},
        {"issued_at": "2026-05-02T09:00:00"},
        {"unit": "ward"},
        {"state": "denied"},
        {"epsilon": -0.1},
        {"epsilon": float("inf")},
        {"delta": 0.0},
        {"versions": {"torch": 2}},
    ],
)
def test_a_field_out_of_range_is_refused_by_name(changes):
    (name,) = changes
    with pytest.raises(PlanError, match=name):
        replace(RECEIPT, **changes)


@pytest.mark.parametrize("counted", [(1.0, None, None), (None, 0.1, 3), (1.0, 0.1, True), (0.0, 0.1, 3)])
def test_a_round_has_all_three_numbers_or_none(counted):
    with pytest.raises(PlanError):
        RoundEntry(0, *counted, "0" * 64)


# --- round trips --------------------------------------------------------------------------------------------

printable = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=40)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
times = st.datetimes(timezones=st.just(UTC)).map(lambda time: time.isoformat())


@settings(max_examples=60, deadline=None)
@given(
    private=st.booleans(),
    indices=st.sets(st.integers(0, 2)),
    seed=st.binary(min_size=32, max_size=32),
    texts=st.fixed_dictionaries({"request_id": printable, "researcher": printable, "approver": printable}),
    hashes=st.fixed_dictionaries({"dataset_mark": digests, "approval_digest": digests, "audit_head": digests}),
    stamps=st.fixed_dictionaries({"approved_at": times, "issued_at": times}),
    state=st.sampled_from(receipts.STATES),
    versions=st.dictionaries(printable, printable, max_size=4),
)
def test_any_receipt_comes_back_as_it_was(private, indices, seed, texts, hashes, stamps, state, versions):
    plan = PLAN if private else OPEN_PLAN
    receipt = of_plan(plan, *sorted(indices), **texts, **hashes, **stamps, state=state, versions=versions)
    text = sign(receipt, seed)
    assert verify(text, public_key(seed)) == receipt
    assert sign(verify(text, public_key(seed)), seed) == text


# --- the dataset's mark -------------------------------------------------------------------------------------


def test_a_datasets_mark_is_the_same_each_time_and_another_at_another_hospital():
    assert dataset_mark(FINGERPRINT, SEED) == dataset_mark(FINGERPRINT, SEED)
    assert dataset_mark(FINGERPRINT, SEED) != dataset_mark("e" * 64, SEED)
    assert dataset_mark(FINGERPRINT, SEED) != dataset_mark(FINGERPRINT, OTHER_SEED)


def test_a_datasets_mark_is_an_hmac_under_a_key_that_only_the_datasite_has():
    key = hmac.new(SEED, b"wanwu-dataset-mark-v1", hashlib.sha256).digest()
    assert dataset_mark(FINGERPRINT, SEED) == hmac.new(key, FINGERPRINT.encode(), hashlib.sha256).hexdigest()
    assert FINGERPRINT not in TEXT


def test_a_rounds_spend_is_what_the_accountant_counts():
    assert entry(0).spend == GaussianSteps(4.0, 0.1, 10)
    assert RECEIPT.spend == (GaussianSteps(4.0, 0.1, 20),)
    assert entry(0, OPEN_PLAN).spend is None


ALLOCATED = replace(PLAN, sampling="random_allocation")


def test_a_receipt_of_random_allocation_comes_back_and_states_less_epsilon() -> None:
    receipt = of_plan(ALLOCATED, 0, 1)
    text = sign(receipt, SEED)
    assert verify(text, KEY) == receipt
    assert receipt.spend == (GaussianSteps(4.0, 0.1, 20, 10),)
    assert receipt.epsilon is not None and RECEIPT.epsilon is not None and receipt.epsilon < RECEIPT.epsilon
    assert text.count('"allocated_over": 10') == 2


def test_a_receipt_of_poisson_sampling_is_written_as_it_always_was() -> None:
    assert "allocated_over" not in TEXT


def test_a_round_counted_as_allocated_that_its_plan_draws_step_by_step_is_refused(monkeypatch) -> None:
    rounds = tuple(replace(one, allocated_over=10) for one in RECEIPT.rounds)
    for wrong in (replace(RECEIPT, rounds=rounds), replace(of_plan(ALLOCATED, 0, 1), rounds=RECEIPT.rounds)):
        with pytest.raises(ReceiptInvalid, match="did not run with the noise"):
            verify(signed_anyway(wrong, monkeypatch), KEY)


def test_an_open_round_has_no_allocation() -> None:
    with pytest.raises(PlanError, match="allocated_over"):
        RoundEntry(0, None, None, None, "a" * 64, 10)


@pytest.mark.parametrize("change", [{"sampling": "shuffled"}, {"sample_rate": 0.0}, {"steps_per_round": 7}], ids=str)
def test_a_plan_whose_sampling_does_not_read_is_refused(change: dict[str, object], monkeypatch) -> None:
    plan = {**json.loads(ALLOCATED.to_json()), **change}
    wrong = replace(of_plan(ALLOCATED, 0), plan=plan, plan_digest=sha256_text(canonical_json(plan)))
    with pytest.raises(ReceiptInvalid, match="its plan does not read"):
        verify(signed_anyway(wrong, monkeypatch), KEY)


@pytest.mark.parametrize("kind", [EvaluationPlan.kind, StatisticsPlan.kind, GramPlan.kind, "unheard_of"])
@pytest.mark.parametrize(
    "drawn",
    [{"sampling": "random_allocation"}, {"sampling": "poisson"}, {"sample_rate": 0.1}, {"steps_per_round": 10}, {}],
    ids=str,
)
def test_no_plan_but_a_training_plan_is_believed_to_draw_a_sample(
    kind: str, drawn: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = {name: value for name, value in json.loads(ALLOCATED.to_json()).items() if name in receipts._DRAWS}
    others = {name: value for name, value in json.loads(ALLOCATED.to_json()).items() if name not in receipts._DRAWS}
    plan = {**others, "kind": kind, **(drawn or draws)}
    wrong = replace(of_plan(ALLOCATED, 0), plan=plan, plan_digest=sha256_text(canonical_json(plan)))
    with pytest.raises(ReceiptInvalid, match="its plan does not read"):
        verify(signed_anyway(wrong, monkeypatch), KEY)


@pytest.mark.parametrize("missing", ["sample_rate", "steps_per_round", "kind"])
def test_a_training_plan_that_does_not_say_what_it_draws_is_refused(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = {name: value for name, value in json.loads(PLAN.to_json()).items() if name != missing}
    wrong = replace(RECEIPT, plan=plan, plan_digest=sha256_text(canonical_json(plan)))
    with pytest.raises(ReceiptInvalid, match="its plan does not read"):
        verify(signed_anyway(wrong, monkeypatch), KEY)


def test_a_receipt_whose_rounds_have_no_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = {**json.loads(PLAN.to_json())}
    plan["privacy"] = {**plan["privacy"], "noise_multiplier": 1e-200}
    plan["sample_rate"] = 1.0
    rounds = (RoundEntry(0, 1e-200, 1.0, 10, "a" * 64),)
    text = signed_anyway(
        replace(RECEIPT, plan=plan, plan_digest=sha256_text(canonical_json(plan)), rounds=rounds), monkeypatch
    )
    with pytest.raises(ReceiptInvalid, match="no bound by this version's accountant"):
        verify(text, KEY)


def test_a_receipts_odds_are_reckoned_from_its_own_rounds() -> None:
    bounds = membership_bounds(RECEIPT.spend)
    assert receipts.as_odds(RECEIPT) == (odds(bounds, "patient"), at_each_rate(bounds))
    assert receipts.as_odds(of_plan(OPEN_PLAN, 0)) == (odds(None, "patient"),)
