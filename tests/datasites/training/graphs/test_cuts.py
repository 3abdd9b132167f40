"""A value that a graph cuts into parts is cut at once, and what is computed and learnt is the same."""

from __future__ import annotations

import pytest
import torch
from support.graph_oracle import pictures_of, weighted
from support.graphs import Builder, windows
from torch.profiler import ProfilerActivity, profile

from datasites.training.graphs import graph_model
from datasites.training.graphs.cuts import find_cuts
from policies.graphs.graph import PICTURES, Graph
from policies.graphs.proof import prove


def cut_in(*ranges: tuple[int, int, int]) -> Graph:
    """Maps of twelve channels, cut along them by (start, stop, step), and the parts put behind each other."""
    b = Builder()
    maps = b.convolution(PICTURES, "stem", 3, 12)
    parts = [b.add("slice", maps, axis=1, start=start, stop=stop, step=step) for start, stop, step in ranges]
    channels = sum(len(range(*one)) for one in ranges)
    b.head(b.add("concatenate", *(b.add("tanh", part) for part in parts), axis=1), channels)
    return b.graph()


@pytest.mark.parametrize(
    ("ranges", "lengths"),
    [
        ([(0, 4, 1), (4, 8, 1), (8, 12, 1)], (4, 4, 4)),
        ([(5, 12, 1), (0, 5, 1)], (5, 7)),
        ([(0, 4, 1), (0, 4, 1), (4, 12, 1)], (4, 8)),  # one of two that are alike; the other is a slice
    ],
    ids=["in order", "in another order", "one of them twice"],
)
def test_parts_that_leave_nothing_out_are_found_in_any_order(
    ranges: list[tuple[int, int, int]], lengths: tuple[int, ...]
) -> None:
    found = find_cuts(prove(cut_in(*ranges)).nodes)
    assert {cut.lengths for cut in found.values()} == {lengths}
    assert len(found) == len(lengths)


@pytest.mark.parametrize(
    "ranges",
    [
        [(0, 12, 1)],
        [(0, 4, 1), (5, 12, 1)],
        [(0, 4, 1), (3, 12, 1)],
        [(0, 4, 1), (4, 11, 1)],
        [(0, 12, 2), (1, 12, 2)],
        [(0, 6, 2), (6, 12, 1)],
    ],
    ids=["all of it", "a gap", "an overlap", "too short", "every second one", "every second one, then all"],
)
def test_other_slices_stay_slices(ranges: list[tuple[int, int, int]]) -> None:
    assert find_cuts(prove(cut_in(*ranges)).nodes) == {}


def test_the_pictures_axis_is_no_axis_to_cut_along() -> None:
    b = Builder((4, 4, 3), 4)
    rows = b.add("reshape", b.convolution(PICTURES, "stem", 3, 4), shape=[["B", 4], 16])
    halves = [b.add("slice", rows, axis=1, start=start, stop=start + 8, step=1) for start in (0, 8)]
    value = b.add("reshape", b.add("add", *halves), shape=[["B", 1], 32])
    b.linear(value, "head", 32, 4)
    (cut,) = set(find_cuts(prove(b.graph()).nodes).values())
    assert (cut.axis, cut.lengths) == (1, (8, 8))


@pytest.mark.parametrize("graph", [windows(), cut_in((5, 12, 1), (0, 5, 1))], ids=["attention", "maps"])
def test_outputs_and_gradients_are_those_of_slices(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = pictures_of(graph, 3, 0)
    cut = weighted(graph, 0)
    monkeypatch.setattr(graph_model, "find_cuts", lambda nodes: {})
    sliced = weighted(graph, 0)
    found = []
    for model in (cut, sliced):
        logits = model(pictures)
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            logits.square().sum().backward()
        wholes = sum(event.count for event in seen.key_averages() if event.key == "aten::slice_backward")
        found.append((logits, [parameter.grad for parameter in model.parameters()], wholes))
    (one, gradients, wholes), (other, expected, many) = found
    assert torch.equal(one, other)
    torch.testing.assert_close(gradients, expected)
    assert wholes < many
