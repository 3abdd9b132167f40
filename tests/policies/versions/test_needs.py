"""A plan that holds something newer than a hospital knows is not sent there; one that does not is written as before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest

from policies.errors import VersionMismatch
from policies.plans.plan_json import canonical_json, plain
from policies.versions.needs import Need, added_in, check_plan, needs, values_added_in
from policies.versions.releases import Release

OLD = Release(0, 2, 7)


@dataclass(frozen=True)
class Part:
    """Part of a plan of a later release."""

    rate: float = 0.5
    ring: int = field(default=0, metadata=added_in((0, 4)))


@dataclass(frozen=True)
class LaterPlan:
    """A plan as a later release declares it."""

    kind: ClassVar[str] = "later"
    part: Part = Part()
    model: str = field(default="small_cnn", metadata=values_added_in({"large_cnn": (0, 3)}))
    findings: tuple[str, ...] = field(default=(), metadata=values_added_in({"margin": (0, 5)}))
    slow: bool = field(default=False, metadata=added_in((0, 3)))


@dataclass(frozen=True)
class NewKind:
    """A kind of plan that came later."""

    kind_added_in: ClassVar[tuple[int, int]] = (0, 3)
    rounds: int = 1


def test_a_plan_that_holds_nothing_newer_is_written_as_an_older_hospital_reads_it() -> None:
    plan = LaterPlan()
    assert list(needs(plan)) == []
    assert canonical_json(plain(plan)) == '{"findings":[],"model":"small_cnn","part":{"rate":0.5}}'
    check_plan(plan, OLD, "north")


@pytest.mark.parametrize(
    ("plan", "need"),
    [
        (LaterPlan(slow=True), Need("slow", (0, 3))),
        (LaterPlan(model="large_cnn"), Need("model", (0, 3))),
        (LaterPlan(part=Part(ring=2)), Need("part.ring", (0, 4))),
        (LaterPlan(findings=("cap", "margin")), Need("findings", (0, 5))),
        (NewKind(), Need("kind", (0, 3))),
    ],
)
def test_a_newer_field_value_or_kind_is_sent_to_hospitals_that_know_it_alone(plan: LaterPlan, need: Need) -> None:
    assert list(needs(plan)) == [need]
    check_plan(plan, Release(*need.minor, 0), "north")
    with pytest.raises(VersionMismatch, match=f"needs 0.{need.minor[1]}: {need.field}"):
        check_plan(plan, OLD, "north")


def test_the_newest_need_is_told_with_both_releases_and_what_to_do() -> None:
    plan = replace(LaterPlan(slow=True), part=Part(ring=1))
    with pytest.raises(VersionMismatch) as refused:
        check_plan(plan, OLD, "north")
    assert refused.value.public == (
        "Datasite 'north' runs Wanwu 0.2.7, and this plan needs 0.4: part.ring. Nothing was submitted there. Ask the "
        "hospital to update to Wanwu 0.4, or plan without it."
    )
