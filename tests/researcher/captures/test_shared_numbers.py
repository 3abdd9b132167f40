"""What writes into a view writes into what it is a view of, or is refused; and places are counted from the end too.

Each number here is written where drawn pictures seldom reach, so that no comparison of logits would tell.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.captures import SHAPE, Line, Network, captured_and_left_as_it_is, check_each_picture
from torch import nn

from policies.errors import GraphError
from researcher.captures.capture import capture

FAR = 40.0  # above all numbers of drawn pictures


def of_a_part_without_gradients(m: torch.Tensor) -> torch.Tensor:
    made = torch.zeros_like(m)
    with torch.no_grad():
        shown = made[:, :, 0]
    shown.clamp_(max=FAR)
    return made + m


def of_turned_maps(m: torch.Tensor) -> torch.Tensor:
    made = m * 1.0
    shown = torch.einsum("bcij->bcji", made)
    made[made > FAR] = FAR
    return shown


def of_a_list_broadcast(m: torch.Tensor) -> torch.Tensor:
    made = m * 1.0
    shown, _ = torch.broadcast_tensors(made[:, 0], torch.zeros(1, 8, 6))
    shown[shown > FAR] = FAR
    return made


def of_a_constant(n: Any, m: torch.Tensor) -> torch.Tensor:
    made = torch.zeros(4)
    beside, shown = made[:2], made[1:]
    shown.add_(n.vector[1:])
    return m * (made + beside.sum())[:, None, None]


SEEN_ELSEWHERE: dict[str, Line] = {
    "a part without gradients": lambda n, m: of_a_part_without_gradients(m),
    "turned maps": lambda n, m: of_turned_maps(m),
    "a list that is broadcast": lambda n, m: of_a_list_broadcast(m),
    "a constant": of_a_constant,
}


@pytest.mark.parametrize("name", SEEN_ELSEWHERE)
def test_what_is_seen_through_another_view_is_not_written_into(name: str) -> None:
    with pytest.raises(GraphError, match="writes into a value of which an earlier view is read"):
        capture(Network(SEEN_ELSEWHERE[name]), image_shape=SHAPE, num_classes=4)


def written_constant(n: Any, m: torch.Tensor) -> torch.Tensor:
    made = torch.zeros(2, 4)
    made[0] = n.vector
    made[1, ::2] = 2 * n.vector[:2]
    made[:, 1] += 0.5
    return m * made[0][:, None, None] + m.tanh() * made[1][:, None, None]


def two_results(m: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        first, second = m.mean(3), m.amax(3)
    first += 1.0
    return first + second + m.mean(3)


def one_part_again(m: torch.Tensor) -> torch.Tensor:
    made = m * 1.0
    part = made[:, 1, ::2]
    part.mul_(2.0)
    part += m[:, 0, ::2]
    return made


WRITTEN: dict[str, Line] = {
    "a part that is written into again": lambda n, m: one_part_again(m),
    "a constant that parameters are written into": written_constant,
    "one of two results of a part without gradients": lambda n, m: two_results(m),
    "places counted from the end": lambda n, m: n.matrix.t()[:, :4][m.argmax(1) - 1].permute(0, 3, 1, 2) + m,
    "places counted from the end alone": lambda n, m: n.matrix[-1 - m.argmax(1)].permute(0, 3, 1, 2)[:, :4] * m,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_or_counted_from_the_end_is_captured(name: str) -> None:
    network, captured = captured_and_left_as_it_is(WRITTEN[name])
    check_each_picture(network, captured)


class FewPlaces(nn.Module):
    """Rows of a table by the place of each map's largest number, of which drawn pictures seldom have the first."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.table, self.shift = nn.Parameter(torch.arange(1.0, 193.0).view(48, 4)), shift

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.table[pictures.mean(1).flatten(1).argmax(1) - self.shift]


@pytest.mark.parametrize("shift", [0, 1, 48])
def test_a_place_before_the_first_is_counted_from_the_end(shift: int) -> None:
    network = FewPlaces(shift)
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    pictures = torch.zeros(48, 3, 48)
    pictures[torch.arange(48), :, torch.arange(48)] = 1.0
    pictures = pictures.view(48, 3, *SHAPE[:2])
    with torch.no_grad():
        assert torch.equal(captured.build()(pictures), network(pictures))


class Kept(nn.Module):
    """A buffer that each call writes into."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)
        self.kept: torch.Tensor
        self.register_buffer("kept", torch.zeros(4))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        self.kept.add_(self.head.bias)
        found: torch.Tensor = self.head(pictures.mean((2, 3))) + self.kept
        return found


def test_a_buffer_that_parameters_are_added_to_call_by_call_is_refused() -> None:
    with pytest.raises(GraphError, match="writes into the pictures, a parameter or a buffer"):
        capture(Kept(), image_shape=SHAPE, num_classes=4)


def test_a_generator_of_random_numbers_is_refused_in_plain_words() -> None:
    def line(n: Any, m: torch.Tensor) -> torch.Tensor:
        return m * torch.rand(4, 1, 1, generator=torch.Generator().manual_seed(0))

    with pytest.raises(GraphError, match="holds or makes what is no tensor"):
        capture(Network(line), image_shape=SHAPE, num_classes=4)
