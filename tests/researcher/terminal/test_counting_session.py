"""Hospitals whose classes stand in another order, or whom a delta promises nothing, are not asked for counts."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from policies.answers.requests import RequestAnswer
from policies.errors import FederationError, PlanError
from policies.plans.picture_form import PictureForm
from policies.plans.training import ModelSpec
from policies.terminal.rich_terminal import PlainConsole

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.counts import releases
    from researcher.counts.saved import SavedCounts
    from researcher.hospitals.code_request import CodeRequest
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.planning.count_settings import CountSettings, GramSettings
    from researcher.studies.checkpoints import Checkpoint
    from researcher.terminal import counting_session
    from researcher.terminal.counting_session import ask_for_evaluation, ask_for_gram, ask_for_statistics
    from researcher.terminal.waiting import wait_for_decisions

NORTH = DatasetInfo("north", "cells", ("healthy", "nodule"), (8, 8, 1), "picture", 400, {})
MODEL = Checkpoint(
    {"w": np.zeros(1, np.float32)}, ModelSpec("linear", (8, 8, 1), 2), 1, ("healthy", "nodule"), "0" * 64, {}
)
QUIET = PlainConsole(quiet=True)


class Submitted(Exception):
    """The plan went out."""


@pytest.fixture(autouse=True)
def nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(*arguments: Any, **named: Any) -> None:
        raise Submitted

    monkeypatch.setattr(counting_session.CountRequest, "submit", submit)


def ask(*datasets: DatasetInfo, model: Checkpoint | None = None, console: Any = QUIET, **settings: Any) -> None:
    federation: Any = SimpleNamespace(datasets=lambda: list(datasets), hospitals={})
    chosen, out = CountSettings(**settings), Path("nowhere")
    if model is None:
        ask_for_statistics(federation, chosen, out=out, console=console)
    else:
        ask_for_evaluation(federation, model, chosen, out=out, console=console)


@pytest.mark.parametrize("model", [None, MODEL], ids=["statistics", "evaluation"])
def test_hospitals_that_agree_are_asked(model: Checkpoint | None) -> None:
    elsewhere = replace(NORTH, datasite="west", name="others", class_names=("a", "b", "c"))
    with pytest.raises(Submitted):
        ask(NORTH, replace(NORTH, datasite="south", public_size=900), elsewhere, model=model, dataset="cells")


def test_what_counts_and_a_matrix_cost_is_told_as_they_are_submitted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def wait(*arguments: Any, **more: Any) -> None:
        raise Submitted

    told = PlainConsole(record=True, quiet=False, width=200)
    monkeypatch.setattr(
        counting_session.CountRequest,
        "submit",
        lambda *_, before: SimpleNamespace(requests={}, refused={"north": "closed"}, told_left_behind=list),
    )
    monkeypatch.setattr(counting_session, "wait_for_decisions", wait)
    federation: Any = SimpleNamespace(datasets=lambda: [NORTH], hospitals={})
    with pytest.raises(Submitted):
        ask_for_gram(
            federation,
            GramSettings(study="smears", model="scattering_linear", epsilon=8.0),
            out=tmp_path / "gram",
            console=told,
        )
    (line, *_) = told.export_text().splitlines()
    assert re.fullmatch(
        r"Submitted 'smears': epsilon [0-7]\.[0-9][0-9] at delta 1e-5, of the 8 for matrix and study together\.", line
    )


@pytest.mark.parametrize("model", [None, MODEL], ids=["statistics", "evaluation"])
@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"class_names": ("nodule", "healthy")}, "class_names"),
        ({"image_shape": (8, 8, 3)}, "image_shape"),
        ({"unit": "patient"}, "unit"),
        ({"form": PictureForm((8, 8), 1)}, "form"),
    ],
)
def test_hospitals_that_differ_are_not_asked(other: dict[str, Any], what: str, model: Checkpoint | None) -> None:
    with pytest.raises(FederationError, match=f"differ in {what}: .* at north, .* at west"):
        ask(NORTH, replace(NORTH, datasite="west", **other), model=model)


def test_a_model_of_classes_in_another_order_is_not_evaluated() -> None:
    with pytest.raises(FederationError, match="model's classes are nodule, healthy"):
        ask(NORTH, model=replace(MODEL, class_names=("nodule", "healthy")))


@pytest.mark.parametrize(
    ("of_model", "there", "said"),
    [
        ({"resize": "fill"}, {}, "form.resize is fill of the model and stretch there"),
        ({"bits": 12}, {"bits": 10}, "form.bits is 12 of the model and 10 there"),
        ({"window": "full"}, {"square_pixels": True}, "form.window .*; form.square_pixels is False .* True there"),
        ({}, None, "form is 8x8, .* of the model and none there"),
    ],
)
def test_a_model_of_pictures_in_another_form_is_not_evaluated(
    of_model: dict[str, Any], there: dict[str, Any] | None, said: str
) -> None:
    form = None if there is None else PictureForm((8, 8), 1, **there)
    hospital = replace(NORTH, datasite="west", form=form)
    with pytest.raises(FederationError, match=f"another form than west has: {said}"):
        ask(hospital, model=replace(MODEL, form=PictureForm((8, 8), 1, **of_model)))
    with pytest.raises(Submitted):
        ask(hospital, model=replace(MODEL, form=form))


def test_a_model_whose_form_nobody_knows_is_evaluated_and_that_is_said(capsys: Any) -> None:
    with pytest.raises(Submitted):
        ask(replace(NORTH, form=PictureForm((8, 8), 1)), model=MODEL, console=PlainConsole(width=80))
    assert "does not say how files became the pictures" in capsys.readouterr().out


@pytest.mark.parametrize("model", [None, MODEL], ids=["statistics", "evaluation"])
def test_a_delta_that_promises_nothing_is_refused(model: Checkpoint | None) -> None:
    with pytest.raises(PlanError, match=r"delta 1e-5 promises nothing .* 300000 .* west"):
        ask(NORTH, replace(NORTH, datasite="west", public_size=300_000), model=model)


def test_a_hospital_that_took_no_request_for_counts_is_named_before_and_after_the_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    """A hospital in this process gives the counts, and another refused the plan."""

    class Asked:
        def __init__(self, **named: Any) -> None:
            assert named["hospital"].name == "north"

        def run(self, content: object, outputs: dict[str, tuple[int, ...]]) -> Any:
            update = {name: np.full(shape, 100, np.float32) for name, shape in outputs.items()}
            return SimpleNamespace(take_update=lambda: update, epsilon=0.5)

    def submit(federation: Any, plan: Any, folder: Path, **named: Any) -> releases.CountRequest:
        sent = {"north": CodeRequest(request_id="r" * 16, function="f", code_id="c")}
        return releases.CountRequest(federation, plan, sent, folder, {"west": "WW304: Too little noise."})

    monkeypatch.setattr(counting_session.CountRequest, "submit", submit)
    monkeypatch.setattr(releases, "RemoteRound", Asked)
    routes = SimpleNamespace(
        request=lambda request_id: RequestAnswer(request_id, "approved", ""),
        receipt=lambda request_id: "{}",
        round_receipts={},
    )
    north = SimpleNamespace(name="north", routes=routes, public_key="0" * 64)
    federation: Any = SimpleNamespace(
        datasets=lambda: [NORTH], hospitals={"north": north}, asked=lambda name, ask: ask(north)
    )
    ask_for_statistics(federation, CountSettings(), out=tmp_path, console=PlainConsole(width=80))
    told = capsys.readouterr().out
    assert "without west: WW304: Too little noise." in told.partition("Waiting")[0]
    assert "without west: refused: WW304: Too little noise." in told
    assert SavedCounts.load(tmp_path).released.skipped == {"west": "refused: WW304: Too little noise."}
    assert {file.name for file in (tmp_path / "receipts").iterdir()} == {"north.key", "north.receipt.json"}


@pytest.mark.parametrize("enough", [None, 2])
def test_counts_are_waited_for_as_a_study_is_and_say_who_refused(enough: int | None, capsys: Any) -> None:
    """What is asked of the hospitals is recorded; what they told is said."""
    asked: dict[str, Any] = {}

    def wait_for(*, on_change: Any, **named: Any) -> None:
        asked.update(named)
        on_change({"north": ("approved", ""), "south": ("denied", "not now"), "west": ("pending", "")})

    submission: Any = SimpleNamespace(wait_for_decisions=wait_for)
    wait_for_decisions(submission, PlainConsole(), min_clients=enough, grace_seconds=5.0)
    assert asked == {"min_clients": enough, "grace_seconds": 5.0}
    told = capsys.readouterr().out
    assert "south: denied: not now" in told and "1 of 3 approved; waiting for west" in told
