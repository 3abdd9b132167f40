"""What a release declared stays: plans read as they did, answers tell what they told, what came later says so."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from support.declared_forms import FORMS, PARTS, REQUIRED, default_of, form

from policies.ledger.receipt_contents import RoundEntry
from policies.versions.releases import Minor, told

FOLDER = Path(__file__).parent
RECORDED: dict[str, Any] = {
    folder.name: json.loads((folder / FORMS).read_text()) for folder in sorted(FOLDER.glob("*.*/"))
}
each = pytest.mark.parametrize("release", sorted(RECORDED))
of_each_part = pytest.mark.parametrize("part", sorted(PARTS))


def _minor(release: str) -> Minor:
    major, minor = map(int, release.split("."))
    return major, minor


def _added(one: Any) -> Minor:
    """The minor version that a plan's field came with; that of the first release where it says none."""
    return one.metadata.get("added_in", (0, 2))


@each
@of_each_part
def test_all_that_was_declared_is_there_in_its_form_and_with_its_default(release: str, part: str) -> None:
    kinds = PARTS[part]()
    for name, then in RECORDED[release][part].items():
        assert name in kinds, f"{name} is gone, which sides of {release} know"
        now = form(kinds[name])
        for field, (declared, default) in then.items():
            assert now.get(field, [None])[0] == declared, f"{name}.{field}"
            if default != REQUIRED:
                assert now[field][1] == default, f"the default of {name}.{field} means what sides of {release} do"


@each
def test_a_field_of_a_plan_that_came_since_says_when_and_has_a_default(release: str) -> None:
    recorded = RECORDED[release]["plans"]
    for name, kind in PARTS["plans"]().items():
        if name not in recorded:
            assert getattr(kind, "kind_added_in", (9999, 0)) > _minor(release), f"{name} is new: say kind_added_in"
            continue
        for one in fields(kind):
            if one.name not in recorded[name]:
                assert _added(one) > _minor(release), f"{name}.{one.name} came after {release}: say added_in"
                assert default_of(one) != REQUIRED


@each
def test_a_field_of_an_answer_that_came_since_has_a_default(release: str) -> None:
    recorded = RECORDED[release]["answers"]
    for name, kind in PARTS["answers"]().items():
        new = [one for one in fields(kind) if name in recorded and one.name not in recorded[name]]
        assert all(default_of(one) != REQUIRED and "added_later" in one.metadata for one in new), name


@each
def test_tickets_and_receipts_have_no_field_more_than_a_release_knows_what_to_do_with(release: str) -> None:
    signed, recorded = PARTS["signed"](), RECORDED[release]["signed"]
    for name in ("Ticket", "Receipt", "RoundEntry"):
        known = list(recorded[name])
        assert [one.name for one in fields(signed[name])][: len(known)] == known
        new = [one for one in fields(signed[name]) if one.name not in known]
        assert name == "RoundEntry" or not new  # whose new fields are of plans that an earlier side cannot submit
        assert all(default_of(one) != REQUIRED for one in new), name
    entry = RoundEntry(0, 1.0, 0.5, 2, "0" * 64)
    assert list(entry.to_dict()) == list(recorded["RoundEntry"])


def test_a_minor_version_reads_as_it_is_told() -> None:
    assert all(told(_minor(release)) == release for release in RECORDED)
