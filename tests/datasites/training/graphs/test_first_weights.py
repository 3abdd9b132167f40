"""First weights of an own model are drawn by what each parameter does, the same for the same seed."""

from __future__ import annotations

import numpy as np
from support.graphs import Builder
from support.own_models import own_graph, own_spec

from datasites.training.engines import check_trainable
from datasites.training.models import build_model, initial_weights, load_weights, trainable_shapes
from policies.graphs.graph import PICTURES


def test_first_weights_fit_the_model_and_follow_the_seed() -> None:
    spec = own_spec(own_graph())
    weights = initial_weights(spec, 3)
    assert {name: array.shape for name, array in weights.items()} == trainable_shapes(spec)
    assert {array.dtype for array in weights.values()} == {np.dtype("float32")}
    load_weights(build_model(spec), weights)
    again, other = initial_weights(spec, 3), initial_weights(spec, 4)
    assert all(np.array_equal(weights[name], again[name]) for name in weights)
    assert not np.array_equal(weights["stem.weight"], other["stem.weight"])
    check_trainable(spec, "book_keeping")


def test_each_parameter_is_drawn_by_what_it_does() -> None:
    weights = initial_weights(own_spec(own_graph()), 0)
    for name, inputs in (("stem.weight", 9), ("stem.bias", 9), ("head.weight", 8), ("head.bias", 8)):
        assert 0 < np.abs(weights[name]).max() <= 1 / np.sqrt(inputs)
    assert (weights["norm.weight"] == 1).all()
    assert (weights["norm.bias"] == 0).all()
    assert (weights["gain"] == 1).all()


def test_a_slope_below_zero_begins_with_a_quarter_and_not_as_if_there_were_no_bend() -> None:
    builder = Builder((8, 8, 1), 2)
    flat = builder.add("reshape", PICTURES, shape=[["B", 1], 64])
    below = builder.add("clamp", flat, low=-1e30, high=0.0)
    slope = builder.add("reshape", builder.parameter("slope", 64), shape=[1, 64])
    bent = builder.add("add", builder.add("relu", flat), builder.add("multiply", below, slope))
    builder.add("linear", builder.add("multiply", bent, builder.parameter("gain", 1)), builder.parameter("head", 2, 64))
    weights = initial_weights(own_spec(builder.graph()), 0)
    assert (weights["slope"] == 0.25).all() and (weights["gain"] == 1).all()


def test_what_is_computed_from_a_parameter_says_what_it_does() -> None:
    builder = Builder((8, 8, 1), 2)
    flat = builder.add("reshape", PICTURES, shape=[["B", 1], 64])
    table = builder.add("reshape", builder.parameter("positions", 8, 8), shape=[1, 64])
    turned = builder.add("permute", builder.parameter("turned", 64, 2), axes=[1, 0])
    builder.add("linear", builder.add("add", flat, table), turned)
    weights = initial_weights(own_spec(builder.graph()), 0)
    assert 0.01 < weights["positions"].std() < 0.03
    assert np.abs(weights["turned"]).max() <= 1 / 8
    assert weights["turned"].std() > 0.05
