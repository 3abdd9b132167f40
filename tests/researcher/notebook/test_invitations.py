"""Inviting hospitals from a notebook and by the command: whom it connects to, what the folder knows, what is told."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import CLASSES, draw_pictures
from support.notebooks import AtHome, dataset, faults, federation, words

from policies.errors import ConfigError
from policies.terminal.rich_terminal import PlainConsole
from researcher.cli import main, studies
from researcher.cli import repetition as repetition_commands
from researcher.notebook import federation as notebook_federation
from researcher.notebook.repetition import repetition
from researcher.notebook.study import Study
from researcher.studies.taking_part.on_the_way import ON_THE_WAY_FILE
from researcher.terminal.waiting import wait_for_decisions as wait_in_terminal

SMALL: dict[str, Any] = {"model": "linear", "num_rounds": 2, "sample_rate": 0.2, "noise_multiplier": 2.0}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    images, labels = draw_pictures(8, seed=3)
    np.savez(tmp_path / "hold_out.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    at = federation()
    at.came_from = ("first/*.json",)
    return at.plan(**SMALL).submit(tmp_path / "study", hold_out=tmp_path / "hold_out.npz", min_clients=1)


@pytest.fixture
def west(monkeypatch: pytest.MonkeyPatch) -> AtHome:
    """Another hospital, which `connect` finds whatever credentials it is given."""
    at = federation(dataset("west"))
    at.came_from = ("later/west.json",)
    at.hospitals["west"].public_key = "1" * 64
    monkeypatch.setattr(notebook_federation.Federation, "connect", classmethod(lambda cls, given, **how: at))
    return at


def keyed(study: Study) -> Study:
    """The study with hospitals that sign with keys of their own."""
    for name, hospital in study.federation.hospitals.items():
        hospital.public_key = name.encode().hex().ljust(64, "0")
    return study


def test_further_credentials_connect_a_hospital_and_the_folder_knows_it_from_then_on(
    study: Study, west: AtHome
) -> None:
    made = keyed(study).invite("later/west.json")
    assert made.invited == ["west"] and made.asked_before == {"north": "approved", "south": "approved"}
    assert west.submitted == [("west", study.plan.digest())]
    assert list(study.federation.hospitals) == ["north", "south", "west"]
    setup = study.setup
    assert setup is not None and set(setup.hospitals) == {"north", "south", "west"}
    assert setup.credentials == ("first/*.json", "later/west.json")
    assert "west: west-req approved; invited before round 1 (" in repr(study.status())
    html = study.status()._repr_html_()
    assert "invited before round 1" in words(html) and not list(faults(html))
    assert list(study.wait().decisions) == ["north", "south", "west"]
    with pytest.raises(ConfigError, match="give its credentials too"):
        study.invite()


def test_who_waits_for_decisions_reads_which_hospitals_have_no_request(
    study: Study, west: AtHome, capsys: pytest.CaptureFixture[str]
) -> None:
    study.wait()
    assert "no request" not in capsys.readouterr().out
    more = federation(dataset("north"), dataset("south"), dataset("west"), replace(dataset("east"), name="other"))
    waiting = Study.load(more, study.folder)
    waiting.wait()
    told = "1 hospital has no request of this study yet (west). To ask it too, stop this: study.invite()."
    assert told in capsys.readouterr().out
    in_terminal = f"stop this: 'python -m researcher invite --out {study.folder}'."
    wait_in_terminal(waiting, PlainConsole(width=500), min_clients=1, grace_seconds=0.0, others_may_be_invited=True)
    assert in_terminal in capsys.readouterr().out
    wait_in_terminal(waiting, PlainConsole(width=500), min_clients=1, grace_seconds=0.0)
    assert "no request" not in capsys.readouterr().out
    keyed(waiting).invite()
    waiting.wait()
    assert "no request" not in capsys.readouterr().out


def test_a_repetition_tells_who_came_later_in_the_first_study(study: Study, west: AtHome) -> None:
    keyed(study).invite("later/west.json")
    again = repetition(study.federation, study.folder)
    told = "west was invited before round 1 ("
    assert next(one for one in again.differs if one.startswith(told)).endswith("asks all of them at once.")
    assert "takes part now and did not then" not in repr(again)


def test_what_the_folder_knows_of_hospitals_that_are_away_counts(study: Study, west: AtHome) -> None:
    """Nobody of the study is connected: its setup says which classes it has, and whose key is whose."""
    west.hospitals["west"].datasets["pictures"] = replace(dataset("west"), class_names=CLASSES[::-1])
    keyed(study)
    study.federation.join("later/west.json")
    for name in ("north", "south"):
        study.federation.hospitals[name].datasets = {}
    assert "The same classes in another order" in study.invite().without["west"] and not west.submitted
    west.hospitals["west"].public_key = "0" * 64  # that of both when they were asked
    assert "it signs with the key of north" in study.invite(hospital="west").without["west"]


def test_the_command_says_who_was_invited_who_was_not_and_who_has_a_request(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = federation(dataset("north"), dataset("south"), dataset("west"), dataset("east", image_shape=(8, 8, 3)))
    for number, hospital in enumerate(at.hospitals.values()):
        hospital.public_key = f"{number}" * 64
    at.hospitals["south"].routes.answers[0] = replace(  # type: ignore[attr-defined]
        at.hospitals["south"].routes.answers[0],  # type: ignore[attr-defined]
        state="denied",
        reason="Not this year.",
    )
    for commands in (studies, repetition_commands):
        monkeypatch.setattr(commands, "connect", lambda credentials, **how: nullcontext(at))
    capsys.readouterr()
    out = ["--out", str(study.folder)]
    assert main(["invite", *out]) == 0
    told = capsys.readouterr().out
    assert "west: request west-req, waiting for the hospital's decision" in told
    assert "without east: its image_shape is (8, 8, 3)" in told
    assert "south was asked before: denied: Not this year." in told
    assert main(["invite", *out, "--hospital", "east"]) == 1
    assert "take part from the round" not in capsys.readouterr().out
    assert main(["invite", *out, "--hospital", "south"]) == 1
    assert "There is nobody to invite" in capsys.readouterr().err
    (study.folder / ON_THE_WAY_FILE).write_text(json.dumps({"east": "wanwu_x"}))
    assert main(["status", *out]) == 0
    told = capsys.readouterr().out
    assert "west: invited before round 1 (" in told and "east: may have a request that was not noted here" in told
