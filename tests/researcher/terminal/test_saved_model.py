"""A study's global model is saved with the form by which its hospitals' files became pictures."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from policies.errors import ConfigError
from policies.plans.picture_form import PictureForm
from policies.plans.training import ModelSpec, ServerSpec
from researcher.strategies import KeptWeights, ServerState
from researcher.studies.history import PrivacySpent

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.notebook.folder import exported, judged
    from researcher.papers.pack import write_pack
    from researcher.papers.words import Words
    from researcher.studies.checkpoints import SHARED_FILE, load_model
    from researcher.terminal import progress, training_session


def write_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, form: PictureForm | None = None, strategy: str = "fed_avg"
) -> None:
    """Writes what a study of one hospital came to."""
    monkeypatch.setattr(training_session, "write_report", lambda out, result: None)
    plan = SimpleNamespace(
        dataset="cells",
        model=ModelSpec("small_cnn", (16, 16, 1), 2),
        digest=lambda: "0" * 64,
        server=ServerSpec(strategy),
    )
    others = SimpleNamespace(form=PictureForm((1, 1), 3), modality="xray")
    datasets = {"cells": SimpleNamespace(form=form, modality="fundus"), "others": others}
    study = SimpleNamespace(
        plan=plan,
        folder=tmp_path,
        requests={"north": None},
        federation=SimpleNamespace(hospitals={"north": SimpleNamespace(datasets=datasets)}),
        privacy=lambda history: {"north": None, "denied": None},
        receipts=lambda folder, on_missing: None,
    )
    kept = KeptWeights(tmp_path).with_one("north", {"w": np.ones(2, np.float32)}, public_size=10)
    state = ServerState({"w": np.zeros(2, np.float32), "head.bias": np.zeros(2, np.float32)}, 1, kept=kept)
    result = SimpleNamespace(class_names=("a", "b"), took_part=("north",), gram_noise=None)
    training_session.write_all(tmp_path, study, state, None, result)


@pytest.mark.parametrize("form", [PictureForm((8, 8), 1, "fill", bits=12), None])
def test_a_model_knows_how_to_read_a_file_as_its_hospitals_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: PictureForm | None
) -> None:
    write_all(tmp_path, monkeypatch, form=form)
    saved = load_model(tmp_path / training_session.MODEL_FILE)
    assert saved.form == form and set(saved.privacy) == {"north"} and saved.modality == "fundus"


def test_where_each_hospital_has_a_model_of_its_own_it_is_a_file_that_every_command_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(tmp_path, monkeypatch, strategy="mr_mtl")
    whole, own = load_model(training_session.model_file(tmp_path)), load_model(tmp_path / "model-north.safetensors")
    assert (whole.weights["w"].tolist(), own.weights["w"].tolist()) == ([0, 0], [1, 1])
    assert training_session.model_file(tmp_path, "north") == tmp_path / "model-north.safetensors"
    with pytest.raises(ConfigError):
        training_session.model_file(tmp_path, "../north")


def test_where_each_hospital_keeps_a_part_there_is_the_shared_part_and_no_global_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(tmp_path, monkeypatch, strategy="fed_per")
    assert set(load_model(tmp_path / SHARED_FILE).weights) == {"w"}
    assert not (tmp_path / training_session.MODEL_FILE).exists() and not list(tmp_path.glob("model-*"))
    for asked in (
        lambda: training_session.model_file(tmp_path),
        lambda: training_session.model_file(tmp_path, "north"),
        lambda: load_model(tmp_path / training_session.MODEL_FILE),
        lambda: exported(tmp_path, None, "onnx", None, test=None, calibrate_on=None, backbone_weights=None),
        lambda: judged(tmp_path, None, tmp_path),
        lambda: write_pack(tmp_path, tmp_path / "papers", Words()),
    ):
        with pytest.raises(ConfigError, match="no whole model to export, judge or publish"):
            asked()


def test_what_another_strategy_keeps_of_a_hospital_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_all(tmp_path, monkeypatch, strategy="scaffold")
    assert not list(tmp_path.glob("model-*"))


def test_the_end_of_a_study_that_stepped_by_a_gram_matrix_says_what_both_cost() -> None:
    both = {"north": PrivacySpent(3.99, 1e-5, "picture"), "south": PrivacySpent(4.001, 1e-5, "picture")}
    told = progress.told_with_gram(SimpleNamespace(gram_noise=2.5, privacy_total=both))
    assert told == "Rounds and Gram matrix: epsilon 4.01 at delta 1e-5 together"
    assert not progress.told_with_gram(SimpleNamespace(gram_noise=None, privacy_total=both))
