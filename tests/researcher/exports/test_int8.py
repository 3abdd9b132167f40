"""Models in 8 bits: what they lose is measured, and what stays in float is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.exported_models import ABOUT
from support.global_models import save_global_model, small_model

from policies.errors import ExportRefused
from policies.plans.model_spec import ModelSpec
from researcher.exported.session import PICTURES, PROBABILITIES, ModelSession
from researcher.exports.export import export_onnx, whole_graph
from researcher.exports.global_model import GlobalModel
from researcher.exports.int8_search import MOST_LOST, MOST_SIZE, Search
from researcher.exports.likeness import likeness, lost, trained_probabilities
from researcher.exports.onnx_file import with_about
from researcher.exports.onnx_graph import OPSET
from researcher.exports.pictures import Pictures, drawn
from researcher.exports.quantised import Layers, quantise


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> tuple[GlobalModel, onnx.ModelProto]:
    """A small network as a graph."""
    file = save_global_model(tmp_path_factory.mktemp("cnn"), small_model("small_cnn"))
    model = GlobalModel.load(file)
    return model, whole_graph(model)


def test_quantised_layers_multiply_whole_numbers_and_the_others_keep_their_products(
    cnn: tuple[GlobalModel, onnx.ModelProto],
) -> None:
    model, graph = cnn
    layers = Layers.of(graph.graph)
    assert [name.split("_", 1)[1] for name in layers.all] == ["convolution_1", "convolution_2", "convolution_3", "head"]
    before = graph.SerializeToString()
    made = quantise(graph, drawn(model.checkpoint.model, 8, 16), layers.all[1:])
    assert graph.SerializeToString() == before
    weights = {one.name: one.data_type for one in made.graph.initializer}
    of_first = next(node for node in made.graph.node if node.name == layers.all[0]).input[1]
    assert weights[of_first] == TensorProto.FLOAT
    assert sum(kind == TensorProto.INT8 for kind in weights.values()) >= 3


def test_a_layer_is_worth_it_by_its_products_and_neither_a_depthwise_one_nor_one_of_a_single_pixel_is() -> None:
    def layer(name: str, outputs: int, inputs: int, side: int, groups: int, reads: str) -> list[Any]:
        weights = numpy_helper.from_array(np.zeros((outputs, inputs // groups, side, side), np.float32), f"{name}_w")
        return [helper.make_node("Conv", [reads, weights.name], [name], name, group=groups), weights]

    parts = [
        layer("wide", 64, 64, 1, 1, "x"),  # 32 products for each number in or out
        layer("narrow", 40, 40, 1, 1, "wide"),  # 20
        layer("depthwise", 40, 40, 5, 40, "narrow"),  # 12.5, where its weights' shape seems to say 24.4
        [helper.make_node("ReduceMean", ["depthwise"], ["pooled"])],
        layer("squeeze", 640, 40, 1, 1, "pooled"),
    ]
    graph = helper.make_graph([part[0] for part in parts], "g", [], [], [part[1] for part in parts if len(part) > 1])
    layers = Layers.of(graph)
    assert layers.all == ("wide", "narrow", "depthwise", "squeeze")
    assert layers.worth == ("wide",)
    assert layers.groups["depthwise"] == {"depthwise"}
    assert layers.groups["squeeze-and-excite"] == {"squeeze"}


def test_an_export_in_8_bits_says_what_it_cost_and_on_what_it_was_calibrated(
    cnn: tuple[GlobalModel, onnx.ModelProto], tmp_path: Path
) -> None:
    model, _ = cnn
    written = export_onnx(model, tmp_path / "model.onnx", int8=True, pictures=drawn(model.checkpoint.model, 8, 60))
    about = ModelSession.open(written.file).about
    assert about == written.about
    assert about.likeness is not None
    assert about.quantisation is not None
    assert lost(about.likeness) <= MOST_LOST
    assert "drawn" in about.quantisation.calibrated_on
    assert about.quantisation.quantised + len(about.quantisation.left_in_float) == 4
    told = " ".join(written.told())
    assert "ms of one core for a picture, the float ONNX file" in told
    one = "1 layer computes" if about.quantisation.quantised == 1 else f"{about.quantisation.quantised} layers compute"
    assert f"Calibrated on 128 drawn pictures of nobody; {one} in 8 bits." in told
    if about.quantisation.left_in_float:
        assert f" in float: {', '.join(about.quantisation.left_in_float)}. With all in 8 bits" in told


def test_the_smallest_network_of_the_catalogue_takes_less_than_three_tenths_of_its_float_file(tmp_path: Path) -> None:
    model = GlobalModel.load(save_global_model(tmp_path, ModelSpec("small_cnn", (80, 80, 3), 6)))
    pictures = drawn(model.checkpoint.model, 8, 20)
    sizes = [
        export_onnx(model, tmp_path / f"{int8}.onnx", int8=int8, pictures=pictures).file.stat().st_size
        for int8 in (False, True)
    ]
    assert sizes[1] <= MOST_SIZE * sizes[0]


def test_an_export_in_float_is_not_held_against_itself(
    cnn: tuple[GlobalModel, onnx.ModelProto], tmp_path: Path
) -> None:
    written = export_onnx(cnn[0], tmp_path / "model.onnx", int8=False, pictures=drawn(cnn[0].checkpoint.model, 8, 60))
    told = " ".join(written.told())
    assert " ms of one core for a picture. " in told
    assert "of its size" not in told


@pytest.mark.parametrize(("width", "factors_are_kept_small"), [(64, True), (512, False)])
def test_places_and_factors_that_fill_a_file_are_kept_small_and_biases_as_they_are(
    width: int, factors_are_kept_small: bool
) -> None:
    """As the scattering transform's, whose filters and places were more than half of a file in 8 bits."""
    draw = np.random.default_rng(0)
    arrays = {
        "filters": draw.standard_normal(2048),
        "waves": draw.standard_normal((64, 64)),
        "weight": draw.standard_normal((2048, width)),
        "bias": draw.standard_normal(2048),
    }
    floats = {name: value.astype(np.float32) for name, value in arrays.items()}
    held = [numpy_helper.from_array(value, name) for name, value in floats.items()]
    places = draw.integers(0, 64, 2048)
    nodes = [
        helper.make_node("MatMul", ["waves", "x"], ["y"], "first"),
        helper.make_node("Gather", ["y", "places"], ["read"], axis=0),
        helper.make_node("Gemm", ["read", "weight", "bias"], ["z"], "head", transB=1),
        helper.make_node("Mul", ["z", "filters"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (64, width))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, (2048, 2048))],
        [*held, numpy_helper.from_array(places, "places")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    made = quantise(model, drawn(small_model("linear"), 8, 1), ())
    kinds = sorted(one.data_type for one in made.graph.initializer if np.prod(one.dims) >= 1024)
    floats_left = 2 + (not factors_are_kept_small)  # the bias, and the scales of the weights
    small = [TensorProto.INT8] * (2 + factors_are_kept_small)
    assert kinds == sorted([TensorProto.FLOAT] * floats_left + small + [TensorProto.UINT16])
    x = draw.standard_normal((64, width)).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for one in (model, made)
    )
    assert 0 < np.abs(before - after).max() < 0.05 * np.abs(before).max()


