"""Complex numbers and Fourier transforms are captured as real tables, with each picture's own gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.captures import SHAPE, Line, captured_and_left_as_it_is, check_each_picture, refusable, tokens
from torch import nn

from policies.errors import GraphError
from policies.graphs.operators import OPERATORS
from researcher.captures.capture import capture

fft = torch.fft


def both(value: torch.Tensor) -> torch.Tensor:
    """Real and imaginary parts, as two more rows."""
    return torch.cat([value.real, value.imag], 2)


def filtered(n: Any, m: torch.Tensor) -> torch.Tensor:
    """A trained filter of the frequencies, as a global filter network has it."""
    weight = torch.view_as_complex(n.tables.repeat(4, 4, 4)[:8, :4, :2].contiguous())
    return fft.irfft2(fft.rfft2(m, norm="ortho") * weight, s=(8, 6), norm="ortho")


def low_frequencies(n: Any, m: torch.Tensor) -> torch.Tensor:
    """A Fourier neural operator: the lowest frequencies, mixed and written into zeros."""
    found = fft.rfft2(m)
    weight = torch.complex(n.matrix[:, :4], n.state.weight)
    made = torch.zeros(m.shape[0], 4, 8, 4, dtype=found.dtype)
    made[:, :, :3, :2] = torch.einsum("bixy,io->boxy", found[:, :, :3, :2], weight)
    made[:, :, -3:, :2] = torch.einsum("bixy,io->boxy", found[:, :, -3:, :2], weight.conj())
    return fft.irfft2(made, s=(8, 6))


def cut(m: torch.Tensor) -> torch.Tensor:
    middle = fft.fftshift(fft.fft2(m), dim=(-2, -1))[:, :, 2:7, 1:4]
    return fft.ifft2(fft.ifftshift(middle, dim=(-2, -1))).real


def turned(m: torch.Tensor) -> torch.Tensor:
    """Positions as turns of a circle, as rotary embeddings have them."""
    t = tokens(m).contiguous()
    angles = torch.outer(torch.arange(48).to(t.dtype), torch.tensor([1.0, 0.1], dtype=t.dtype))
    pairs = torch.view_as_complex(t.reshape(*t.shape[:-1], 2, 2)) * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(pairs).flatten(2)


def of_channels(n: Any, m: torch.Tensor) -> torch.Tensor:
    """A fast Fourier convolution: parts as channels, and back."""
    found = fft.rfftn(m, dim=(-2, -1), norm="ortho")
    parts = torch.stack((found.real, found.imag), -1).permute(0, 1, 4, 2, 3).flatten(1, 2)
    mixed = torch.tanh(n.groups(parts[:, :4])).view(m.shape[0], 2, 2, 8, 4).permute(0, 1, 3, 4, 2).contiguous()
    return fft.irfftn(torch.complex(mixed[..., 0], mixed[..., 1]), s=(8, 6), dim=(-2, -1), norm="ortho")


def written(m: torch.Tensor) -> torch.Tensor:
    made = torch.complex(m, m.flip(3)) + 0
    made[:, 1] = 0
    made[:, :, 2:4] *= 2.0
    return both(made)


# `n` is the network, `m` its maps, (B, 4, 8, 6).
LINES: dict[str, Line] = {
    "a filter": filtered,
    "low frequencies": low_frequencies,
    "the middle of a spectrum": lambda n, m: cut(m),
    "rotary positions": lambda n, m: turned(m),
    "parts as channels": of_channels,
    "mixed tokens": lambda n, m: tokens(m) + fft.fft(fft.fft(tokens(m), dim=-1), dim=-2).real,
    "a spectrum's size": lambda n, m: fft.fft2(m).abs().log1p(),
    "a spectrum's angle": lambda n, m: fft.rfft(m, dim=2).angle(),
    "of other lengths": lambda n, m: torch.cat([both(fft.fft(m, n=k, dim=2)) for k in (5, 11)], 2),
    "a real one of other lengths": lambda n, m: torch.cat([both(fft.rfft2(m, s=s)) for s in ((8, 5), (8, 9))], 3),
    "back to odd lengths": lambda n, m: torch.cat([fft.irfft(fft.rfft(m, dim=2), n=k, dim=2) for k in (5, 7, 11)], 2),
    "back from fewer frequencies": lambda n, m: fft.irfft2(fft.rfft2(m)[..., :2, :3]) * 2 + fft.irfft(m, dim=1)[
        :, :4, :2, :4
    ],
    "there and back": lambda n, m: both(fft.ifft2(fft.fft2(m) * fft.ifft2(m, norm="forward"), norm="ortho")),
    "over three axes": lambda n, m: both(fft.fftn(m, dim=(1, 2, 3), norm="forward")),
    "over the last axes": lambda n, m: both(fft.ifftn(m, s=(8, 6))) + both(fft.rfftn(m, s=(8, 10)))[..., :6],
    "round and back": lambda n, m: fft.ifftshift(fft.fftshift(m[:, :, :5], dim=2) ** 2, dim=(2, 3)),
    "products": lambda n, m: both(torch.complex(m, m.sin()) * torch.complex(m.flip(2), m) * (0.5 - 1j)) * 0.1,
    "products of matrices": lambda n, m: both(fft.fft(m) @ fft.ifft(m.transpose(2, 3), dim=2)),
    "quotients": lambda n, m: both(m / torch.complex(m.square() + 1, m) + torch.complex(m, m) / (m.square() + 2)),
    "a quotient of both": lambda n, m: both(torch.complex(m, m.tanh()) / torch.complex(m.square() + 1, m) / 2),
    "sums": lambda n, m: both(2 - torch.complex(m, m.tanh()) + m - 1j * m.sum(1, keepdim=True)),
    "conjugates and powers": lambda n, m: both(torch.complex(m, m.cos()).conj() ** 2 - torch.complex(m.sin(), m).exp()),
    "a number and itself": lambda n, m: (torch.complex(m, m.cos()) * torch.complex(m, m.cos()).conj()).real,
    "polar": lambda n, m: both(torch.polar(m.square(), m)),
    "moved": lambda n, m: both(torch.cat([fft.fft(m).roll(1, 2), fft.fft(m).flip(1)], 1).permute(0, 2, 1, 3)),
    "parts": lambda n, m: both(torch.stack(fft.fft(m).chunk(2, dim=2), 1).sum(1).mean(1, keepdim=True)),
    "cast": lambda n, m: both(m.to(torch.complex64 if m.dtype == torch.float32 else torch.complex128) * 1j),
    "a table of complex numbers by places": lambda n, m: both(
        torch.complex(n.matrix, n.matrix.cos())[m.argmax(1)].movedim(-1, 1) * m.mean(1, keepdim=True)
    ),
    "stopped": lambda n, m: both(fft.fft(m) * fft.fft(m).detach()),
    "of a parameter": lambda n, m: m * fft.irfft(
        fft.rfft(n.vector) * torch.complex(n.vector, n.vector)[:3]
    )[:, None, None],
    "parts that are written": lambda n, m: written(m),
    "alike for each picture": lambda n, m: both(torch.ones_like(fft.fft(m)) + fft.fft(m) * fft.fft(m.new_zeros(6))),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_complex_numbers_are_captured_as_real_ones_with_each_pictures_own_gradient(name: str) -> None:
    network, captured = captured_and_left_as_it_is(LINES[name])
    check_each_picture(network, captured)
    assert {node.operator for node in captured.graph.nodes} <= set(OPERATORS)


class Filter(nn.Module):
    """A trained weight of complex numbers, a frozen one, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 8, 4, dtype=torch.cfloat))
        self.frozen = nn.Parameter(torch.randn(8, 1, dtype=torch.cfloat), requires_grad=False)
        self.register_buffer("mask", torch.randn(4, dtype=torch.cfloat))
        self.head = nn.Linear(3 * 48, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(fft.irfft2(fft.rfft2(x) * self.weight * self.frozen + self.mask).flatten(1))


def test_a_complex_weight_is_trained_as_its_parts_and_told() -> None:
    torch.manual_seed(4)
    network = Filter()
    captured = capture(network, image_shape=SHAPE, num_classes=4)
    assert captured.graph.parameters["parametrizations.weight.original0"] == (3, 8, 4, 2)
    assert any("1 complex weight is trained as real and imaginary parts" in note for note in captured.notes)
    pictures = torch.randn(3, 3, *SHAPE[:2], requires_grad=True)
    graph = captured.build()
    torch.testing.assert_close(graph(pictures), network(pictures), rtol=1e-4, atol=1e-5)
    graph(pictures).sin().sum().backward()
    network(pictures).sin().sum().backward()
    parts = dict(graph.named_parameters())["parametrizations.weight.original0"].grad
    assert parts is not None and network.weight.grad is not None
    torch.testing.assert_close(torch.view_as_complex(parts), network.weight.grad, rtol=1e-4, atol=1e-4)


COUPLING: dict[str, tuple[Line, str]] = {
    "over pictures": (lambda n, m: fft.fft(m, dim=0).abs(), "transforms over the pictures"),
    "over pictures that lie last": (lambda n, m: fft.fft(m.permute(1, 2, 3, 0)).abs().sum(3), "transforms over"),
    "over all axes": (lambda n, m: fft.fftn(m).real, "transforms over the pictures"),
    "back over pictures": (lambda n, m: fft.irfftn(fft.rfft2(m), dim=(0, 3)), "transforms over the pictures"),
    "moved round": (lambda n, m: fft.ifftshift(m, dim=(0, 2)), "moves the pictures"),
    "moved round, complex": (lambda n, m: fft.fftshift(fft.fft(m)).real, "moves the pictures"),
    "summed": (lambda n, m: m * fft.fft(m).sum(0).real, "axis 0, which is that of the pictures"),
    "multiplied": (lambda n, m: torch.einsum("bchw,dchw->bchw", fft.fft(m), fft.fft(m)).real, "pictures"),
    "picked": (lambda n, m: m * fft.fft(m)[0].real, "one of the pictures"),
    "turned round": (lambda n, m: fft.fft(m).flip(0).real, "axis 0, which is that of the pictures"),
}


@pytest.mark.parametrize("name", COUPLING)
def test_complex_numbers_in_which_pictures_would_meet_are_refused(name: str) -> None:
    line, why = COUPLING[name]
    torch.manual_seed(3)
    with pytest.raises(GraphError, match=why):
        capture(refusable(line), image_shape=SHAPE, num_classes=4)


@pytest.mark.parametrize("view", [torch.real, torch.imag, lambda z: torch.view_as_real(z)[..., 0]])
def test_what_is_written_through_a_view_of_a_part_is_not_lost(view: Any) -> None:
    """The whole would be read as it was: complex values and their parts share their numbers."""

    def line(n: Any, m: torch.Tensor) -> torch.Tensor:
        whole = fft.fft(m) * 1
        view(whole).mul_(2)
        return whole.abs()

    with pytest.raises(GraphError, match="an earlier view is read afterwards"):
        capture(refusable(line), image_shape=SHAPE, num_classes=4)
