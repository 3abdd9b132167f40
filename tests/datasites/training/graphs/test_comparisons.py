"""Comparisons and choices as the engine carries them out: as torch does, and each picture's gradient its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from support.clipping_oracle import distance, norm_of, one_by_one
from support.graph_oracle import one_at_a_time, pictures_of, weighted
from support.graphs import Builder, comparing

from datasites.training.book_keeping import BookKeeping
from datasites.training.graphs import GraphModel
from datasites.training.graphs.functions import FUNCTIONS
from policies.graphs.graph import PICTURES
from policies.graphs.proof import prove

UNUSUAL = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 3.4e38, 1e-45])
OF_TORCH: dict[str, Callable[..., torch.Tensor]] = {"at_least": torch.ge, "equal": torch.eq, "greater": torch.gt}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("operator", OF_TORCH)
def test_a_comparison_says_of_every_float_what_torch_says_in_float32_or_more(operator: str, dtype: torch.dtype) -> None:
    one, other = UNUSUAL.to(dtype).view(-1, 1).requires_grad_(), UNUSUAL.to(dtype)
    found = FUNCTIONS[operator]({}, (one, other))
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert not found.requires_grad
    assert torch.equal(found, OF_TORCH[operator](one, other).to(found.dtype))


def test_a_choice_takes_every_number_but_zero_for_true() -> None:
    found = FUNCTIONS["choose"]({}, (UNUSUAL, torch.ones(9), torch.zeros(9)))
    assert found.tolist() == UNUSUAL.bool().float().tolist() == [1, 1, 1, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nothing_of_what_was_not_chosen_reaches_the_result_or_a_gradient(bad: float) -> None:
    condition = torch.tensor([1.0, 0.0], requires_grad=True)
    first, second = (torch.tensor(pair, requires_grad=True) for pair in ([2.0, bad], [bad, 3.0]))
    found = FUNCTIONS["choose"]({}, (condition, first, second))
    assert found.tolist() == [2.0, 3.0]
    gradients = torch.autograd.grad(found.sum(), (condition, first, second), allow_unused=True)
    assert gradients[0] is None
    assert [one.tolist() for one in gradients[1:]] == [[1, 0], [0, 1]]
    stopped = torch.tensor([bad, 1.0])  # nor does a gradient that is not finite reach what was not chosen
    found = FUNCTIONS["choose"]({}, (condition, first, second))
    assert torch.autograd.grad(found, second, stopped)[0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("bound", [0.02, 1e9])
def test_norms_and_sums_of_choices_are_those_of_plain_autograd(views: int, bound: float) -> None:
    graph = comparing()
    model = weighted(graph, 2)
    pictures, labels = pictures_of(graph, 4 * views, 3), torch.tensor([0, 2, 1, 3])
    torch.testing.assert_close(model(pictures), one_at_a_time(model, pictures), rtol=1e-9, atol=1e-9)
    expected = one_by_one(model, pictures, labels, bound, views)
    norms, found = BookKeeping(model, bound).norms_and_sum(pictures, labels, torch.ones(4, dtype=torch.bool))
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
    own = [norm_of(one_by_one(model, pictures[i::4], labels[[i]], 1e9, views)) for i in range(4)]
    torch.testing.assert_close(norms, torch.tensor(own, dtype=torch.float64), rtol=1e-5, atol=0)


def test_the_choices_of_that_graph_go_either_way() -> None:
    """So that the test above sees gradients through both sides."""
    graph = comparing()
    model, seen = weighted(graph, 2), []
    layer = GraphModel._layer

    def watched(self, node, inputs, rows):  # type: ignore[no-untyped-def]
        found = layer(self, node, inputs, rows)
        if node.operator in OF_TORCH:
            seen.append(found.mean().item())
        return found

    GraphModel._layer = watched  # type: ignore[method-assign]
    try:
        model(pictures_of(graph, 4, 3))
    finally:
        GraphModel._layer = layer  # type: ignore[method-assign]
    assert len(seen) == 5 and all(0.02 < share < 0.98 for share in seen)


@pytest.mark.parametrize("made_up", [0.0, 1e30, math.nan, math.inf])
def test_what_stands_in_an_empty_place_reaches_no_other_place(made_up: float) -> None:
    graph = comparing()
    model, labels = weighted(graph, 2).float(), torch.tensor([0, 2, 1, 3])
    pictures = pictures_of(graph, 4, 3).float()
    counted = torch.tensor([True, False, True, True])
    wanted = BookKeeping(model, 0.5).norms_and_sum(pictures, labels, counted)
    pictures[1] = made_up
    norms, sums = BookKeeping(model, 0.5).norms_and_sum(pictures, labels, counted)
    assert all(torch.equal(one, other) for one, other in zip(sums, wanted[1], strict=True))
    assert torch.equal(norms[counted], wanted[0][counted])


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-10, 1.0, 1e10, 1e30, math.inf, math.nan])
@pytest.mark.parametrize("clip", [1e-6, 1.0])
def test_one_picture_of_any_size_adds_no_more_than_the_bound(size: float, clip: float) -> None:
    graph = comparing()
    model, labels = weighted(graph, 2).float(), torch.tensor([0, 2, 1])
    pictures = pictures_of(graph, 3, 3).float()
    pictures[0] *= size
    counted = torch.tensor([True, False, False])
    norm = norm_of(BookKeeping(model, clip).norms_and_sum(pictures, labels, counted)[1])
    assert norm <= clip


@pytest.mark.parametrize("views", [1, 2])
def test_a_weight_of_which_one_part_is_only_compared_keeps_its_gradients(views: int) -> None:
    """A mask of one weight's sizes over another weight, both trained, the first of them elsewhere too."""
    b = Builder((4, 4, 1), 3)
    flat = b.add("reshape", PICTURES, shape=[["B", 1], 16])
    first, second = b.parameter("first", 8, 16), b.parameter("second", 8, 16)
    mask = b.add("greater", first, b.constant("float32", (), [0.1]))
    one = b.add("linear", flat, b.add("multiply", mask, second))
    two = b.add("tanh", b.add("linear", flat, first))
    b.linear(b.add("add", one, two), "head", 8, 3)
    graph = b.graph()
    prove(graph)
    model = weighted(graph, 5)
    pictures, labels = pictures_of(graph, 3 * views, 4), torch.tensor([0, 2, 1])
    expected = one_by_one(model, pictures, labels, 0.3, views)
    found = BookKeeping(model, 0.3).clipped_sum(pictures, labels, torch.ones(3, dtype=torch.bool))
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
