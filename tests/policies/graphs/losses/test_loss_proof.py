"""A loss in which pictures would meet is refused, and so is one that is made of something else than it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.graphs import Builder
from support.own_losses import Lines, cross_entropy, findings, focal, loss_graph

from policies.errors import GraphError
from policies.graphs.losses.loss_graph import LABEL, LOSS_LIMITS, OUTPUT
from policies.graphs.losses.loss_proof import prove_loss

SOURCE = "losses.py:7: return mixed(output)"


def test_the_cost_of_a_loss_can_be_counted_by_hand() -> None:
    proof = prove_loss(loss_graph(cross_entropy))
    assert proof.multiplications == 3 + 3 + 1 + 1  # log_softmax, product, sum, sign
    assert proof.activation_numbers == 3 + 3 + 1 + 1
    assert [node.value.batch for node in proof.nodes] == [0] * 4


def weighted(b: Builder, value: str) -> str:
    return b.add("multiply", value, LABEL)


def summed(b: Builder, value: str) -> str:
    return b.add("sum", weighted(b, value), axes=[1], keep=False)


def mixing(operator: str, **attributes: Any) -> Lines:
    """Outputs after an operator, and a loss of them."""
    return lambda b: summed(b, b.add(operator, OUTPUT, source=SOURCE, **attributes))


def turned(b: Builder, value: str) -> str:
    return b.add("permute", value, axes=[1, 0])


COUPLED: dict[str, tuple[Lines, str]] = {
    "a mean over pictures": (mixing("mean", axes=[0], keep=True), "reduces over axis 0"),
    "a sum over everything": (
        lambda b: b.add("sum", weighted(b, OUTPUT), axes=[0, 1], keep=False, source=SOURCE),
        "reduces over axis 0",
    ),
    "the largest over pictures": (mixing("largest", axes=[0], keep=True), "reduces over axis 0"),
    "softmax over pictures": (mixing("softmax", axis=0), "normalises over axis 0"),
    "log softmax over pictures": (mixing("log_softmax", axis=0), "normalises over axis 0"),
    "sums over pictures so far": (mixing("cumulative_sum", axis=0), "sums over axis 0"),
    "outputs of the batch's own scale": (mixing("standardise", axes=[0], eps=0.1), "normalises over axis 0"),
    "sorted pictures": (mixing("sort", axis=0), "no operator of a graph"),
    "another picture's outputs": (mixing("roll", axes=[0], shifts=[1]), "rolls over axis 0"),
    "pictures turned round": (mixing("flip", axes=[0]), "flips over axis 0"),
    "the first picture for all": (mixing("slice", axis=0, start=0, stop=1, step=1), "takes a part over axis 0"),
    "every picture against every other": (
        lambda b: b.add("matmul", OUTPUT, turned(b, OUTPUT), source=SOURCE),
        "every picture of one value with every picture",
    ),
    "every output against every label": (
        lambda b: b.add("matmul", turned(b, OUTPUT), LABEL, source=SOURCE),
        "sums over axis 1",
    ),
    "distances between pictures": (
        lambda b: b.add(
            "subtract",
            b.add("reshape", OUTPUT, shape=[["B", 1], 1, 3]),
            b.add("reshape", OUTPUT, shape=[1, ["B", 1], 3]),
            source=SOURCE,
        ),
        "lie on different axes",
    ),
    "attention over pictures": (
        lambda b: b.add(
            "attention", *[b.add("reshape", OUTPUT, shape=[1, ["B", 1], 3])] * 3, scale=1.0, causal=False, source=SOURCE
        ),
        "attends over axis 1",
    ),
    "pictures and classes exchanged": (mixing("reshape", shape=[3, ["B", 1]]), "merges pictures"),
    "a number for each picture of a batch of four": (
        lambda b: b.add("multiply", OUTPUT, b.constant("float32", (4, 3), [1.0] * 12), source=SOURCE),
        "must have length 1 there",
    ),
    "a weight made of pictures": (
        lambda b: b.add("linear", OUTPUT, LABEL, source=SOURCE),
        "computed from the pictures",
    ),
    "random numbers": (mixing("dropout"), "no operator of a graph"),
    "the batch size": (mixing("size"), "no operator of a graph"),
}


@pytest.mark.parametrize("name", COUPLED)
def test_a_loss_in_which_pictures_would_meet_is_refused(name: str) -> None:
    lines, why = COUPLED[name]
    with pytest.raises(GraphError, match=why) as refused:
        prove_loss(loss_graph(lines))
    assert SOURCE in refused.value.public


def constant_beside(b: Builder) -> None:
    b.add("tanh", b.constant("float32", (1,), [1.0]))
    cross_entropy(b)


@pytest.mark.parametrize(
    ("lines", "kind", "why"),
    [
        (lambda b: weighted(b, OUTPUT), "single", "of shape .B,., and gives .B, 3."),
        (lambda b: b.add("sum", weighted(b, OUTPUT), axes=[1], keep=True), "single", "gives .B, 1."),
        (lambda b: b.add("tanh", b.constant("float32", (1,), [1.0])), "single", "gives .1."),
        (lambda b: summed(b, LABEL), "single", "output is not used"),
        (lambda b: b.add("sum", OUTPUT, axes=[1], keep=False), "single", "label is not used"),
        (cross_entropy, "multi", "known is not used"),
        (findings, "single", "'known' is neither"),
        (constant_beside, "single", "node:0 is not used"),
        (lambda b: summed(b, "pictures"), "single", "'pictures' is neither"),
        (lambda b: summed(b, b.parameter("weight", 1, 3)), "single", "'parameter:weight' is neither"),
        (lambda b: summed(b, "node:1"), "single", "'node:1' is neither"),
        (lambda b: summed(b, b.add("affine", OUTPUT, factor=1.0)), "single", "lacks the attribute 'offset'"),
    ],
)
def test_a_loss_that_is_no_loss_of_these_outputs_is_refused(lines: Lines, kind: str, why: str) -> None:
    with pytest.raises(GraphError, match=why):
        prove_loss(loss_graph(lines, label_kind=kind))


def large(b: Builder) -> str:
    wide = b.add("expand", b.add("reshape", weighted(b, OUTPUT), shape=[["B", 1], 1, 3]), shape=[["B", 1], 1 << 20, 3])
    return b.add("sum", wide, axes=[1, 2], keep=False)


def many_products(b: Builder) -> str:
    """The square of a table of 700 by 700 numbers: 490,000 numbers, of 700 products each."""
    one = b.add("slice", weighted(b, OUTPUT), axis=1, start=0, stop=1, step=1)
    column = b.add("expand", b.add("reshape", one, shape=[["B", 1], 1, 1]), shape=[["B", 1], 700, 1])
    table = b.add("matmul", column, b.add("permute", column, axes=[0, 2, 1]))
    return b.add("sum", b.add("matmul", table, table), axes=[1, 2], keep=False)


@pytest.mark.parametrize(
    ("lines", "why"), [(large, "the limit is 2,000,000"), (many_products, "multiplications for a picture; the limit")]
)
def test_a_loss_that_costs_too_much_is_refused(lines: Lines, why: str) -> None:
    with pytest.raises(GraphError, match=why):
        prove_loss(loss_graph(lines))


def test_a_loss_may_have_as_many_numbers_as_the_limits_say_and_no_more() -> None:
    proof = prove_loss(loss_graph(focal))
    exact = replace(LOSS_LIMITS, activation_numbers=proof.activation_numbers)
    assert prove_loss(proof.loss, exact) == proof
    less = replace(LOSS_LIMITS, activation_numbers=proof.activation_numbers - 1)
    with pytest.raises(GraphError, match="the limit is"):
        prove_loss(proof.loss, less)
