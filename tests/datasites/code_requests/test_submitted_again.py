"""A request whose answer was lost on its way: submitted again under its name, it is the one that the hospital has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.governed import Governed, small_plan
from support.hospitals import STRANGER

from policies.plans import stub

PLAN = small_plan("again")


@pytest.mark.parametrize("decided", ["pending", "approved", "denied"])
def test_submitted_again_under_its_name_a_request_is_found_as_it_stands(north: Governed, decided: str) -> None:
    plan = replace(PLAN, study=f"again-{decided}")
    name = stub.new_name(plan.digest())
    first = north.submit(plan, name=name)
    if decided == "approved":
        north.book.approve(first.request_id, by="wu")
    if decided == "denied":
        north.book.deny(first.request_id, reason="Not this year.", by="wu")
    known = north.book.index.ids()
    again = north.submit(plan, name=name)
    assert (again.request_id, again.function) == (first.request_id, name) and north.book.index.ids() == known
    assert north.book.state_of(again.request_id)[0] == decided


def test_under_another_name_the_same_plan_is_another_request(north: Governed) -> None:
    assert north.submit(PLAN).request_id != north.submit(PLAN).request_id


def test_another_account_finds_no_request_that_is_not_its_own(north: Governed) -> None:
    name = stub.new_name(PLAN.digest())
    first = north.submit(PLAN, name=name)
    assert north.submit(PLAN, STRANGER, name=name).request_id != first.request_id
