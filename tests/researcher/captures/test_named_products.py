"""Products over named axes are captured as layers and products of matrices, with each picture's own gradient."""

from __future__ import annotations

import random

import pytest
import torch
from support.captures import check_each_picture
from torch import nn

from researcher.captures.capture import capture


class Contracted(nn.Module):
    """A product over named axes of the pictures and of what is made of them, or of a parameter.

    Args:
        equation: Of einsum, the pictures' axis named `b`; the result is summed up to logits.
        shapes: Of both, without the pictures' axis; where the second has none, it is a parameter.
    """

    def __init__(self, equation: str, first: tuple[int, ...], second: tuple[int, ...]) -> None:
        super().__init__()
        self.equation, self.first, self.second = equation, first, second
        left, right = equation.split("->")[0].split(",")
        self.places = left.index("b"), right.index("b") if "b" in right else None
        self.one = nn.Linear(4, int(torch.tensor(first).prod()))
        shared = "b" in right
        self.other = nn.Linear(4, int(torch.tensor(second).prod())) if shared else nn.Parameter(torch.randn(second))
        self.scale = nn.Parameter(torch.rand(4) + 0.5)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        rows = pictures.flatten(1)
        left = self.one(rows).reshape(-1, *self.first).movedim(0, self.places[0])
        right = self.other
        if isinstance(right, nn.Linear):
            right = right(rows.tanh()).reshape(-1, *self.second).movedim(0, self.places[1])
        made = torch.einsum(self.equation, left, right).movedim(self.equation.split("->")[1].index("b"), 0)
        return made.flatten(1).sin().mean(1, keepdim=True) * self.scale


def drawn_equation(seed: int) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """A product of two values over letters of several kinds, in any order."""
    draw = random.Random(seed)
    sizes = dict(zip("cdefghij", (2, 3, 1, 2, 3, 2, 3, 2), strict=True))
    both, over, left, right, dropped = (
        [k for k in pair if draw.random() < 0.6] for pair in ("c", "de", "fg", "hi", "j")
    )
    pictures = ["b"] if draw.random() < 0.5 else []
    one, other = ["b", *both, *over, *left], [*pictures, *both, *over, *right, *dropped]
    out = ["b", *both, *left, *right]
    for letters in (one, other, out):
        draw.shuffle(letters)
    if not [letter for letter in other if letter != "b"]:
        other.append("h")
        out.append("h")
    shapes = [tuple(sizes[k] for k in letters if k != "b") for letters in (one, other)]
    return f"{''.join(one)},{''.join(other)}->{''.join(out)}", shapes[0], shapes[1]


@pytest.mark.parametrize("seed", range(25))
def test_a_product_over_any_letters_is_captured_or_refused_with_each_pictures_own_gradient(seed: int) -> None:
    torch.manual_seed(seed)
    network = Contracted(*drawn_equation(seed))
    captured = capture(network, image_shape=(2, 2, 1), num_classes=4)
    check_each_picture(network, captured, (2, 2, 1))
