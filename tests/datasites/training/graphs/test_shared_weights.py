"""A weight that a layer reads and that is copied for each picture too: its gradient is the sum of both, per picture."""

from __future__ import annotations

import math

import pytest
import torch
from support.clipping_oracle import distance, norm_of, one_by_one
from support.graph_oracle import one_at_a_time, pictures_of, weighted
from support.graphs import Builder

from datasites.training.book_keeping import BookKeeping
from datasites.training.book_keeping.book import Book
from datasites.training.graphs import GraphModel
from policies.graphs.graph import PICTURES, Graph
from policies.graphs.proof import prove

ORDERS = ("layer first", "copy first", "a computed weight")


def shared(order: str) -> Graph:
    """Linear layers of one row for each picture, of which one's weight also scales values number by number."""
    b = Builder((4, 4, 1), 3)
    flat = b.add("reshape", PICTURES, shape=[["B", 1], 16])
    weight = b.parameter("shared", 16, 16)
    before = b.linear(flat, "before", 16, 16)
    read = b.add("tanh", weight) if order == "a computed weight" else weight

    def layer(value: str) -> str:
        return b.add("tanh", b.add("linear", value, read))

    def copy(value: str) -> str:
        wide = b.add("multiply", b.add("reshape", value, shape=[["B", 1], 1, 16]), weight)
        return b.add("tanh", b.add("sum", wide, axes=[2], keep=False))

    value = copy(layer(before)) if order != "copy first" else layer(copy(before))
    b.linear(b.add("add", value, b.linear(flat, "beside", 16, 16)), "head", 16, 3)
    return b.graph()


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("bound", [0.05, 1e9])
@pytest.mark.parametrize("order", ORDERS)
def test_norms_and_sums_are_those_of_plain_autograd_beside_products_that_are_measured_together(
    monkeypatch: pytest.MonkeyPatch, order: str, bound: float, views: int
) -> None:
    together: list[int] = []
    measured = Book.square_norms

    def watched(book: Book) -> torch.Tensor:
        found = measured(book)
        together.append(len(book._products))
        assert id(model.shared) not in book._products and id(model.shared) in book._small  # both uses as one
        return found

    monkeypatch.setattr(Book, "square_norms", watched)
    graph = shared(order)
    assert any("parameter:shared" in node.inputs and node.copied for node in prove(graph).nodes)
    model: GraphModel = weighted(graph, 4)
    pictures, labels = pictures_of(graph, 4 * views, 3), torch.tensor([0, 2, 1, 1])
    torch.testing.assert_close(model(pictures), one_at_a_time(model, pictures), rtol=1e-9, atol=1e-9)
    expected = one_by_one(model, pictures, labels, bound, views)
    norms, found = BookKeeping(model, bound).norms_and_sum(pictures, labels, torch.ones(4, dtype=torch.bool))
    assert distance(found, expected) <= 1e-5 * norm_of(expected)
    own = [norm_of(one_by_one(model, pictures[i::4], labels[[i]], 1e9, views)) for i in range(4)]
    torch.testing.assert_close(norms, torch.tensor(own, dtype=torch.float64), rtol=1e-5, atol=0)
    assert together == ([3] if views == 1 else [0])


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-10, 1.0, 1e10, 1e30, math.inf, math.nan])
@pytest.mark.parametrize("order", ORDERS)
def test_one_picture_of_any_size_adds_no_more_than_the_bound(order: str, size: float) -> None:
    graph = shared(order)
    model, labels = weighted(graph, 4).float(), torch.tensor([0, 2, 1])
    pictures = pictures_of(graph, 3, 3).float()
    pictures[0] *= size
    counted = torch.tensor([True, False, False])
    for clip in (1e-6, 1.0):
        assert norm_of(BookKeeping(model, clip).norms_and_sum(pictures, labels, counted)[1]) <= clip
