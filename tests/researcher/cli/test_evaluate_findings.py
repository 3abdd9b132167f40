"""`evaluate --test` on a hold-out of findings: JSON with each one's scores, and null where nothing can be said."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from policies.plans.training import ModelSpec
from researcher.studies.checkpoints import Checkpoint, save_model

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.cli.counts import evaluate


def test_each_findings_scores_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = ModelSpec("linear", (1, 2, 1), 2, {"bias": False}, "multi")
    weights = {"head.weight": np.eye(2, dtype=np.float32)}
    file = save_model(tmp_path / "m.safetensors", Checkpoint(weights, spec, 1, ("left", "right"), "a" * 64, {}))
    images = np.array([[[[200], [9]]], [[[9], [9]]]], np.uint8)
    labels = np.array([[1, 0], [0, -1]], np.int8)
    np.savez(tmp_path / "test.npz", images=images, labels=labels, class_names=np.array(["left", "right"]))
    evaluate(
        model_file=file,
        at_hospitals=False,
        test=tmp_path / "test.npz",
        backbone_weights=None,
        credentials=(),
        out=None,
    )
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"accuracy", "macro_f1", "macro_auroc", "findings", "pictures"}
    assert (told["accuracy"], told["macro_auroc"], told["pictures"]) == (1.0, 1.0, 2)
    assert told["findings"]["left"]["auroc"] == 1.0
    assert told["findings"]["right"]["auroc"] is None and told["findings"]["right"]["known"] == 1
