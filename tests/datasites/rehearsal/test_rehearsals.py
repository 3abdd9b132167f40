"""The table of rehearsals: whose turn it is, what outlives a stop, and what an approval asks of it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from datasites.rehearsal.rehearsals import Rehearsal, Rehearsals
from policies.answers.plain_values import from_plain, to_plain
from policies.answers.rehearsals import MAX_LINE, MAX_LINES, RehearsalAnswer
from policies.errors import FederationError, NotRehearsed

PASSED = Rehearsal("a", "passed", "", 0.5, 300, 12.0, 1.3, "on this machine")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Rehearsals]:
    opened = Rehearsals(tmp_path / "rehearsals.sqlite")
    yield opened
    opened.close()


def next_of(table: Rehearsals) -> str:
    found = table.next()
    return "" if found is None else found.request_id


def test_the_one_that_has_waited_longest_is_next_and_keeps_its_turn_when_it_is_put_back(table: Rehearsals) -> None:
    for name in ("b", "a", "c"):
        table.arrived(name)
    first = table.next()
    assert first is not None and first.request_id == "b"
    table.begin(first)
    assert next_of(table) == "a"
    table.put_back(first)
    assert next_of(table) == "b"
    table.end(replace(first, state="failed"))
    assert next_of(table) == "a"


def test_who_asks_again_waits_behind_the_others_and_what_waits_is_not_asked_for_twice(table: Rehearsals) -> None:
    table.arrived("a")
    table.end(PASSED)
    table.arrived("b")
    assert table.ask("a").state == "waiting"
    table.ask("b")
    assert next_of(table) == "b"
    found = table.of("a")
    assert found is not None and found.seconds_a_step == 0.0


def test_a_stop_leaves_what_ended_and_has_what_ran_wait_again(tmp_path: Path) -> None:
    file = tmp_path / "rehearsals.sqlite"
    table = Rehearsals(file)
    for name in ("a", "b"):
        table.arrived(name)
    running = table.of("b")
    assert running is not None
    table.begin(running)
    table.end(PASSED)
    table.close()
    again = Rehearsals(file)
    again.recover()
    kept = again.of("a")
    assert kept is not None and replace(kept, at="") == PASSED
    assert next_of(again) == "b"
    again.close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_datasite_that_does_not_want_rehearsals_makes_none_on_arrival_but_those_that_are_asked_for(
    tmp_path: Path,
) -> None:
    table = Rehearsals(tmp_path / "rehearsals.sqlite", on_arrival=False)
    table.arrived("a")
    assert table.next() is None
    table.ask("a")
    assert next_of(table) == "a"
    table.close()


@pytest.mark.parametrize("state", ["none", "waiting", "failed", "impossible", "passed"])
def test_where_a_rehearsal_is_required_only_one_that_passed_lets_an_approval_through(
    state: str, tmp_path: Path
) -> None:
    for required in (False, True):
        table = Rehearsals(tmp_path / f"{required}.sqlite", required=required)
        if state != "none":
            table.ask("a")
            table.end(replace(PASSED, state=state))
        if required and state != "passed":
            with pytest.raises(NotRehearsed):
                table.check("a")
        else:
            table.check("a")
        table.close()


def test_the_answer_is_read_as_it_was_told_and_refused_where_it_could_move_a_terminal() -> None:
    def read(answer: RehearsalAnswer) -> RehearsalAnswer:
        return from_plain(RehearsalAnswer, to_plain(answer), FederationError)

    told = replace(PASSED, traceback="one\ntwo").public()
    assert read(told) == told
    assert read(told).told().startswith("passed, about 12 s a round and 1.3 h in all")
    for hours, words in ((0.012, "43 s in all"), (0.2, "12 min in all")):
        assert words in replace(read(told), estimated_hours=hours).told()
    for changes in (
        {"state": "else"},
        {"reason": "\x1b[2J"},
        {"traceback": "a\x07"},
        {"traceback": "\n" * MAX_LINES},
        {"traceback": "x" * (MAX_LINE + 1)},
        {"seconds_a_step": -1.0},
        {"peak_memory_mb": -1},
    ):
        with pytest.raises(FederationError):
            read(replace(told, **changes))  # type: ignore[arg-type]
