"""An own model, trained from a graph, is evaluated, exported and served as any other, and says which network it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.global_models import save_global_model
from support.graphs import attention_of, comparing, ordering, small_graph, windows

from datasites.training.evaluation import predict
from policies.graphs.graph import Graph
from policies.graphs.own_model import spec_of
from policies.plans.model_spec import ModelSpec
from researcher.exported.session import ModelSession
from researcher.exports.export import export_onnx
from researcher.exports.global_model import GlobalModel
from researcher.exports.pictures import drawn
from researcher.judgement.opened_model import open_model
from researcher.serving.classifier import Classifier
from researcher.serving.settings import ServingSettings
from researcher.studies.checkpoints import load_model

FEW = 40


def saved(folder: Path, graph: Graph, label_kind: str = "single") -> tuple[ModelSpec, Path]:
    spec = spec_of(graph.to_json(), label_kind=label_kind)
    return spec, save_global_model(folder, spec)


@pytest.mark.parametrize(
    ("graph", "label_kind"),
    [
        (small_graph(), "single"),
        (windows(), "multi"),
        (attention_of(), "single"),
        (attention_of(2, 4), "single"),
        (comparing(), "single"),
        (ordering(), "single"),
    ],
    ids=[
        "layers",
        "windows and attention",
        "attention without heads",
        "attention with windows and heads",
        "choices",
        "orders",
    ],
)
def test_an_own_model_says_the_same_of_pictures_after_its_export(tmp_path: Path, graph: Graph, label_kind: str) -> None:
    spec, file = saved(tmp_path, graph, label_kind)
    pictures = drawn(spec, 8, FEW)
    made = export_onnx(GlobalModel.load(file), tmp_path / "model.onnx", int8=False, pictures=pictures)
    told = made.about.likeness
    assert told is not None and (told.max_abs_difference < 1e-4, told.agreement) == (True, 1.0)
    session, checkpoint = ModelSession.open(made.file), load_model(file)
    wanted = predict(checkpoint.model, checkpoint.weights, pictures.images[:7])
    for count in (1, 7):  # any number of pictures at once
        np.testing.assert_allclose(session.probabilities(pictures.images[:count]), wanted[:count], atol=1e-4)


def test_a_global_model_and_its_export_carry_the_graph(tmp_path: Path) -> None:
    spec, file = saved(tmp_path, small_graph())
    assert load_model(file).model == spec
    made = export_onnx(GlobalModel.load(file), tmp_path / "model.onnx", int8=False, pictures=drawn(spec, 8, FEW))
    assert ModelSession.open(made.file).about.model == spec
    assert [open_model(path).spec for path in (file, made.file)] == [spec, spec]
    classifier = Classifier(ModelSession.open(made.file), ServingSettings(), None)
    classifier.warm()
    assert (classifier.facts().name, classifier.form.size) == ("graph", (8, 8))


def test_an_own_model_in_8_bits_is_held_against_the_trained_one(tmp_path: Path) -> None:
    spec, file = saved(tmp_path, small_graph())
    pictures = drawn(spec, 8, FEW)
    made = export_onnx(
        GlobalModel.load(file), tmp_path / "model.onnx", int8=True, pictures=pictures, calibration=pictures
    )
    assert made.about.format == "onnx-int8" and made.about.quantisation is not None
    assert made.about.likeness is not None and made.about.likeness.agreement >= 0.99
    assert ModelSession.open(made.file).probabilities(pictures.images[:2]).shape == (2, 4)
