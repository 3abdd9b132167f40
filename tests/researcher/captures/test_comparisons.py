"""Networks that compare picture values, as people write them by hand, are captured with each picture's own gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.captures import SHAPE, Line, Network, captured_and_left_as_it_is, check_each_picture, tokens
from torch import nn

from policies.errors import GraphError
from researcher.captures.capture import capture


def written(m: torch.Tensor) -> torch.Tensor:
    """Into a copy, where a mask holds."""
    made = m * 1.0
    made[made < 0] = 0.0
    made[m.mean((2, 3)) > 0.1] = 0.5
    return made


def in_place(m: torch.Tensor) -> torch.Tensor:
    made = m + 0.0
    made.masked_fill_(made.abs() < 0.1, 0.0)
    return made


def splines(m: torch.Tensor) -> torch.Tensor:
    """B-splines of degree two on a grid, as networks of Kolmogorov and Arnold have them, (B, 4, 6)."""
    x, grid = m.mean((2, 3))[..., None], torch.linspace(-2, 2, 9)
    bases = ((x >= grid[:-1]) & (x < grid[1:])).to(x.dtype)
    for k in (1, 2):
        left = (x - grid[: -(k + 1)]) / (grid[k:-1] - grid[: -(k + 1)])
        right = (grid[k + 1 :] - x) / (grid[k + 1 :] - grid[1:-k])
        bases = left * bases[..., :-1] + right * bases[..., 1:]
    return bases


def experts(n: Any, m: torch.Tensor) -> torch.Tensor:
    """The two best of four, by their second value."""
    scores = n.state(m.mean((2, 3)))
    first = scores.amax(1, keepdim=True)
    second = scores.masked_fill(scores >= first, -1e4).amax(1, keepdim=True)
    gates = torch.where(scores >= second, scores, -1e4).softmax(1)
    return (
        torch.stack([m.mean((2, 3)).tanh(), m.amax((2, 3)), m[:, :, 0].mean(2), m[..., 0].mean(2)], 1)
        * gates[..., None]
    )


def places(m: torch.Tensor) -> torch.Tensor:
    """EdgeNeXt's code of positions: it counts them in a mask with a row for each picture."""
    inside = ~torch.zeros(m.shape[0], 8, 6).to(torch.bool)
    rows, columns = inside.cumsum(1, dtype=torch.float32), inside.cumsum(2, dtype=torch.float32)
    code = torch.stack([rows / (rows[:, -1:] + 1e-6), columns / (columns[:, :, -1:] + 1e-6)], 1)
    return torch.cat([m, (6.28 * code).sin(), (6.28 * code).cos()], 1)


def distilled(m: torch.Tensor) -> torch.Tensor:
    """A mask that is made without gradients."""
    with torch.no_grad():
        mask = (m > 0).float()
    return m * mask + m.abs() * (m < 0).float().detach()


def pruned(n: Any, m: torch.Tensor) -> torch.Tensor:
    """The larger weights of a layer alone."""
    weight = n.state.weight
    return F.linear(tokens(m), weight * (weight.abs() > weight.abs().mean()).float(), n.state.bias)


# `n` is the network, `m` its maps, (B, 4, 8, 6).
LINES: dict[str, Line] = {
    "relu by hand": lambda n, m: m * (m > 0),
    "relu by a choice": lambda n, m: torch.where(m > 0, m, torch.zeros_like(m)),
    "leaky relu by a choice": lambda n, m: torch.where(m > 0, m, 0.1 * m),
    "elu by a choice": lambda n, m: torch.where(m > 0, m, torch.exp(m.clamp(max=0)) - 1),
    "hard thresholds": lambda n, m: m * (m.abs() >= 0.2).float(),
    "a trained bound": lambda n, m: torch.maximum(m, n.vector[:, None, None]) * (m < n.vector[:, None, None]),
    "a trained bound chosen": lambda n, m: torch.where(m > n.vector[:, None, None] - 1, m, n.vector[:, None, None]),
    "both hold": lambda n, m: m * ((m > -0.3) & (m < 0.5)),
    "one holds, or another, or one of both": lambda n, m: (
        m * ((m < -0.3) | (m > 0.5)).float() + m.tanh() * ((m > 0) ^ (m.flip(3) > 0)).float()
    ),
    "it does not hold": lambda n, m: m * (~(m > 0.1)).to(m.dtype) + m.exp() * torch.logical_not(m > 0).float(),
    "logical functions of numbers": lambda n, m: (
        m * torch.logical_and(m.relu(), m.flip(2).relu()) + m * torch.logical_or(m.relu(), m > -0.1)
    ),
    "truth values of numbers": lambda n, m: m * m.relu().bool() + m * (m > 0).int() * (m != 0).long(),
    "filled where a mask holds": lambda n, m: m.masked_fill(m < 0, 0.0) + m.masked_fill(m.mean(1, True) > 0.1, 0.5),
    "filled in place": lambda n, m: in_place(m),
    "written where a mask holds": lambda n, m: written(m),
    "the largest alone": lambda n, m: m * (m == m.amax(1, keepdim=True)),
    "no comparison with itself": lambda n, m: m * (m != m.amax(1, keepdim=True)) * ~m.isnan(),
    "how many are above": lambda n, m: m * (m > 0).sum(1, keepdim=True) / 4 + (m > 0.2).float().mean(1, keepdim=True),
    "how many so far": lambda n, m: m * (m > 0).cumsum(2) + m * (m > 0).count_nonzero(1)[:, None],
    "any and all": lambda n, m: m * (m > 0.4).any(1, keepdim=True) + m.tanh() * (m > -0.4).all(1, keepdim=True),
    "masks that are moved": lambda n, m: m * torch.cat([(m > 0)[:, 2:], ~(m > 0)[:, :2]], 1).flip(3).repeat(1, 1, 1, 1),
    "by a constant table": lambda n, m: m * ((m > 0) & n.inside).float() + torch.where(n.inside & (m < 0), m, 0.0),
    "signs and shrinking": lambda n, m: F.hardshrink(m, 0.3) + F.threshold(m, 0.1, 0.5) + m.sign() * m.abs().sqrt(),
    "splines": lambda n, m: splines(m),
    "experts": experts,
    "a code of positions": lambda n, m: places(m),
    "a mask without gradients": lambda n, m: distilled(m),
    "a pruned layer": pruned,
    "no place outside": lambda n, m: F.scaled_dot_product_attention(
        tokens(m), tokens(m), tokens(m), torch.where(tokens(m).mean(2)[:, None] > -0.5, 0.0, -1e4)
    ),
    "a step of the head": lambda n, m: n.state(m.mean((2, 3))) * (n.state(m.mean((2, 3))) > 0),
}