def test_large_weights_of_layers_in_float_are_kept_in_8_bits(cnn: tuple[GlobalModel, onnx.ModelProto]) -> None:
    model, graph = cnn
    spec = model.checkpoint.model
    pictures = drawn(spec, 8, 20)
    about = model.about("onnx-int8")
    made = quantise(graph, pictures, ())
    found = ModelSession(with_about(made, about)).probabilities(pictures.images)
    trained = trained_probabilities(spec, model.checkpoint.weights, pictures, None)
    assert likeness(found, trained, pictures, "single").max_abs_difference < 0.02


def _with_a_layer_that_8_bits_break() -> onnx.ModelProto:
    """Classes by differences of 1 in a sum of a million: whole numbers of 8 bits cannot hold them."""
    weights = np.array([[1e6, 1e6], [1.0, -1.0]], dtype=np.float32)
    made = helper.make_graph(
        [
            helper.make_node("Cast", [PICTURES], ["numbers"], "n0", to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["numbers", "axes"], ["mean"], "n1", keepdims=0),
            helper.make_node("Sub", ["mean", "grey"], ["about"], "n2"),
            helper.make_node("Concat", ["ones", "about"], ["both"], "n3", axis=1),
            helper.make_node("MatMul", ["both", "weights"], ["large"], "n4_head"),
            helper.make_node("Sub", ["large", "million"], ["logits"], "n5"),
            helper.make_node("Softmax", ["logits"], [PROBABILITIES], "n6"),
        ],
        "model",
        [helper.make_tensor_value_info(PICTURES, TensorProto.UINT8, ["batch", 16, 16, 1])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(weights, "weights")],
    )
    values = {"axes": np.array([1, 2]), "grey": np.float32([[128]]), "million": np.float32([[1e6]])}
    made.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    made.node.insert(3, helper.make_node("Mul", ["about", "nothing"], ["zeros"], "n2a"))
    made.node.insert(4, helper.make_node("Add", ["zeros", "one"], ["ones"], "n2b"))
    made.initializer.append(numpy_helper.from_array(np.float32([[0]]), "nothing"))
    made.initializer.append(numpy_helper.from_array(np.float32([[1]]), "one"))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_layers_that_lose_more_than_a_point_stay_in_float_and_what_all_would_have_cost_is_told() -> None:
    graph = _with_a_layer_that_8_bits_break()
    greys = np.linspace(0, 255, 64).astype(np.uint8)
    images = np.zeros((64, 16, 16, 1), dtype=np.uint8) + greys[:, None, None, None]
    pictures = Pictures(images, None, None, "greys")
    trained = ModelSession(with_about(graph, ABOUT)).probabilities(images)
    assert {0, 1} == set(trained.argmax(axis=1))
    found = Search(graph, ABOUT, trained, pictures, pictures).best()
    assert found.about.quantisation is not None
    assert found.about.quantisation.left_in_float == ("n4_head",)
    assert found.about.quantisation.cost_of_all > 0.2
    assert found.lost == 0


def test_a_model_that_loses_more_whatever_stays_in_float_is_not_exported() -> None:
    graph = _with_a_layer_that_8_bits_break()
    images = np.zeros((8, 16, 16, 1), dtype=np.uint8)
    images[4:] = 255
    others = 1 - ModelSession(with_about(graph, ABOUT)).probabilities(images)
    pictures = Pictures(images, None, None, "black and white pictures")
    with pytest.raises(ExportRefused, match="whatever stays in float"):
        Search(graph, ABOUT, others, pictures, pictures).best()
