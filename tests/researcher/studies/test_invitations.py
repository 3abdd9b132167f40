"""Hospitals that come to a submitted study: when they are asked, when not, and that nothing is lost or twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_hospitals import averaged, federation_of
from support.hospitals import CLASSES, draw_pictures
from support.invitable_hospitals import SPEC, InvitableHospital, dataset_of, invitable
from support.signed_studies import BY_A_GRAM, GRAM, kept_gram
from support.waiting import wait_for

from datasites.training.models import initial_weights
from policies.answers.requests import RequestAnswer
from policies.errors import ConfigError, DatasiteUnreachable, FederationError, LimitExceeded
from policies.plans.training import PrivacySpec, ServerSpec, TrainingPlan
from researcher.evaluation.hold_out import HoldOut
from researcher.studies.history import RoundRecord
from researcher.studies.kept_plan import STUDY_FILE, kept
from researcher.studies.study import Study
from researcher.studies.submission import Submission
from researcher.studies.taking_part.on_the_way import ON_THE_WAY_FILE, on_the_way
from researcher.terminal.inviting import Invitations, KnownHospital, invite

PLAN = TrainingPlan("study", "d", SPEC, 4, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
FIRST = initial_weights(SPEC, 0)
HOLD_OUT = HoldOut(*draw_pictures(20, seed=99), CLASSES)
Made = tuple[Study, list[InvitableHospital]]


def submitted(folder: Path, *names: str, plan: TrainingPlan = PLAN) -> Made:
    """A study at these hospitals."""
    hospitals = [invitable(folder, name, FIRST) for name in names]
    return Study.submit(federation_of(*hospitals), plan, folder / "study"), hospitals


def ran(study: Study, rounds: int = PLAN.rounds, **more: Any) -> tuple[Any, list[RoundRecord]]:
    state, history = study.run(hold_out=HOLD_OUT, initial_weights=FIRST, rounds=rounds, **{"min_clients": 1, **more})
    return state, history.records


def with_more(study: Study, *more: InvitableHospital) -> Study:
    """The study as another process opens it that knows more hospitals."""
    hospitals: Any = [*study.federation.hospitals.values(), *more]
    return Study.load(federation_of(*hospitals), study.folder)


def invited(study: Study, **more: Any) -> Invitations:
    return invite(study, **{"known": {}, **more})


def test_a_hospital_that_is_invited_between_rounds_is_in_the_next(tmp_path: Path) -> None:
    study, (a, b) = submitted(tmp_path, "a", "b")
    ran(study, 2)
    c = invitable(tmp_path, "c", FIRST)
    study = with_more(study, c)
    made = invited(study)
    assert made.invited == ["c"] and not made.without
    assert made.asked_before == {"a": "approved", "b": "approved"}
    state, records = ran(study)
    assert [record.datasites for record in records] == [("a", "b")] * 2 + [("a", "b", "c")] * 2
    expected = averaged(FIRST, records)
    assert all(np.allclose(expected[key], state.weights[key], atol=1e-5) for key in FIRST)
    assert (a.charged, b.charged) == (dict.fromkeys(range(4), 1),) * 2 and c.charged == {2: 1, 3: 1}
    assert [set(record.epsilon) for record in records] == [{"a", "b"}] * 2 + [{"a", "b", "c"}] * 2
    told = kept(study.folder)
    assert told["invited"]["c"]["after_round"] == 2 and list(told["requests"]) == ["a", "b", "c"]
    assert not (study.folder / ON_THE_WAY_FILE).exists()


def test_every_hospital_gets_the_plan_to_the_last_byte(tmp_path: Path) -> None:
    study, (a,) = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    invited(with_more(study, c))
    (first,), (later,) = a.requests.values(), c.requests.values()
    assert first["plan"] == later["plan"] == kept(study.folder)["plan"] == PLAN.to_json()


def test_a_hospital_decides_when_it_does_and_its_canary_runs_first(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    c.decision = ("pending", "")
    study = with_more(study, c)
    invited(study)
    assert study.invited["c"].told().startswith("invited before round 1 (")

    def decide(record: RoundRecord) -> None:
        if record.round == 2:
            c.decision = ("approved", "")

    _, records = ran(study, on_round=decide)
    assert [record.datasites for record in records] == [("a",)] * 2 + [("a", "c")] * 2
    assert [record.skipped for record in records] == [{"c": "pending"}] * 2 + [{}] * 2
    assert study.canaries["c"].passed
    d = invitable(tmp_path, "d", FIRST)
    with pytest.raises(ConfigError, match=r"^All 4 rounds of 'study' are done"):
        invited(with_more(study, d))
    assert not d.requests


def test_a_canary_that_fails_leaves_the_newcomer_out_and_the_others_go_on(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a")
    ran(study, 1)
    c = invitable(tmp_path, "c", FIRST)
    c.canary_fails = "Its GPU is gone."
    study = with_more(study, c)
    invited(study)
    _, records = ran(study)
    assert [record.datasites for record in records] == [("a",)] * 4 and not c.charged
    assert records[-1].skipped["c"].startswith("canary failed: WW501")


# --- who came neither at first nor at all ----------------------------------------------------------------------


def test_a_hospital_that_was_away_at_first_has_its_request_and_is_refused_no_more(tmp_path: Path) -> None:
    a, c = invitable(tmp_path, "a", FIRST), invitable(tmp_path, "c", FIRST)
    c.away = True
    study = Study.submit(federation_of(a, c), PLAN, tmp_path / "study")
    assert list(study.refused) == ["c"] and not c.requests
    ran(study, 1)
    made = invited(study)
    assert made.without["c"].startswith(DatasiteUnreachable.code) and not made.invited
    c.away = False
    assert invited(study).invited == ["c"] and not study.refused and len(c.requests) == 1
    _, records = ran(study)
    assert records[0].skipped["c"].startswith(DatasiteUnreachable.code)
    assert [record.datasites for record in records] == [("a",)] + [("a", "c")] * 3 and not records[-1].skipped


def test_a_hospital_that_refuses_is_told_as_that_and_may_be_invited_once_it_would_not(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    c.refuses = LimitExceeded("Too many steps.")
    study = with_more(study, c)
    assert invited(study).without == {"c": "WW304: Too many steps."} == study.refused == kept(study.folder)["refused"]
    assert on_the_way(study.folder) == ()
    c.refuses = None
    assert invited(study).invited == ["c"] and "refused" not in kept(study.folder)


# --- nothing is lost where somebody is killed or the line breaks -------------------------------------------------


def test_a_request_whose_answer_is_lost_is_found_and_not_made_twice(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    study = with_more(study, c)

    def breaks() -> None:
        raise DatasiteUnreachable("The line broke.")

    c.answering = breaks
    assert invited(study).without["c"].startswith(DatasiteUnreachable.code)
    assert on_the_way(study.folder) == ("c",) and len(c.requests) == 1
    c.refuses = LimitExceeded("Stricter since.")
    invited(study)
    assert on_the_way(study.folder) == ("c",), "it may be there all the same"
    c.answering, c.refuses = lambda: None, None
    assert invited(with_more(study)).invited == ["c"]
    assert len(c.requests) == 1 and not on_the_way(study.folder)


def killed(do: Callable[[], object]) -> None:
    """Does something in a process of its own, which is killed in the middle of it."""
    process = multiprocessing.get_context("fork").Process(target=do)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_killed_between_a_hospitals_taking_and_the_note_of_it_the_request_is_found(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    c.answering = lambda: os.kill(os.getpid(), signal.SIGKILL)
    killed(lambda: invited(with_more(study, c)))
    assert "c" not in kept(study.folder)["requests"] and on_the_way(study.folder) == ("c",)
    ((taken,),) = [list(c.requests)]
    c.answering = lambda: None
    study = with_more(study, c)
    assert invited(study).invited == ["c"]
    assert study.requests["c"].function == taken and len(c.requests) == 1 and not on_the_way(study.folder)


def test_hospitals_are_asked_for_a_plan_beside_each_other_and_stand_in_their_order(tmp_path: Path) -> None:
    a, b = hospitals = [invitable(tmp_path, name, FIRST) for name in ("a", "b")]
    a.answering = lambda: wait_for(lambda: (tmp_path / "study" / STUDY_FILE).exists())  # b was taken by then
    study = Study.submit(federation_of(*hospitals), PLAN, tmp_path / "study")
    assert list(study.requests) == ["a", "b"] and [len(one.requests) for one in (a, b)] == [1, 1]


@pytest.mark.parametrize("noted", [False, True])
def test_a_submission_that_is_killed_leaves_no_request_behind(tmp_path: Path, noted: bool) -> None:
    a, b = hospitals = [invitable(tmp_path, name, FIRST) for name in ("a", "b")]
    file = tmp_path / "study" / STUDY_FILE

    def kill() -> None:
        wait_for(lambda: file.exists() if noted else a.requests)
        os.kill(os.getpid(), signal.SIGKILL)

    a.answering, b.answering = (lambda: None) if noted else threading.Event().wait, kill
    killed(lambda: Study.submit(federation_of(*hospitals), PLAN, tmp_path / "study"))
    a.answering = b.answering = lambda: None
    assert file.exists() == noted and [len(one.requests) for one in hospitals] == [1, 1]
    if noted:
        study = Study.load(federation_of(*hospitals), tmp_path / "study")
        assert invited(study).invited == ["b"]
    else:
        study = Study.submit(federation_of(*hospitals), PLAN, tmp_path / "study")
    assert list(study.requests) == ["a", "b"] and [len(one.requests) for one in hospitals] == [1, 1]
    assert not on_the_way(study.folder)


@pytest.mark.parametrize("noted", ["[", "[1]", '{"c": "wanwu_0000000000000000_00000000"}', '{"c": "../x"}', '{"c": 1}'])
def test_a_note_that_is_none_of_this_plan_is_passed_over(tmp_path: Path, noted: str) -> None:
    study, _ = submitted(tmp_path, "a")
    (study.folder / ON_THE_WAY_FILE).write_text(noted)
    c = invitable(tmp_path, "c", FIRST)
    assert invited(with_more(study, c)).invited == ["c"]
    assert next(iter(c.requests)).startswith(f"wanwu_{PLAN.digest()[:16]}_") and not on_the_way(study.folder)


def test_what_one_object_notes_no_other_one_of_the_folder_forgets(tmp_path: Path) -> None:
    c = invitable(tmp_path, "c", FIRST)
    stale, hospitals = submitted(tmp_path, "a")
    stale = with_more(stale, c)
    invited(with_more(stale, *hospitals, c))
    assert "c" not in stale.requests
    _, records = ran(stale)
    assert "c" in kept(stale.folder)["requests"] and records[0].datasites == ("a", "c")


# --- who is not asked ----------------------------------------------------------------------------------------------


def test_a_hospital_that_decided_is_not_asked_again_and_the_reason_is_told(tmp_path: Path) -> None:
    study, (a, b) = submitted(tmp_path, "a", "b")
    b.decision = ("denied", "Ask the ethics board first.")
    for hospital, named in (
        (None, r"a: approved; b: denied: Ask the ethics board first\."),
        ("b", r"\(b: denied: Ask"),
    ):
        with pytest.raises(ConfigError, match=f"There is nobody to invite: .*{named}.* also where it denied"):
            invited(study, hospital=hospital)
    with pytest.raises(FederationError, match="No connection to a datasite 'x'"):
        invited(study, hospital="x")
    assert [len(one.requests) for one in (a, b)] == [1, 1]


def test_one_hospital_of_several_may_be_meant(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a")
    c, d = invitable(tmp_path, "c", FIRST), invitable(tmp_path, "d", FIRST)
    study = with_more(study, c, d)
    assert invited(study, hospital="d").invited == ["d"] and not c.requests


@pytest.mark.parametrize(
    ("states", "ended"),
    [
        (("ended", "ended"), True),
        (("withdrawn", "denied"), True),
        (("ended", "approved"), False),
        (("denied", "denied"), False),
        (("ended", "pending"), False),
    ],
    ids=str,
)
def test_a_study_that_was_ended_takes_nobody_in(tmp_path: Path, states: tuple[str, str], ended: bool) -> None:
    study, hospitals = submitted(tmp_path, "a", "b")
    for one, state in zip(hospitals, states, strict=True):
        one.decision = (state, "")
    c = invitable(tmp_path, "c", FIRST)
    study = with_more(study, c)
    if ended:
        with pytest.raises(ConfigError, match=f"'study' was ended \\(a: {states[0]}; b: {states[1]}\\)"):
            invited(study)
    else:
        invited(study)
    assert bool(c.requests) is not ended


@pytest.mark.parametrize(
    ("published", "why"),
    [
        ({"class_names": CLASSES[::-1]}, "its class_names is .*The same classes in another order.*It was not asked"),
        ({"image_shape": (32, 32, 1)}, r"its image_shape is \(32, 32, 1\), the study's is \(16, 16, 1\)"),
        ({"unit": "patient"}, "its unit is patient, the study's is picture"),
        (
            {"public_size": 200_000},
            "the plan's delta, 1e-5, promises nothing to its 200000 units: it would have to be",
        ),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_hospital_with_other_pictures_is_not_asked(
    tmp_path: Path, published: dict[str, Any], why: str, is_there: bool
) -> None:
    study, (a,) = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST, **published)
    study = with_more(study, c)
    known = {"a": KnownHospital("key of a", dataset_of("a"))}
    if not is_there:
        study.federation.hospitals["a"].datasets = {}  # type: ignore[assignment]
        a.away = True
    made = invited(study, known=known)
    assert list(made.without) == ["c"] and not c.requests and not study.refused
    assert re.search(why, made.without["c"])


def test_a_budget_that_hardly_holds_the_study_is_told_and_asked_all_the_same(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    c.left = 0.01
    study = with_more(study, c)
    made = invited(study)
    assert made.invited == ["c"] and "0.01 of 8 is left there" in made.short["c"]
    said = made.told(study.requests)
    assert said[0] == "c: request c-0, waiting for the hospital's decision" and said[1].startswith("c: the study alone")
    assert said[-1].startswith("They take part") and repr(made).startswith("c: invited, waiting")
    assert "\x1b" not in repr(Invitations(without={"c": "\x1b[2J"}))


def test_a_request_for_counts_takes_nobody_in(tmp_path: Path) -> None:
    a, c = invitable(tmp_path, "a", FIRST), invitable(tmp_path, "c", FIRST)
    Submission.submit(federation_of(a), GRAM, tmp_path / "counts")
    study = Study.load(federation_of(a, c), tmp_path / "counts")
    with pytest.raises(ConfigError, match="holds a request for counts"):
        invited(study)


def test_a_hospital_under_two_names_is_asked_once(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    c.public_key = "key of a"  # type: ignore[attr-defined]
    made = invited(with_more(study, c))
    assert made.without["c"].startswith("it signs with the key of a") and not c.requests


def test_without_the_dataset_or_anything_to_hold_it_against_nobody_is_asked(tmp_path: Path) -> None:
    study, (a,) = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    study, a.datasets = with_more(study, c), {}
    assert "nothing here tells what the study's other hospitals publish" in invited(study).without["c"]
    c.datasets = {}
    assert invited(study).without["c"] == "it has no dataset 'd'; it has none."


def test_while_a_process_is_at_the_study_nobody_is_asked(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    with (
        study.held(),
        pytest.raises(ConfigError, match=rf"^Process {os.getpid()} works on the study .* stop it, which loses nothing"),
    ):
        invited(with_more(study, c))
    assert not c.requests


# --- strategies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["scaffold", "mr_mtl"])
def test_strategies_that_keep_something_of_each_hospital_begin_a_newcomer_as_one_that_comes_late(
    tmp_path: Path, strategy: str
) -> None:
    """One that decided late and one that was asked late end in the same model."""
    plan = replace(PLAN, server=ServerSpec(strategy))
    found = []
    for late in ("asked", "decided"):
        folder = tmp_path / late
        folder.mkdir()
        study, hospitals = submitted(folder, *(["a", "b"] if late == "asked" else ["a", "b", "c"]), plan=plan)
        hospitals[-1].decision = ("approved" if late == "asked" else "pending", "")
        ran(study, 2)
        if late == "asked":
            hospitals.append(invitable(folder, "c", FIRST))
            study = with_more(study, hospitals[-1])
            invited(study)
        hospitals[-1].decision = ("approved", "")
        state, records = ran(study)
        assert [record.datasites for record in records] == [("a", "b")] * 2 + [("a", "b", "c")] * 2
        assert state.kept is not None and sorted(state.kept.hospitals) == ["a", "b", "c"]
        found.append(state)
    assert all(np.allclose(found[0].weights[key], found[1].weights[key], atol=1e-6) for key in FIRST)
    for name in ("a", "b", "c"):
        one, other = (state.kept.read(name) for state in found)
        assert all(np.allclose(one[key], other[key], atol=1e-6) for key in FIRST)


@pytest.mark.parametrize(("strategy", "least"), [("krum", 5)])
def test_least_numbers_are_those_of_a_round_whoever_is_invited(tmp_path: Path, strategy: str, least: int) -> None:
    plan = replace(PLAN, server=ServerSpec(strategy))
    names = [f"h{number}" for number in range(least)]
    study, _ = submitted(tmp_path, *names[:-1], plan=plan)
    with pytest.raises(ConfigError, match="The study's strategy needs"):
        ran(study, min_clients=1)
    last = invitable(tmp_path, names[-1], FIRST)
    study = with_more(study, last)
    invited(study)
    _, records = ran(study, min_clients=least)
    assert all(record.datasites == tuple(names) for record in records)


def test_the_note_of_an_invitation_that_somebody_changed_ends_nothing(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a")
    values = kept(study.folder) | {"invited": {"a": 1, "b": {"after_round": "x", "at": ""}, "c": {}}}
    (study.folder / STUDY_FILE).write_text(json.dumps(values))
    assert with_more(study).invited == {}


def test_a_study_in_few_rounds_takes_in_who_is_in_its_matrix_and_nobody_else(tmp_path: Path) -> None:
    study, _ = submitted(tmp_path, "a", plan=replace(BY_A_GRAM, dataset="d"))
    b, c = invitable(tmp_path, "b", FIRST), invitable(tmp_path, "c", FIRST)
    kept_gram(["a", "b"]).save(study.folder)
    made = invited(with_more(study, b, c))
    assert made.invited == ["b"] and not c.requests
    assert "a Gram matrix that holds none of its features" in made.without["c"]
    assert "'python -m researcher gram'" in made.without["c"]


# --- what else the researcher does with it -------------------------------------------------------------------------


def test_end_and_receipts_go_to_the_newcomer_too(tmp_path: Path) -> None:
    study, (a,) = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    c.decision = ("pending", "")
    study = with_more(study, c)
    invited(study)
    told: list[tuple[str, str]] = []
    for one in (a, c):
        routes: Any = one
        routes.withdraw = lambda request, name=one.name: (
            told.append(("withdraw", name)) or RequestAnswer(request, "withdrawn", "")
        )
        routes.end = lambda request, name=one.name: told.append(("end", name))
        routes.receipt = lambda request: "{}"
    assert study.withdraw() == {"c": "withdrawn"}
    c.decision = ("approved", "")
    study.end()
    assert told[0] == ("withdraw", "c") and sorted(told[1:]) == [("end", "a"), ("end", "c")]
    assert [file.name for file in study.receipts(tmp_path / "receipts")] == ["a.receipt.json", "c.receipt.json"]


def test_a_command_that_only_knows_the_first_hospitals_says_which_credentials_it_lacks(tmp_path: Path) -> None:
    study, (a,) = submitted(tmp_path, "a")
    c = invitable(tmp_path, "c", FIRST)
    invited(with_more(study, c))
    with pytest.raises(ConfigError, match=r"The study runs at c too\. Connect with its"):
        Study.load(federation_of(a), study.folder)