@pytest.mark.parametrize("name", LINES)
def test_a_network_that_compares_is_captured_with_each_pictures_own_gradient(name: str) -> None:
    network, captured = captured_and_left_as_it_is(LINES[name])
    assert {node.operator for node in captured.graph.nodes} & {"at_least", "equal", "greater", "choose"}
    check_each_picture(network, captured)


def test_there_are_twenty_at_least() -> None:
    assert len(LINES) >= 20


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_of_what_is_no_number_a_graph_says_what_the_network_says(bad: float) -> None:
    for name in ("it does not hold", "the largest alone", "truth values of numbers", "signs and shrinking"):
        network, captured = captured_and_left_as_it_is(LINES[name])
        pictures = torch.randn(2, 3, *SHAPE[:2], generator=torch.Generator().manual_seed(1))
        pictures[1, :, 2, 3] = bad
        with torch.no_grad():
            torch.testing.assert_close(captured.build()(pictures), network(pictures), equal_nan=True)


def test_parameters_that_are_only_compared_with_become_constants_and_are_told() -> None:
    network, captured = captured_and_left_as_it_is(lambda n, m: torch.where(m > n.vector[:, None, None] - 1, m, 0.0))
    assert "1 parameter without a gradient becomes a constant: 'vector'" in " ".join(captured.notes)
    assert "vector" not in captured.weights and "vector" not in captured.graph.parameters
    check_each_picture(network, captured)


REFUSED: dict[str, tuple[Line, str]] = {
    "more than the picture before": (lambda n, m: m * (m > m.roll(1, 0)), "rolls over axis 0"),
    "the largest of all pictures": (lambda n, m: m * (m == m.amax(0, keepdim=True)), "reduces over axis 0"),
    "above the mean of all pictures": (lambda n, m: torch.where(m > m.mean(0), m, 0.0), "reduces over axis 0"),
    "how many pictures are above": (lambda n, m: m * (m > 0).sum(0), "reduces over axis 0"),
    "any of all pictures": (lambda n, m: m * (m > 0).any(), "reduces over axis 0"),
    "pictures so far": (lambda n, m: m * (m > 0).cumsum(0), "sums over axis 0"),
    "chosen from another picture": (lambda n, m: torch.where(m > 0, m, m.flip(0)), "flips over axis 0"),
    "filled from another picture": (lambda n, m: m.masked_fill(m.flip(0) < 0, 0.0), "flips over axis 0"),
    "ranked among pictures": (
        lambda n, m: m.mean((2, 3)) * (m.mean((2, 3))[:, None] > m.mean((2, 3))[None]).float().mean(1),
        "batch size in another way|lie on different axes",
    ),
    "above the batch size": (lambda n, m: m * (m > m.shape[0]), "computes with the batch size"),
    "a comparison that is infinite": (lambda n, m: m * (m > -torch.inf), "a number that no graph can hold"),
    "bits of whole numbers": (lambda n, m: m * ((m > 0).int() & 1), "bits of whole numbers"),
    "rounded to bytes": (lambda n, m: m * m.to(torch.int8), "whole numbers of others"),
    "truth values added": (lambda n, m: m * ((m > 0) + (m < 1)), r"with truth values.*\.float\(\)"),
    "another precision": (lambda n, m: m * (m > 0).double(), "torch.float64"),
    "a part that is written": (lambda n, m: _halves(m), "index is computed from the pictures"),
}


def _halves(m: torch.Tensor) -> torch.Tensor:
    made = m * 1.0
    made[m > 0] = m[m > 0]
    return made


@pytest.mark.parametrize("name", REFUSED)
def test_comparisons_that_let_pictures_meet_or_have_no_rule_are_refused(name: str) -> None:
    line, why = REFUSED[name]
    with pytest.raises(GraphError, match=f"(?s){why}"):
        capture(Network(line), image_shape=SHAPE, num_classes=4)


def test_a_network_whose_logits_only_compare_is_refused() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(144, 4)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return (self.head(pictures.flatten(1)) > 0).float()

    with pytest.raises(GraphError, match="no trained parameter"):
        capture(Steps(), image_shape=SHAPE, num_classes=4)
