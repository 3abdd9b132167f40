"""The latest look of the doctor, for a datasite that serves: one at a time, the one before stays meanwhile."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.waiting import wait_for

from datasites.doctor import latest_examination
from datasites.doctor.latest_examination import Examination, LatestExamination

FOUND = [
    {"check": "ports", "level": "problem", "text": "Nothing answers.", "advice": "Start it."},
    {"check": "clock", "level": "warning", "text": "?", "advice": ""},
]


def test_there_is_one_look_at_a_time_and_the_findings_before_stay_until_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, go_on = iter([FOUND, []]), threading.Event()

    def run(*_: Any, **__: Any) -> Any:
        wait_for(go_on.is_set)
        return SimpleNamespace(stdout=json.dumps(next(answers)))

    monkeypatch.setattr(latest_examination.subprocess, "run", run)
    latest, heard = LatestExamination(tmp_path), list[Examination]()
    assert latest.now == Examination()
    latest.begin(then=heard.append)
    assert latest.now.under_way and latest.examine() is None
    latest.begin(then=heard.append)
    go_on.set()
    wait_for(lambda: bool(heard))
    assert heard == [latest.now] and latest.now.problems == {"ports": "Nothing answers. Start it."}
    go_on.clear()
    latest.begin(then=heard.append)
    assert latest.now.under_way and len(latest.now.findings) == 2
    go_on.set()
    wait_for(lambda: len(heard) == 2)
    assert (latest.now.under_way, latest.now.findings) == (False, ())


@pytest.mark.parametrize("said", ["", "{", "[1]", '[{"check": "x"}]', "null"])
def test_a_doctor_that_cannot_look_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(latest_examination.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=said))
    made = LatestExamination(tmp_path).examine()
    assert made is not None and set(made.problems) == {"doctor"}
