"""The functions of torch for a graph's operators. Only what `policies.graphs` has proved comes here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from datasites.training.graphs.halves import halved, is_plain
from policies.graphs.graph import Constant
from policies.graphs.proof import ProvedNode

_DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "int64": np.dtype("<i8"), "bool": np.dtype("?")}
Attributes = Mapping[str, Any]
Function = Callable[[Attributes, tuple[torch.Tensor, ...]], torch.Tensor]


def _each(function: Callable[..., torch.Tensor]) -> Function:
    """A function of the inputs alone."""
    return lambda attributes, inputs: function(*inputs)


def _over(function: Callable[..., torch.Tensor]) -> Function:
    """A function over axes."""
    return lambda a, inputs: function(inputs[0], dim=a["axes"], keepdim=a["keep"])


def _compared(function: Callable[..., torch.Tensor]) -> Function:
    """1 or 0 in place of true or false, in float32 whatever autocast computed with; no gradient passes."""

    def compare(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        wide = torch.promote_types(inputs[0].dtype, inputs[1].dtype)
        return function(*inputs).to(torch.promote_types(wide, torch.float32))

    return compare


def _choose(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return torch.where(inputs[0] != 0, inputs[1], inputs[2])


def _affine(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    found = inputs[0] if a["factor"] == 1 else inputs[0] * a["factor"]
    return found + a["offset"] if a["offset"] else found


def _standardise(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    if torch.compiler.is_exporting():  # Core ML and ExecuTorch know no variance
        apart = inputs[0] - inputs[0].mean(dim=a["axes"], keepdim=True)
        return apart * torch.rsqrt(apart.square().mean(dim=a["axes"], keepdim=True) + a["eps"])
    variance, mean = torch.var_mean(inputs[0], dim=a["axes"], correction=0, keepdim=True)
    return (inputs[0] - mean) * torch.rsqrt(variance + a["eps"])


def _variance(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    if torch.compiler.is_exporting():
        numbers = math.prod(inputs[0].shape[axis] for axis in a["axes"])
        apart = inputs[0] - inputs[0].mean(dim=a["axes"], keepdim=True)
        return apart.square().sum(dim=a["axes"], keepdim=a["keep"]) / (numbers - a["correction"])
    return torch.var(inputs[0], a["axes"], correction=a["correction"], keepdim=a["keep"])


def _conv2d(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    image, weight, *biases = inputs
    bias = biases[0] if biases else None
    reach = [step * (size - 1) for step, size in zip(a["dilation"], weight.shape[2:], strict=True)]
    high, wide = padding = a["padding"]
    if high > reach[0] or wide > reach[1]:  # windows of padding alone are asked of no library, which may not bear them
        image, padding = F.pad(image, (wide, wide, high, high)), (0, 0)
    return F.conv2d(image, weight, bias, a["stride"], padding, a["dilation"], a["groups"])


def _group_norm(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    weight, bias = inputs[1:] or (None, None)
    return F.group_norm(inputs[0], a["groups"], weight, bias, a["eps"])


def _layer_norm(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    weight, bias = inputs[1:] or (None, None)
    return F.layer_norm(inputs[0], inputs[0].shape[-a["axes"] :], weight, bias, a["eps"])


def _attention(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """With two axes before the last two, whatever there are, as the exporter of ONNX asks for."""
    lead = torch.broadcast_shapes(*(one.shape[:-2] for one in inputs))
    query, key, value, *masks = [_of_two(one.expand(*lead, *one.shape[-2:])) for one in inputs]
    mask = masks[0] if masks else None
    found = F.scaled_dot_product_attention(query, key, value, mask, is_causal=a["causal"], scale=a["scale"])
    if torch.compiler.is_exporting():  # how its numbers lie is another thing once ExecuTorch has taken it apart
        found = found.clone(memory_format=torch.contiguous_format)
    return found if len(lead) == 2 else found.reshape(*lead, *found.shape[-2:])


def _of_two(value: torch.Tensor) -> torch.Tensor:
    """(..., n, d) → (?, ?, n, d)."""
    while value.dim() < 4:
        value = value.unsqueeze(-3)
    return value if value.dim() == 4 else value.flatten(0, -4)


def _max_pool2d(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    found: torch.Tensor = F.max_pool2d(
        inputs[0], a["kernel"], a["stride"], a["padding"], a["dilation"], ceil_mode=a["ceil"]
    )
    return found


def _average_pool2d(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    if (*a["kernel"], *a["stride"], *a["padding"]) == (2, 2, 2, 2, 0, 0):
        found = halved(inputs[0])
        if found is not None:
            return found
    return F.avg_pool2d(inputs[0], a["kernel"], a["stride"], a["padding"], a["ceil"], a["count_padding"])


def _adaptive_average_pool2d(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    if is_plain(inputs[0]) and inputs[0].shape[2:] == tuple(2 * size for size in a["size"]):  # a quicker kernel
        return F.avg_pool2d(inputs[0], 2)
    return F.adaptive_avg_pool2d(inputs[0], a["size"])


def _resize_nearest(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return F.interpolate(inputs[0], size=a["size"], mode="nearest")


def _resize_bilinear(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return F.interpolate(inputs[0], size=a["size"], mode="bilinear", align_corners=a["align_corners"])


def _slice(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return inputs[0][(*_before(a["axis"]), slice(a["start"], a["stop"], a["step"]))]


def _take(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    if inputs[1].dim() == 0:  # by a tensor of shape () torch reads its number, which tensors without any have not
        return inputs[0].index_select(a["axis"], inputs[1].reshape(1)).squeeze(a["axis"])
    place: Any = (*_before(a["axis"]), inputs[1])
    return inputs[0][place]


def _pad(a: Attributes, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
    sides = [side for pair in zip(reversed(a["before"]), reversed(a["after"]), strict=True) for side in pair]
    return F.pad(inputs[0], sides, value=a["number"])


def _before(axis: int) -> tuple[slice, ...]:
    return (slice(None),) * axis


FUNCTIONS: dict[str, Function] = {
    "absolute": _each(torch.abs),
    "adaptive_average_pool2d": _adaptive_average_pool2d,
    "add": _each(torch.add),
    "affine": _affine,
    "at_least": _compared(torch.ge),
    "attention": _attention,
    "average_pool2d": _average_pool2d,
    "choose": _choose,
    "clamp": lambda a, inputs: F.hardtanh(inputs[0], a["low"], a["high"]),  # the way back in a third of clamp's time
    "concatenate": lambda a, inputs: torch.cat(inputs, dim=a["axis"]),
    "conv2d": _conv2d,
    "cosine": _each(torch.cos),
    "cumulative_sum": lambda a, inputs: inputs[0].cumsum(a["axis"]),
    "divide": _each(torch.div),
    "elu": lambda a, inputs: F.elu(inputs[0], a["alpha"]),
    "equal": _compared(torch.eq),
    "error_function": _each(torch.erf),
    "exponential": _each(torch.exp),
    "flip": lambda a, inputs: inputs[0].flip(a["axes"]),
    "floor": _each(torch.floor),
    "gelu": lambda a, inputs: F.gelu(inputs[0], approximate="tanh" if a["tanh"] else "none"),
    "greater": _compared(torch.gt),
    "group_norm": _group_norm,
    "hard_sigmoid": _each(F.hardsigmoid),
    "hard_swish": _each(F.hardswish),
    "largest": _over(torch.amax),
    "layer_norm": _layer_norm,
    "leaky_relu": lambda a, inputs: F.leaky_relu(inputs[0], a["slope"]),
    "linear": _each(F.linear),
    "log_softmax": lambda a, inputs: inputs[0].log_softmax(a["axis"]),
    "logarithm": _each(torch.log),
    "matmul": _each(torch.matmul),
    "max_pool2d": _max_pool2d,
    "maximum": _each(torch.maximum),
    "mean": _over(torch.mean),
    "minimum": _each(torch.minimum),
    "mish": _each(F.mish),
    "multiply": _each(torch.mul),
    "norm": _over(torch.linalg.vector_norm),
    "pad": _pad,
    "permute": lambda a, inputs: inputs[0].permute(a["axes"]),
    "pixel_shuffle": lambda a, inputs: F.pixel_shuffle(inputs[0], a["factor"]),
    "pixel_unshuffle": lambda a, inputs: F.pixel_unshuffle(inputs[0], a["factor"]),
    "power": lambda a, inputs: inputs[0].pow(a["exponent"]),
    "reciprocal": _each(torch.reciprocal),
    "relu": _each(F.relu),
    "resize_bilinear": _resize_bilinear,
    "resize_nearest": _resize_nearest,
    "roll": lambda a, inputs: inputs[0].roll(a["shifts"], a["axes"]),
    "sigmoid": _each(torch.sigmoid),
    "silu": _each(F.silu),
    "sine": _each(torch.sin),
    "slice": _slice,
    "smallest": _over(torch.amin),
    "softmax": lambda a, inputs: inputs[0].softmax(a["axis"]),
    "softplus": _each(F.softplus),
    "square_root": _each(torch.sqrt),
    "standardise": _standardise,
    "subtract": _each(torch.sub),
    "sum": _over(torch.sum),
    "take": _take,
    "tanh": _each(torch.tanh),
    "variance": _variance,
    "where": _each(torch.where),
    "without_gradient": _each(torch.detach),
}
"""Every operator but `expand` and `reshape`, whose shapes hold the batch; see `carried_out`."""


def carried_out(node: ProvedNode, inputs: Sequence[torch.Tensor], rows: int) -> torch.Tensor:
    """Carries out a node; what it returns has the shape that the proof says, (..., k rows, ...) for k rows a picture.

    Args:
        node: Of a proof.
        inputs: What it is given, of any shapes that its rule allows.
        rows: Of the batch.
    """
    if node.operator in ("reshape", "expand"):
        sizes, batch = node.attributes["shape"]
        shape = [size * rows if axis == batch else size for axis, size in enumerate(sizes)]
        return inputs[0].reshape(shape) if node.operator == "reshape" else inputs[0].expand(shape)
    return FUNCTIONS[node.operator](node.attributes, tuple(inputs))


def tensor_of(constant: Constant) -> torch.Tensor:
    """A constant as a tensor of its kind and shape."""
    numbers = np.frombuffer(constant.data, _DTYPES[constant.kind]).reshape(constant.shape)
    return torch.from_numpy(np.array(numbers))
