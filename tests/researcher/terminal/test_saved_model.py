"""A study's global model is saved with the form by which its hospitals' files became pictures."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from policies.plans.picture_form import PictureForm
from policies.plans.training import ModelSpec

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.studies.checkpoints import load_model
    from researcher.terminal import training_session


@pytest.mark.parametrize("form", [PictureForm((8, 8), 1, "fill", bits=12), None])
def test_a_model_knows_how_to_read_a_file_as_its_hospitals_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: PictureForm | None
) -> None:
    monkeypatch.setattr(training_session, "write_report", lambda out, result: None)
    plan = SimpleNamespace(dataset="cells", model=ModelSpec("linear", (8, 8, 1), 2), digest=lambda: "0" * 64)
    datasets = {"cells": SimpleNamespace(form=form), "others": SimpleNamespace(form=PictureForm((1, 1), 3))}
    study = SimpleNamespace(
        plan=plan,
        requests={"north": None},
        federation=SimpleNamespace(hospitals={"north": SimpleNamespace(datasets=datasets)}),
        privacy=lambda history: {"north": None, "denied": None},
        receipts=lambda folder, on_missing: None,
    )
    state = SimpleNamespace(model={"w": np.zeros(2, np.float32)}, round=1)
    result = SimpleNamespace(class_names=("a", "b"), took_part=("north",))
    training_session.write_all(tmp_path, study, state, None, result)
    saved = load_model(tmp_path / training_session.MODEL_FILE)
    assert saved.form == form and set(saved.privacy) == {"north"}
