"""Small matrices taken apart, what an axis holds so far, and picks that are the same for all, with their gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.captures import SHAPE, Line, captured_and_left_as_it_is, check_each_picture, refusable, tokens
from torch import nn
from torch.nn.utils import parametrizations

from policies.errors import GraphError
from researcher.captures.capture import capture

PLACES = torch.tensor([5, 0, 47])


def square(n: Any, m: torch.Tensor) -> torch.Tensor:
    """A matrix of each picture, (B, 4, 4), whose largest numbers are not on its diagonal."""
    return tokens(m).transpose(1, 2) @ tokens(m) / 48 + n.state.weight.flip(0) + 2 * torch.eye(4).roll(1, 0)


def definite(m: torch.Tensor) -> torch.Tensor:
    return tokens(m).transpose(1, 2) @ tokens(m) / 48 + 0.1 * torch.eye(4)


def pooled(m: torch.Tensor) -> torch.Tensor:
    return m.mean((2, 3))


def solved_by_triangle(m: torch.Tensor, **settings: Any) -> torch.Tensor:
    return torch.linalg.solve_triangular(definite(m), tokens(m).transpose(1, 2)[:, :, :5], **settings)


KEPT: dict[str, Line] = {
    "an inverse": lambda n, m: torch.linalg.inv(square(n, m)),
    "an inverse of a weight": lambda n, m: pooled(m) @ (n.state.weight + torch.eye(4)).inverse(),
    "a solution": lambda n, m: torch.linalg.solve(square(n, m), tokens(m).transpose(1, 2)[:, :, :3]),
    "a solution of one side": lambda n, m: torch.linalg.solve(square(n, m), pooled(m)),
    "a solution by a weight": lambda n, m: torch.linalg.solve(n.state.weight, tokens(m).transpose(1, 2)),
    "a solution for a weight": lambda n, m: torch.linalg.solve(square(n, m), n.matrix),
    "a determinant": lambda n, m: torch.linalg.det(square(n, m))[:, None] + square(n, m).det()[:, None],
    "its logarithm": lambda n, m: torch.logdet(definite(m))[:, None],
    "its sign and logarithm": lambda n, m: torch.stack(
        [*torch.linalg.slogdet(square(n, m)), square(n, m).slogdet()[1]], 1
    ),
    "a factor": lambda n, m: torch.linalg.cholesky(definite(m)),
    "an upper factor": lambda n, m: torch.linalg.cholesky(definite(m), upper=True),
    "a lower triangle": lambda n, m: solved_by_triangle(m, upper=False),
    "an upper triangle": lambda n, m: solved_by_triangle(m, upper=True),
    "a triangle of ones": lambda n, m: solved_by_triangle(m, upper=True, unitriangular=True),
    "a triangle of a weight": lambda n, m: torch.linalg.solve_triangular(
        n.state.weight.tril() + torch.eye(4), tokens(m).transpose(1, 2), upper=False
    ),
    "a distance from what a picture is like": lambda n, m: (
        (pooled(m)[:, None] - n.matrix.t()) @ torch.linalg.inv(definite(m)) * (pooled(m)[:, None] - n.matrix.t())
    ).sum(-1),
    "turned round": lambda n, m: square(n, m).mH @ square(n, m).adjoint(),
    "exponentials so far": lambda n, m: torch.logcumsumexp(9 * tokens(m), 1),
    "the largest so far": lambda n, m: tokens(m).cummax(1)[0] + tokens(m).cummin(1).values,
    "places that are the same for all": lambda n, m: tokens(m).gather(1, PLACES[None, :, None].repeat(len_of(m), 1, 4)),
    "places of fewer channels": lambda n, m: tokens(m).gather(1, PLACES[None, :, None].expand(len_of(m), -1, 2)),
    "other places of each channel": lambda n, m: tokens(m).gather(
        1, (torch.arange(12).view(3, 4) * 7 % 48)[None].repeat(len_of(m), 1, 1)
    ),
    "distances of pictures from a table": lambda n, m: torch.cdist(pooled(m), n.matrix.t()),
    "distances of positions from a table": lambda n, m: torch.cdist(tokens(m).reshape(-1, 4), n.matrix.t()).reshape(
        len_of(m), 48, 5
    ),
}


def len_of(m: torch.Tensor) -> int:
    return m.shape[0]


@pytest.mark.parametrize("name", KEPT)
def test_it_is_that_of_each_picture_alone(name: str) -> None:
    network, captured = captured_and_left_as_it_is(KEPT[name])
    check_each_picture(network, captured)


def test_a_weight_that_is_kept_orthogonal_is_captured() -> None:
    head = parametrizations.orthogonal(nn.Linear(4, 4), orthogonal_map="cayley")
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    check_each_picture(network, captured)


def test_a_pivot_is_the_largest_of_its_column_and_of_equal_ones_the_first() -> None:
    """Without exchanged rows each of these divides by 0, and with equal ones exchanged twice the sign is another."""
    given = torch.tensor([[0.0, 1, 0, 0], [2, 0, 0, 1], [-2, 0, 3, 0], [2, 0, 0, 0]])
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), _Solving(given))
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    pictures = torch.randn(2, 3, 8, 6)
    maps = network[:3](pictures)
    wanted = maps @ given.inverse().t() * given.det()
    torch.testing.assert_close(captured.build()(pictures), wanted, rtol=1e-5, atol=1e-5)


class _Solving(nn.Module):
    def __init__(self, given: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("given", given)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        each = self.given + 0 * value[:, :, None]
        return torch.linalg.solve(each, value) * torch.linalg.det(each)[:, None]


REFUSED: dict[str, tuple[Line, str]] = {
    "matrices of the pictures": (
        lambda n, m: torch.linalg.inv(tokens(m).permute(1, 0, 2)[:, :, :1] + torch.eye(3))[:3, :, :1].transpose(0, 1),
        "not of one picture each|cannot be traced|cannot compute|batch size",
    ),
    "large ones": (lambda n, m: torch.linalg.inv(tokens(m) @ tokens(m).mT + torch.eye(48)), "up to 32 have room"),
    "from the right": (lambda n, m: torch.linalg.solve(square(n, m), tokens(m), left=False), "solves from the right"),
    "a triangle from the right": (
        lambda n, m: torch.linalg.solve_triangular(definite(m), tokens(m), upper=False, left=False),
        "solves from the right",
    ),
    "own values": (lambda n, m: torch.linalg.eigvalsh(definite(m)), "small ones may have torch.linalg.inv"),
    "whether it is singular": (lambda n, m: torch.linalg.inv_ex(definite(m))[0], "small ones may have"),
    "a pseudo-inverse": (lambda n, m: torch.linalg.pinv(definite(m)), "small ones may have torch.linalg.inv"),
    "an exponential": (lambda n, m: torch.matrix_exp(square(n, m)), "orthogonal_map='cayley'"),
    "where the largest so far is": (lambda n, m: tokens(m).cummax(1)[1].float(), "Use the number"),
    "places over the pictures": (
        lambda n, m: m.flatten(1).gather(0, torch.zeros(1, 192, dtype=torch.long).expand(len_of(m), -1)),
        "over the pictures",
    ),
    "distances of all pictures": (lambda n, m: torch.cdist(pooled(m), pooled(m))[:, :1], "cdist|pictures"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_room_or_rule_is_refused_with_a_way_out(name: str) -> None:
    line, reason = REFUSED[name]
    with pytest.raises(GraphError, match=reason):
        capture(refusable(line), image_shape=SHAPE, num_classes=4)


def test_boxes_of_maps_are_told_what_to_use() -> None:
    class Boxes(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            rows = torch.arange(pictures.shape[0])[:, None].float()
            boxes = torch.cat([rows, torch.tensor([[0.0, 0, 4, 4]]).expand(pictures.shape[0], -1)], 1)
            return F.linear(boxes, torch.ones(4, 5))

    with pytest.raises(GraphError, match="as of roi_align, cut the maps with slices and pool them"):
        capture(Boxes(), image_shape=SHAPE, num_classes=4)
