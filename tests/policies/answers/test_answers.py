"""What a datasite answers: the one text of each declared type, and that nothing else is read as it."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.access.people import ResearcherRow, StaffRow
from datasites.code_requests.card import RequestCard, Unusual
from datasites.console.answers import BudgetRow, FileAnswer, RemovedAnswer, RevokedAnswer, RunRow, StudyRow
from policies.answers.hospital import BudgetAnswer, DatasetSchema, HospitalAnswer
from policies.answers.plain_values import from_plain, to_plain
from policies.answers.rehearsals import RehearsalAnswer
from policies.answers.requests import BlobAnswer, ReceiptAnswer, RequestAnswer
from policies.answers.runs import ChargedRunAnswer, RunAnswer
from policies.answers.sign_in import SignInAnswer
from policies.budget.limits import DatasetLimits
from policies.contracts.inputs import Ticket
from policies.contracts.outputs import release_answer
from policies.errors import FederationError, OutputRefused
from policies.plans.tokeniser import TextForm

DIGEST = "0123456789abcdef" * 4
RUN = RunAnswer("ab12", 3, "failed", "WW502", "It ended.", "", 0, 7)
SCHEMA = DatasetSchema("cells", ("良性", "b"), (16, 20, 1), "picture", 100, 1)
WITH_TEXT = DatasetSchema("cells", ("a", "b"), (16, 20, 3), "patient", 90, 1, TextForm(6, 500))
STUDY = StudyRow("r@university.org", "cells", 0.5, 3, 1, False, False)
# Each type with the text of one of its values. These texts have been sent: none of them changes.
RECORDED: list[tuple[Any, str]] = [
    (
        RUN,
        '{"run": "ab12", "round": 3, "state": "failed", "code": "WW502", "reason": "It ended.", "update": "", '
        '"queue_position": 0, "version": 7}',
    ),
    (
        ChargedRunAnswer("ab12", 3, "done", "", "", DIGEST, 0, 8, epsilon_spent=1.5),
        '{"run": "ab12", "round": 3, "state": "done", "code": "", "reason": "", "update": "' + DIGEST + '", '
        '"queue_position": 0, "version": 8, "epsilon_spent": 1.5}',
    ),
    (RequestAnswer("ab", "pending", ""), '{"request": "ab", "state": "pending", "reason": ""}'),
    (
        RehearsalAnswer(
            "ab", "failed", "It ended.", 0.5, 300, 12.0, 1.5, "alone", "one\ntwo", "2026-11-27T22:00:00+00:00"
        ),
        '{"request": "ab", "state": "failed", "reason": "It ended.", "seconds_a_step": 0.5, "peak_memory_mb": 300, '
        '"estimated_seconds_a_round": 12.0, "estimated_hours": 1.5, "assumptions": "alone", "traceback": "one\\ntwo", '
        '"at": "2026-11-27T22:00:00+00:00"}',
    ),
    (SignInAnswer(DIGEST), '{"seed": "' + DIGEST + '"}'),
    (ReceiptAnswer("{}"), '{"receipt": "{}"}'),
    (BlobAnswer(DIGEST, 12), '{"digest": "' + DIGEST + '", "bytes": 12}'),
    (BudgetAnswer(8.0, 2.5, 1e-05), '{"epsilon_total": 8.0, "epsilon_left": 2.5, "delta": 1e-05}'),
    (
        SCHEMA,
        '{"name": "cells", "class_names": ["\\u826f\\u6027", "b"], "image_shape": [16, 20, 1], "unit": "picture", '
        '"public_size": 100, "version": 1}',
    ),
    (
        WITH_TEXT,
        '{"name": "cells", "class_names": ["a", "b"], "image_shape": [16, 20, 3], "unit": "patient", '
        '"public_size": 90, "version": 1, "text": {"length": 6, "vocabulary": 500, "tokeniser": "hashed_words_1"}}',
    ),
    (
        HospitalAnswer("north", {"wanwu": "1.0"}, {"cells": WITH_TEXT}, {"max_rounds": 5}, DIGEST, 1_700_000_000),
        '{"datasite": "north", "versions": {"wanwu": "1.0"}, "datasets": {"cells": {"name": "cells", "class_names": '
        '["a", "b"], "image_shape": [16, 20, 3], "unit": "patient", "public_size": 90, "version": 1, "text": '
        '{"length": 6, "vocabulary": 500, "tokeniser": "hashed_words_1"}}}, "limits": {"max_rounds": 5}, '
        '"public_key": "' + DIGEST + '", "time": 1700000000}',
    ),
    (
        BudgetRow("cells", 8.0, 0.5, 7.5, 1e-05, (STUDY,)),
        '{"dataset": "cells", "epsilon_total": 8.0, "epsilon_charged": 0.5, "epsilon_left": 7.5, "delta": 1e-05, '
        '"studies": [{"researcher": "r@university.org", "study": "cells", "epsilon_charged": 0.5, "rounds_reserved": '
        '3, "rounds_run": 1, "ended": false, "non_private": false}]}',
    ),
    (
        RunRow("ab", "cd", 0, "ef", DIGEST, "running", 1, 0.5, "", "", "", 1.0, 2.0, 0.0, 4, 0),
        '{"id": "ab", "request_id": "cd", "round": 0, "account": "ef", "weights": "' + DIGEST + '", "state": '
        '"running", "attempt": 1, "progress": 0.5, "reason": "", "code": "", "update_digest": "", "created": 1.0, '
        '"started": 2.0, "ended": 0.0, "version": 4, "queue_position": 0}',
    ),
    (
        ResearcherRow("r@university.org", "valid", "2026-01-01", "2026-04-01", None, 90),
        '{"email": "r@university.org", "state": "valid", "issued": "2026-01-01", "expires": "2026-04-01", '
        '"revoked": null, "days_left": 90}',
    ),
    (
        StaffRow("anna", "admin", "2026-01-01", "owner", True, False),
        '{"name": "anna", "role": "admin", "added_at": "2026-01-01", "added_by": "owner", "password": true, '
        '"second_factor": false, "proposed_role": "", "proposed_by": []}',
    ),
    (FileAnswer("r.json"), '{"file": "r.json"}'),
    (RevokedAnswer(2), '{"certificates": 2}'),
    (RemovedAnswer("anna"), '{"name": "anna"}'),
    (
        RequestCard(
            "ab",
            "pending",
            "r@u.org",
            "now",
            "",
            "",
            1e-05,
            {"rounds": 3},
            1.5,
            2.5,
            10,
            DIGEST,
            3,
            1,
            "approve",
            (),
            2,
        ),
        '{"id": "ab", "state": "pending", "researcher": "r@u.org", "submitted": "now", "reason": "", "decided_by": '
        '"", "delta": 1e-05, "plan": {"rounds": 3}, "epsilon": 1.5, "epsilon_left": 2.5, "numbers": 10, "digest": "'
        + DIGEST
        + '", "days_waiting": 3, "votes_given": 1, "own_vote": "approve", "votes": [], "approvals_needed": 2, '
        '"finding": "", "unusual": [], "dataset_version": 1}',
    ),
    (Unusual("sample_rate", "It is high."), '{"field": "sample_rate", "text": "It is high."}'),
]
FOR_RESEARCHERS = [value for value, _ in RECORDED if type(value).__module__.startswith("policies.answers")]
OPEN = ("limits", "plan")  # any JSON stands there: a later version's limits, a plan of another kind
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(("value", "text"), RECORDED, ids=lambda one: type(one).__name__)
def test_an_answer_has_the_text_that_was_recorded_and_reads_back(value: Any, text: str) -> None:
    assert json.dumps(to_plain(value)) == text
    assert from_plain(type(value), json.loads(text), FederationError) == value


def test_limits_and_tickets_have_the_texts_that_were_recorded() -> None:
    assert Ticket(3, DIGEST).to_text() == '{"round":3,"weights":"' + DIGEST + '"}'
    assert json.dumps(DatasetLimits().to_dict()) == (
        '{"total": {"epsilon": 8.0, "delta": 1e-05}, "max_study_epsilon": 8.0, "max_researcher_epsilon": 8.0, '
        '"min_noise_multiplier": 0.5, "max_grad_norms": [0.001, 100.0], "learning_rates": [1e-06, 100.0], '
        '"sample_rates": [0.0001, 1.0], "max_weight_decay": 1.0, "max_proximal_mu": 10.0, "max_rounds": 500, '
        '"max_steps": 20000, "min_public_size": 50, "min_release_size": 100, "allow_non_private": false, '
        '"approvals_needed": 1, "adaptive_filter": false, "model_sources": ["built_in"]}'
    )


@pytest.mark.parametrize("value", [value for value, _ in RECORDED], ids=lambda one: type(one).__name__)
def test_a_missing_and_an_undeclared_field_are_refused_by_name(value: Any) -> None:
    plain = to_plain(value)
    with pytest.raises(FederationError, match="'surplus'"):
        from_plain(type(value), {**plain, "surplus": 1}, FederationError)
    assert from_plain(type(value), {**plain, "surplus": 1}, FederationError, more_fields=True) == value
    first = fields(value)[0].name
    with pytest.raises(FederationError, match=f"lacks '{first}'"):
        from_plain(type(value), {name: one for name, one in plain.items() if name != first}, FederationError)
    others: tuple[object, ...] = (None, [], "text", 3)
    for other in others:
        with pytest.raises(FederationError):
            from_plain(type(value), other, FederationError)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_stands_in_a_field_is_of_its_declared_type_or_refused(data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(FOR_RESEARCHERS))
    plain = to_plain(value)
    changed = {**plain, data.draw(st.sampled_from(sorted(plain))): data.draw(ANYTHING)}
    try:
        read = from_plain(type(value), changed, FederationError)
    except FederationError as error:
        assert len(error.public) < 600
        return
    assert is_dataclass(read) and to_plain(read) == changed
    assert release_answer(read) == changed


def test_what_a_refused_answer_held_stays_in_the_hospital() -> None:
    said = "canary-7f3a"
    for value, _ in RECORDED:
        for one in (one for one in fields(value) if one.name not in OPEN):
            changed = type(value)(**{**vars(value), one.name: {said: {said}}})
            with pytest.raises(OutputRefused) as refused:
                release_answer(changed)
            assert said not in refused.value.public
            assert one.name in refused.value.private
