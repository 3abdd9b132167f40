"""A study of pictures and reports: what is planned, what the hold-out must hold, and what it is scored on."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasites.assets.drawn.reports import CLASS_NAMES, write_example
from policies.errors import DataError, FederationError, PlanError
from policies.plans.tokeniser import TextForm, text_form, tokens
from policies.plans.training import ModelSpec
from researcher.evaluation.evaluation import evaluate
from researcher.evaluation.hold_out import HoldOut, load_hold_out
from researcher.studies.checkpoints import Checkpoint, load_model, save_model

with warnings.catch_warnings():  # of PySyft's own imports
    warnings.simplefilter("ignore")
    from researcher.hospitals.hospital import DatasetInfo
    from researcher.planning.planning import StudySettings, make_plan

FORM = TextForm(length=4, vocabulary=50)
SPEC = ModelSpec("image_text", (16, 16, 1), 4, FORM.options)
SETTINGS = StudySettings(model="image_text", options={"width": 4}, noise_multiplier=2.0)


def dataset(datasite: str = "north", text: TextForm | None = FORM) -> DatasetInfo:
    return DatasetInfo(datasite, "cells", CLASS_NAMES, (16, 16, 1), "picture", 500, {}, text)


# --- the plan ---


def test_the_form_of_the_reports_comes_from_the_datasets_schema() -> None:
    plan = make_plan(SETTINGS, [dataset(), dataset("south")])
    assert text_form(plan.model) == FORM
    assert dict(plan.model.options) == {**FORM.options, "width": 4}


def test_a_plan_for_pictures_alone_says_nothing_of_reports_and_the_hospitals_may_differ_in_them() -> None:
    plan = make_plan(replace(SETTINGS, model="small_cnn"), [dataset(), dataset("south", None)])
    assert dict(plan.model.options) == {"width": 4}


def test_a_plan_for_reports_is_refused_where_there_are_none_or_others() -> None:
    with pytest.raises(PlanError, match="the dataset has pictures alone"):
        make_plan(SETTINGS, [dataset(text=None)])
    with pytest.raises(FederationError, match=r"differ in text: 4 words of 50.* at north, none at south"):
        make_plan(SETTINGS, [dataset(), dataset("south", None)])
    with pytest.raises(PlanError, match="the plan is for 9 words of 50"):
        make_plan(replace(SETTINGS, options={"text_length": 9}), [dataset()])


# --- the hold-out ---


def test_an_archives_reports_are_read_beside_its_pictures(tmp_path: Path) -> None:
    _, file = write_example(tmp_path, each=4, hold_out=6)
    hold_out = load_hold_out(file, class_names=CLASS_NAMES[::-1])
    assert hold_out.reports == tuple(np.load(file)["reports"].tolist())
    arrays = {name: array for name, array in np.load(file).items() if name != "reports"}
    np.savez(tmp_path / "bare.npz", **arrays)
    assert load_hold_out(tmp_path / "bare.npz").reports is None
    for wrong in (np.arange(6), np.array(["one"]), np.array([b"bytes"] * 6)):
        np.savez(tmp_path / "wrong.npz", **arrays, reports=wrong)
        with pytest.raises(DataError, match="one text for each picture"):
            load_hold_out(tmp_path / "wrong.npz")


@pytest.mark.parametrize("hospitals", [("",), ("north", "south")])
def test_a_folders_reports_are_read_from_the_tables_beside_the_class_folders(
    tmp_path: Path, hospitals: tuple[str, ...]
) -> None:
    for hospital in hospitals:
        lines = ["picture,report"]
        for number in range(4):
            name = f"{CLASS_NAMES[number]}/{number}.png"
            (tmp_path / hospital / name).parent.mkdir(parents=True)
            Image.new("L", (16, 16), 10 * number).save(tmp_path / hospital / name)
            lines.append(f"{name},{hospital} {number}")
        (tmp_path / hospital / "reports.csv").write_text("\n".join(lines))
    hold_out = load_hold_out(tmp_path)
    assert hold_out.reports is not None
    assert [int(text.split()[-1]) * 10 for text in hold_out.reports] == hold_out.images[:, 0, 0, 0].tolist()
    assert {text.split()[0] for text in hold_out.reports if hospitals[0]} == set(filter(None, hospitals))
    (tmp_path / hospitals[0] / "reports.csv").unlink()
    if hospitals[0]:
        with pytest.raises(DataError, match=r"reports\.csv must name every picture"):
            load_hold_out(tmp_path)
    else:
        assert load_hold_out(tmp_path).reports is None


def test_reports_and_pictures_of_a_hold_out_are_equally_many() -> None:
    with pytest.raises(DataError, match="needs 2 texts"):
        HoldOut(np.zeros((2, 16, 16, 1), np.uint8), np.array([0, 1]), CLASS_NAMES, ("one",))


# --- the scores ---


def hold_out(reports: tuple[str, ...] | None) -> HoldOut:
    return HoldOut(np.zeros((3, 16, 16, 1), np.uint8), np.array([0, 1, 1]), CLASS_NAMES, reports)


def by_first_word(spec: ModelSpec, weights: Any, inputs: Any) -> np.ndarray:
    """Class 1 where a report begins as `right side` does."""
    images, words = inputs
    assert images.shape == (3, 16, 16, 1)
    return np.eye(4)[(words[:, 0] == tokens(["right"], FORM)[0, 0]).astype(int)]


def test_a_model_of_reports_is_scored_on_pictures_and_the_numbers_of_their_words() -> None:
    scores = evaluate(SPEC, {}, hold_out(("left side", "right side", "")), predict=by_first_word)
    assert scores.accuracy == pytest.approx(2 / 3)


def test_a_hold_out_without_reports_is_refused_for_a_model_that_takes_them() -> None:
    with pytest.raises(DataError, match="the hold-out has pictures alone"):
        evaluate(SPEC, {}, hold_out(None), predict=by_first_word)


def test_a_saved_model_of_reports_is_scored_as_it_was_before_it_was_saved(tmp_path: Path) -> None:
    from datasites.training.models import initial_weights

    _, file = write_example(tmp_path, each=4, hold_out=40)
    weights = initial_weights(SPEC, 3)
    saved = Checkpoint(weights, SPEC, 1, CLASS_NAMES, "0" * 64, {})
    loaded = load_model(save_model(tmp_path / "model.safetensors", saved))
    assert loaded.model == SPEC
    assert evaluate(loaded.model, loaded.weights, load_hold_out(file)) == evaluate(SPEC, weights, load_hold_out(file))
