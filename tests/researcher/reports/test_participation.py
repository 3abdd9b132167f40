"""Who was asked, who approved, who took part in which rounds, and why the others did not."""

from __future__ import annotations

from policies.errors import DatasiteUnreachable
from researcher.reports.participation import LeftOut, participation, told_invited, told_left_out
from researcher.studies.history import PHASES, RoundRecord
from researcher.studies.taking_part.invited import Invited

REFUSED = "WW601: The hospital's disk is full."
AWAY = f"{DatasiteUnreachable.code}: Nothing answers there."


def rounds(*took_part: str, **skipped: dict[int, str]) -> list[RoundRecord]:
    """Records of rounds; `took_part` names those in the mean of each, `skipped` says of a hospital round → reason."""
    return [
        RoundRecord(
            round=number,
            datasites=tuple(names.split()),
            test_accuracy=0.5,
            macro_f1=0.5,
            confusion=((1,),),
            seconds=dict.fromkeys(PHASES, 1.0),
            bytes_up=1,
            bytes_down=1,
            skipped={name: reasons[number] for name, reasons in skipped.items() if number in reasons},
        )
        for number, names in enumerate(took_part, 1)
    ]


def test_a_hospital_in_every_mean_was_left_out_of_none() -> None:
    part = participation("a", rounds("a b", "a b"))
    assert (part.decision, part.standing, part.rounds, part.left_out) == ("approved", "all rounds", (1, 2), ())


def test_rounds_in_a_row_without_a_hospital_for_one_reason_are_told_once() -> None:
    part = participation("b", rounds("a b", "a", "a", "a b", "a", b={2: REFUSED, 3: REFUSED, 5: "late: not there"}))
    assert (part.decision, part.standing, part.rounds) == ("approved", "some rounds", (1, 4))
    assert part.left_out == (LeftOut(2, 3, REFUSED), LeftOut(5, 5, "late: not there"))


def test_rounds_without_each_hospital_are_told_in_the_order_in_which_one_was_missing() -> None:
    records = rounds("a b", "b", "", c={1: REFUSED, 2: REFUSED, 3: REFUSED}, a={2: AWAY, 3: AWAY}, b={3: AWAY})
    assert told_left_out(records) == [
        f"rounds 1 to 3 without c: {REFUSED}",
        f"rounds 2 to 3 without a: {AWAY}",
        f"round 3 without b: {AWAY}",
    ]
    assert told_left_out(rounds("a b")) == []


def test_who_never_took_part_is_told_apart_by_why() -> None:
    history = rounds(
        "a", "a", b={1: "denied: Our board said no", 2: "denied: Our board said no"}, c={1: "unreachable", 2: AWAY},
        d={1: REFUSED, 2: REFUSED}, e={1: "pending", 2: "pending"}, f={1: "withdrawn", 2: AWAY},
        g={1: "refused: WW304: Too many steps.", 2: "refused: WW304: Too many steps."},
    )  # fmt: skip
    standing = {name: participation(name, history).standing for name in "bcdefg"}
    first = {"b": "denied", "c": "unreachable", "d": "dropped", "e": "pending", "f": "unreachable"}
    assert standing == {**first, "g": "refused"}
    assert participation("b", history).left_out == (LeftOut(1, 2, "denied: Our board said no"),)


def test_a_hospital_that_ended_its_part_is_told_so() -> None:
    part = participation("b", rounds("a b", "a", "a", b={2: "ended Budget is needed", 3: "ended Budget is needed"}))
    assert (part.decision, part.rounds, part.left_out) == ("ended", (1,), (LeftOut(2, 3, "ended Budget is needed"),))


def test_one_that_joins_late_approved() -> None:
    part = participation("b", rounds("a", "a b", b={1: "pending"}))
    assert (part.decision, part.standing) == ("approved", "some rounds")


def test_who_came_later_is_told_with_when() -> None:
    invited = {"b": Invited(2, "2026-11-29T10:00:00+00:00"), "c": Invited(0, "2026-11-30T10:00:00+00:00")}
    assert told_invited(invited) == (
        "b was invited after round 2 (2026-11-29). c was invited before round 1 (2026-11-30)."
    )
    assert told_invited({}) == ""
    part = participation("b", rounds("a", "a", "a b"))
    assert part.left_out == (LeftOut(1, 2, "not asked"),) and part.standing == "some rounds"
