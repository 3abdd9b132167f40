"""A graph has the gradient of what it computes: a network that has another one is refused, or it is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.captures import SHAPE, Line, Network, captured_and_left_as_it_is, check_each_picture
from torch import nn

from policies.errors import GraphError
from researcher.captures.capture import capture
from researcher.captures.loss_capture import capture_loss


class Straight(torch.autograd.Function):
    """The sign, with the gradient of what it is the sign of."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        return value.sign()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


class Turned(torch.autograd.Function):
    """The value itself, with its gradient turned."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        return value * 1.0

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return -gradient


class Swish(torch.autograd.Function):
    """x sigmoid(x), which keeps x alone: its gradient is that of what it computes."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(value)
        return value * value.sigmoid()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (value,) = ctx.saved_tensors
        share = value.sigmoid()
        found: torch.Tensor = gradient * share * (1 + value * (1 - share))
        return found


def applied(function: Any) -> Line:
    return lambda n, m: function.apply(m) * n.vector[:, None, None]


@pytest.mark.parametrize("function", [Straight, Turned])
def test_a_function_with_another_gradient_than_what_it_computes_is_refused_by_name(function: Any) -> None:
    with pytest.raises(GraphError, match=f"(?s)by a function of its own, {function.__name__},.*detach\\(\\)"):
        capture(Network(applied(function)), image_shape=SHAPE, num_classes=4)


def test_a_function_whose_gradient_is_that_of_what_it_computes_is_captured() -> None:
    network, captured = captured_and_left_as_it_is(applied(Swish))
    check_each_picture(network, captured)
    assert "another gradient" not in " ".join(captured.notes)


def test_what_the_refusal_names_is_captured_with_the_gradient_that_was_meant() -> None:
    network, captured = captured_and_left_as_it_is(lambda n, m: (m + (m.sign() - m).detach()) * n.vector[:, None, None])
    check_each_picture(network, captured)
    assert "another gradient" not in " ".join(captured.notes)


def test_a_hook_that_changes_a_gradient_is_told() -> None:
    class Hooked(Network):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            maps = self.stem(pictures)
            if maps.requires_grad:
                maps.register_hook(lambda gradient: -gradient)
            found: torch.Tensor = self.head(maps.flatten(1))
            return found

    captured = capture(Hooked(lambda n, m: m), image_shape=SHAPE, num_classes=4)
    assert "another gradient than the network" in " ".join(captured.notes)


def test_dropout_that_is_taken_out_is_no_other_gradient_and_none_is_left_behind() -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 8), nn.ReLU(), nn.Linear(8, 4))

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.body(nn.functional.dropout(pictures, 0.5, self.training))
            return found

    network = Dropping()
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    assert "another gradient" not in " ".join(captured.notes)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_loss_with_another_gradient_than_what_it_computes_is_refused_by_name() -> None:
    def loss(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = Turned.apply(-(output.log_softmax(1) * label).sum(1))
        return found.mean()

    with pytest.raises(GraphError, match="a function of its own, Turned"):
        capture_loss(loss, num_classes=3)


def test_a_loss_whose_function_has_the_gradient_of_what_it_computes_is_captured() -> None:
    def loss(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = Swish.apply(-(output.log_softmax(1) * label).sum(1))
        return found.mean()

    assert capture_loss(loss, num_classes=3).graph.nodes
