"""A request is rehearsed at a real hospital before a person looks, at no cost; after that, a rule may decide."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from support.hospitals import Hospital, command, small_plan
from support.waiting import wait_for

from policies.answers.rehearsals import RehearsalAnswer

if TYPE_CHECKING:
    from researcher.hospitals.federation import Federation


def test_a_request_is_rehearsed_on_arrival_and_again_when_a_person_asks(
    hospitals: dict[str, Hospital], federation: Federation, tmp_path: Path
) -> None:
    from researcher.studies.study import Study

    north, south = hospitals["north"], hospitals["south"]
    entries = north.ledger_entries()
    study = Study.submit(federation, small_plan(federation, study="rehearsed"), tmp_path)
    assert "south" not in study.rehearsals(), "its setting says so"

    def ended(name: str) -> RehearsalAnswer | None:
        found = study.rehearsals()[name]
        return found if found.state not in ("waiting", "running") else None

    found = wait_for(lambda: ended("north"))
    assert found.state == "passed", found
    assert found.seconds_a_step > 0 and found.estimated_seconds_a_round > 0 and found.peak_memory_mb > 50

    south.admin("rehearse", study.requests["south"].request_id)
    assert wait_for(lambda: ended("south")).state == "passed"

    access = [part for one in hospitals.values() for part in ("--credentials", one.credentials())]
    told = command("-m", "researcher", "status", *access, "--out", tmp_path).stdout
    assert "rehearsed at north: passed, about" in told and "rehearsed at south: passed, about" in told
    words = " ".join(told.split())
    assert "the hospitals' own estimates, on the hospital's own processors" in words and "this machine" not in words
    card = north.admin("show", study.requests["north"].request_id, "--all").stdout
    assert "rehearsal" in card and "s a round" in card

    assert north.ledger_entries() == entries
    assert north.events("request rehearsed")[-1]["answer"] == "passed"


def test_what_is_like_an_approved_request_is_approved_by_a_rule_once_its_rehearsal_has_passed(
    hospitals: dict[str, Hospital], federation: Federation, tmp_path: Path
) -> None:
    from researcher.studies.study import Study

    north, plan = hospitals["north"], small_plan(federation, study="week-1")
    first = Study.submit(federation, plan, tmp_path / "first").requests["north"].request_id
    north.admin("approve", first)
    until = (datetime.now(UTC).date() + timedelta(days=7)).isoformat()
    wanted = ("weekly", "--like", first, "--study-epsilon", "8", "--month-epsilon", "8", "--until", until)
    assert "approves" in north.admin("rules", "add", *wanted, "--dry-run").stdout
    assert "in force" in north.admin("rules", "add", *wanted, "--reason", "retrained each week").stdout

    again = Study.submit(federation, replace(plan, study="week-2"), tmp_path / "again").requests["north"].request_id

    def decided() -> str:
        rows = json.loads(north.admin("requests", "--json").stdout)
        return next(str(row["decided_by"]) for row in rows if row["id"] == again)

    assert wait_for(decided).startswith("rule weekly version ")
    assert north.events("request approved")[-1]["rule"] == "weekly"
    version = decided().rpartition(" ")[2]
    assert "is off" in north.admin("rules", "off", version[:8]).stdout
