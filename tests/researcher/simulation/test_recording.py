"""Operations that are recorded: done again they find what they find when they are asked for, to the last bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from support.hospitals import ENVIRONMENT
from support.waiting import CEILING_SECONDS

from researcher.simulation.at_work.recording import Recording
from researcher.simulation.at_work.room import Room

_PLENTY = 1 << 20


def _mixed(pictures: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
    """Views, copies, constants that are written to, results in several parts, and a pass back."""
    maps = F.conv2d(pictures, weight, padding=1)
    normed = F.group_norm(maps, 2).tanh()
    halves = normed.view(-1, 2, 2, 6, 6).unbind(1)
    total = torch.zeros_like(halves[0]).add_(halves[0]).mul_(2.0).sub_(halves[1])
    ones = torch.ones(2, dtype=torch.float64)
    ones[0] = 3.0
    (gradient,) = torch.autograd.grad(total.square().sum(), [weight])
    largest, _ = normed.flatten(1).max(dim=1)
    return [gradient, largest.to(torch.float64) * ones, pictures.permute(0, 2, 3, 1).contiguous(), torch.full((2,), 7)]


def test_done_again_it_finds_what_other_numbers_in_the_same_memory_give() -> None:
    pictures, weight = torch.randn(2, 3, 6, 6), torch.randn(4, 3, 3, 3, requires_grad=True)
    recording = Recording(lambda: _mixed(pictures, weight), Room(_PLENTY))
    assert not recording.why_not
    for _ in range(3):
        with torch.no_grad():
            pictures.copy_(torch.randn(2, 3, 6, 6))
            weight.mul_(-0.5)
        found, wanted = recording.again(), _mixed(pictures, weight)
        assert all(map(torch.equal, found, wanted))
        assert [one.dtype for one in found] == [one.dtype for one in wanted]


def test_what_nothing_is_made_of_is_not_done_again() -> None:
    numbers = torch.randn(4)

    def do() -> list[torch.Tensor]:
        numbers.exp().sum()
        return [numbers * 2]

    assert len(Recording(do, Room(_PLENTY))._calls) == 1


@pytest.mark.parametrize(
    ("do", "why_not"),
    [
        (lambda numbers: numbers + torch.rand(4), "not the same each time"),
        (lambda numbers: numbers[numbers > 0], "not the same each time"),
        (lambda numbers: numbers * numbers.sum().item(), "not the same each time"),
        (lambda numbers: numbers.mul_(2.0) + 1.0, "memory that was there before"),
        (lambda numbers: torch.tensor(1.0).add_(numbers.sum()), "memory that was there before"),
        (lambda numbers: torch.add(numbers, 1.0, out=torch.tensor([0.0] * 4)), "memory that was there before"),
        (lambda numbers: numbers.expand(1 << 10, 4) + 1.0, "too much memory"),
    ],
)
def test_what_cannot_be_done_again_is_done_once_and_says_why(
    do: Callable[[torch.Tensor], torch.Tensor], why_not: str
) -> None:
    numbers = torch.tensor([1.0, -2.0, 3.0, 4.0])
    torch.manual_seed(0)
    recording = Recording(lambda: [do(numbers)], Room(1 << 12))
    assert why_not in recording.why_not
    torch.manual_seed(0)
    assert torch.equal(recording.found[0], do(torch.tensor([1.0, -2.0, 3.0, 4.0])))


def test_what_is_needed_no_longer_gives_its_memory_to_others_and_recordings_share_it() -> None:
    numbers, room = torch.randn(1 << 10), Room(3 << 12)  # for three of the ten results that have 4,096 bytes each

    def do(times: float) -> list[torch.Tensor]:
        found = numbers
        for _ in range(10):
            found = found * times
        return [found]

    one, other = (Recording(lambda times=times: do(times), room) for times in (2.0, 3.0))
    for _ in range(2):
        numbers.copy_(torch.randn(1 << 10))
        assert torch.equal(one.again()[0], do(2.0)[0])
        assert torch.equal(other.again()[0], do(3.0)[0])
    assert Recording(lambda: do(2.0), Room(1 << 12)).why_not == "it takes too much memory"


def test_a_result_that_others_read_as_it_was_made_is_not_copied_and_one_that_is_cut_is() -> None:
    """A convolution has no form that writes where it is told."""
    pictures, weight = torch.randn(1, 2, 5, 5), torch.randn(2, 2, 3, 3)

    def whole() -> list[torch.Tensor]:
        return [F.conv2d(pictures, weight).exp()]

    def cut() -> list[torch.Tensor]:
        return [F.conv2d(pictures, weight)[:, 1:].exp()]

    def found() -> list[torch.Tensor]:
        return [F.conv2d(pictures, weight)]

    for do, room in ((whole, Room(72)), (cut, Room(200)), (found, Room(72))):  # 18 numbers, or 18 and 9
        recording = Recording(do, room)
        assert not recording.why_not
        for _ in range(2):
            pictures.copy_(torch.randn(1, 2, 5, 5))
            assert torch.equal(recording.again()[0], do()[0])


def test_a_recording_imports_nothing() -> None:
    program = (
        "import sys, torch; from researcher.simulation.at_work.recording import Recording; "
        "from researcher.simulation.at_work.room import Room; before = set(sys.modules); "
        "one = torch.ones(2, requires_grad=True); "
        "again = Recording(lambda: [torch.autograd.grad((one * 2).sum(), [one])[0]], Room(1 << 10)); "
        "again.again(); print(again.why_not, sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=CEILING_SECONDS,
        check=True,
    )
    assert done.stdout.split() == ["[]"]
