"""The self-test of the kernels on a GPU, before an engine uses them there. On numbers of nobody."""

from __future__ import annotations

import torch

from datasites.training.gpu.affine import grouped
from datasites.training.gpu.packing import packed, turned
from datasites.training.gpu.plan import PROCESSORS, Geometry
from datasites.training.gpu.products import Products
from datasites.training.gpu.rows import square_norms, weighted_outer, weighted_sum

_PICTURES = 3
_MANY = 16 * PROCESSORS + 1  # of which a program takes several, where a layer is a single tile
_PRECISION = {1: 1e-5, 2: 1e-4}  # relative, by the halves of an operand


def fault(device: torch.device) -> str | None:
    """Tries every kind of product. Returns what is wrong, None if nothing is.

    Args:
        device: Where.
    """
    made = torch.Generator().manual_seed(0)
    for halves in (1, 2):
        for shape in _shapes():
            wrong = _fault_of_products(shape, halves, device, made)
            if wrong is not None:
                return f"The kernels compute wrongly on this GPU: {wrong}. Look for a newer driver."
    return _fault_of_rows(device, made)


def _shapes() -> list[Geometry]:
    """A linear layer with a tail, a convolution of several blocks, one of few positions, and one of few channels.

    Two of them have many pictures.
    """
    p = _PICTURES
    return [
        Geometry(_MANY, 1, 32, 24, 1, (1, 1, 70), (1, 1, 70)),
        Geometry(p, 1, 32, 24, 1, (1, 9, 16), (1, 9, 16), (1, 3, 3), padding=(0, 1, 1)),
        Geometry(_MANY // 8 + 1, 1, 32, 24, 1, (1, 2, 2), (1, 2, 2), (1, 3, 3), padding=(0, 1, 1)),
        Geometry(p, 1, 3, 24, 1, (1, 9, 8), (1, 5, 4), (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
    ]


def _fault_of_products(shape: Geometry, halves: int, device: torch.device, made: torch.Generator) -> str | None:
    rows = [
        torch.randn(shape.pictures, width, places, generator=made).to(device)
        for width, places in ((shape.channels, shape.pixels), (shape.outputs, shape.places))
    ]
    if halves == 1:
        rows = [part.to(torch.bfloat16) for part in rows]
    inputs, grad_output = (packed(part, halves=halves) for part in rows)
    products = Products(shape, inputs, grad_output)
    written, norms = products.written()
    want = _reference(shape, *rows)
    if not (written - want).norm() < _PRECISION[halves] * want.norm():
        return "products are not those of float64"
    if not torch.equal(products.square_norms(), norms):
        return "norms differ between two passes"
    length = written.to(torch.float64).square().sum(dim=(1, 2))
    if not ((norms.sum(dim=0) - length).abs() < 1e-5 * length).all():
        return "a norm is not that of what is written"
    inputs[:, 0] = torch.nan  # a picture that does not count
    factors = torch.zeros(shape.pictures, device=device)
    factors[-1] = 1.0
    if not torch.equal(products.weighted_sum(factors), written[-1].to(torch.float64)):
        return "what is summed is not what was measured"
    return None


def _reference(shape: Geometry, inputs: torch.Tensor, grad_output: torch.Tensor) -> torch.Tensor:
    """The products in float64, (B, taps * C, O)."""
    images = inputs.to(torch.float64).unflatten(2, shape.size[1:])
    settings = (shape.kernel[1:], shape.dilation[1:], shape.padding[1:], shape.stride[1:])
    patches = torch.nn.functional.unfold(images, *settings)  # rows (channel, tap)
    found = patches @ grad_output.to(torch.float64).transpose(1, 2)
    return found.unflatten(1, (shape.channels, shape.taps)).transpose(1, 2).flatten(1, 2)


def _fault_of_rows(device: torch.device, made: torch.Generator) -> str | None:
    rows, others, factors = (torch.randn(size, generator=made).to(device) for size in ((70, 40), (70, 9), (70,)))
    factors = factors.abs()
    factors[1], rows[1] = 0.0, torch.nan
    sound = rows.nan_to_num().to(torch.float64)
    pairs = [
        (square_norms(rows).nan_to_num(), sound.square().sum(dim=1)),
        (weighted_sum(rows, factors), factors.to(torch.float64) @ sound),
        (weighted_outer(rows, others, factors), sound.t() @ (others * factors[:, None]).to(torch.float64)),
    ]
    shape = Geometry(70, 1, 8, 8, 8, (1, 1, 5), (1, 1, 5))
    inputs, grad_output = rows.view(70, 8, 5), others[:, :8, None].expand(70, 8, 5)
    pairs.append(
        (grouped(turned(inputs), turned(grad_output), shape)[2:, :, 0, 0], (inputs * grad_output).sum(dim=2)[2:])
    )
    if all(
        torch.allclose(found.to(torch.float64), want.to(torch.float64), rtol=1e-5, atol=1e-5) for found, want in pairs
    ):
        return None
    return "The kernels add up wrongly on this GPU. Look for a newer driver."
