"""Comparisons and choices are proved number by number, cost what they make, and pass no gradient that is none."""

from __future__ import annotations

import pytest
from support.graphs import Builder, comparing

from policies.errors import GraphError
from policies.graphs import proof
from policies.graphs.graph import PICTURES
from policies.graphs.limits import LIMITS
from policies.graphs.losses.loss_graph import LABEL, OUTPUT, LossGraph
from policies.graphs.losses.loss_proof import prove_loss
from policies.graphs.operators import OPERATORS
from policies.graphs.proof import prove, walk, with_gradient
from policies.graphs.values import spelled

COMPARISONS = ("at_least", "equal", "greater")


@pytest.mark.parametrize("operator", COMPARISONS)
def test_what_is_compared_is_brought_to_one_shape_and_its_pictures_stay_where_they_are(operator: str) -> None:
    b = Builder()
    maps = b.add("permute", b.convolution(PICTURES, "stem", 3, 8), axes=[1, 0, 2, 3])  # (8, B, 8, 8)
    bound = b.add(operator, maps, b.parameter("bound", 8, 1, 1, 1))
    chosen = b.add("choose", bound, b.add("mean", maps, axes=[2, 3], keep=True), b.parameter("other", 8, 8))
    chosen = b.add("add", chosen, b.parameter("more", 8, 1, 1, 1))
    chosen = b.add("multiply", chosen, b.add("choose", bound, maps, b.add("affine", maps, factor=2.0, offset=0.0)))
    b.linear(b.add("mean", b.add("permute", chosen, axes=[1, 0, 2, 3]), axes=[2, 3], keep=False), "head", 8, 4)
    with pytest.raises(GraphError, match="Parameter 'bound' is only compared with"):
        prove(b.graph())
    graph = b.graph()
    walked = walk(graph.nodes, proof._beginnings(graph), LIMITS)
    told = [spelled(node.value) for node in walked.nodes]
    assert told[2:5] == ["(8, B, 8, 8)", "(8, B, 1, 1)", "(8, B, 8, 8)"]


def test_a_choice_costs_its_numbers_and_what_it_is_chosen_by() -> None:
    def cost(operator: str) -> tuple[int, int]:
        b = Builder()
        maps = b.convolution(PICTURES, "stem", 3, 8)
        inputs = [maps, b.constant("float32", (), [0.0])]
        value = b.add("greater", *inputs)
        if operator == "choose":
            value = b.add("choose", value, *inputs)
        b.head(b.add("add", value, maps), 8)
        proved = prove(b.graph())
        return proved.multiplications, proved.activation_numbers

    (products, numbers), (more_products, more_numbers) = cost("greater"), cost("choose")
    assert more_products - products == 512  # maps of 8 times 8 by 8
    assert more_numbers - numbers == 2 * 512  # what is chosen, and as many truth values for the way back


def test_a_parameter_that_meets_pictures_in_a_comparison_is_copied_for_each() -> None:
    nodes = prove(comparing()).nodes
    copied = {node.operator for node in nodes if node.copied and "parameter:bound" in node.inputs}
    assert copied == {"at_least", "choose"}


def test_what_a_graph_has_a_gradient_of_does_not_go_through_comparisons() -> None:
    graph = comparing()
    reached = with_gradient(graph.nodes)
    assert {f"parameter:{name}" for name in graph.parameters} | {PICTURES} <= reached
    compared = {f"node:{n}" for n, node in enumerate(graph.nodes) if node.operator in COMPARISONS}
    into = {name for node in graph.nodes if node.operator not in ("choose", *COMPARISONS) for name in node.inputs}
    assert compared & reached <= into  # a comparison is reached where it is computed with, and nothing behind it
    assert {name for name, one in OPERATORS.items() if one.flat} == {
        *COMPARISONS,
        "choose",
        "floor",
        "without_gradient",
    }


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("operator", COMPARISONS)
def test_a_parameter_on_either_side_of_a_comparison_is_refused_though_its_outcome_is_computed_with(
    operator: str, place: int
) -> None:
    b = Builder()
    pooled = b.add("mean", b.convolution(PICTURES, "stem", 3, 8), axes=[2, 3], keep=False)
    sides = [pooled, pooled]
    sides[place] = b.parameter("bound", 8)
    b.linear(b.add("add", pooled, b.add(operator, *sides)), "head", 8, 4)
    with pytest.raises(GraphError, match="Parameter 'bound' is only compared with"):
        prove(b.graph())


def test_logits_that_only_compare_are_refused_since_nothing_is_trained() -> None:
    b = Builder()
    pooled = b.add("mean", b.convolution(PICTURES, "stem", 3, 8), axes=[2, 3], keep=False)
    b.add("greater", b.linear(pooled, "head", 8, 4), b.constant("float32", (), [0.0]))
    with pytest.raises(GraphError, match=r"only compared with, which has no gradient.*requires_grad=False"):
        prove(b.graph())


def test_a_loss_that_only_compares_is_refused_since_nothing_is_trained_by_it() -> None:
    b = Builder(num_classes=4)
    right = b.add("multiply", b.add("greater", OUTPUT, b.constant("float32", (), [0.0])), LABEL)
    b.add("sum", right, axes=[1], keep=False)
    with pytest.raises(GraphError, match="only compares the outputs"):
        prove_loss(LossGraph("single", 4, b.constants, tuple(b.nodes)))


@pytest.mark.parametrize("kind", ["bool", "int64"])
@pytest.mark.parametrize("operator", [*COMPARISONS, "choose"])
def test_truth_values_and_whole_numbers_of_constants_are_not_compared(operator: str, kind: str) -> None:
    b = Builder()
    maps = b.convolution(PICTURES, "stem", 3, 8)
    constant = b.constant(kind, (8,), [1, 0] * 4)
    b.head(b.add(operator, *[constant, maps, maps][: OPERATORS[operator].inputs[0]]), 8)
    with pytest.raises(GraphError, match=f"computes with float32, and was given {kind}"):
        prove(b.graph())
