"""Numbers that a network gives an operator, and what it is captured in: a graph comes of it, or one line why not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from policies.errors import GraphError
from researcher.captures.capture import capture
from researcher.captures.loss_capture import capture_loss

NAN, INFINITE = float("nan"), float("inf")


class Between(nn.Module):
    """A function between two layers that are trained."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function, self.first, self.last = function, nn.Linear(16, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(self.function(self.first(x.flatten(1))))
        return y


def captured(function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    return capture(Between(function), image_shape=(4, 4, 1), num_classes=3)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("leaky_relu", lambda x: F.leaky_relu(x, NAN)),
        ("leaky_relu", lambda x: F.leaky_relu(x, INFINITE)),
        ("softplus", lambda x: F.softplus(x, beta=NAN)),
        ("elu", lambda x: F.elu(x, alpha=-INFINITE)),
        ("hardtanh", lambda x: F.hardtanh(x, NAN, 1.0)),
        ("mul", lambda x: x * INFINITE),
        ("add", lambda x: x + NAN),
        ("pow", lambda x: x.abs() ** NAN),
        ("layer_norm", lambda x: F.layer_norm(x, (4,), eps=NAN)),
        ("lerp", lambda x: torch.lerp(x, 2 * x, NAN)),
    ],
)
def test_a_number_that_is_not_finite_is_refused_with_the_operator_and_the_line(
    name: str, function: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    with pytest.raises(
        GraphError, match=rf"(?s){name}.* is refused: it is given a number that is not finite \("
    ) as told:
        captured(function)
    assert "self.function" in told.value.public and "\n" not in told.value.public


@pytest.mark.parametrize(
    ("name", "function"), [("softplus", lambda x: F.softplus(x, beta=0)), ("div", lambda x: x / 0)]
)
def test_a_division_by_zero_is_refused_as_that(name: str, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    with pytest.raises(GraphError, match=rf"{name}.* is refused: it cannot be computed with the numbers .*zero"):
        captured(function)


def test_a_mask_of_infinities_and_bounds_without_end_are_captured_as_before() -> None:
    for function in (
        lambda x: x.masked_fill(x.detach() > 9, -INFINITE).softmax(-1),
        lambda x: x.clamp(min=0.0),
    ):
        assert captured(function).graph.nodes


@pytest.mark.parametrize("factor", [NAN, INFINITE])
def test_a_loss_with_a_number_that_is_not_finite_is_refused_too(factor: float) -> None:
    def loss(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return (factor * (output - label).square()).sum(1)

    with pytest.raises(GraphError, match="is given a number that is not finite"):
        capture_loss(loss, num_classes=3)


class Steeper(torch.autograd.Function):
    """Gives what it is given, with another gradient than that has."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 1.0

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return 9 * gradient


@pytest.mark.parametrize("around", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_the_gradient_is_looked_at_whatever_the_caller_is_in(
    around: Callable[[], AbstractContextManager[None]],
) -> None:
    def loss(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        steeper: torch.Tensor = Steeper.apply(output)
        return (steeper - label).square().sum(1)

    own, plain = Between(Steeper.apply), Between(torch.relu)
    with around():
        with pytest.raises(GraphError, match="by a function of its own, Steeper"):
            capture(own, image_shape=(4, 4, 1), num_classes=3)
        with pytest.raises(GraphError, match="by a function of its own, Steeper"):
            capture_loss(loss, num_classes=3)
        assert capture(plain, image_shape=(4, 4, 1), num_classes=3).graph.nodes
        assert captured(torch.relu).graph.nodes, "also of a network that was made there"
