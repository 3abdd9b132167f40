"""Gradients of a captured graph are held against its network's: a graph has those of what it computes.

A function with a backward of its own (`torch.autograd.Function`) or a hook on a gradient leaves no trace in what is
computed, so logits alone do not tell that a graph would train by another gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.autograd.function import BackwardCFunction

from policies.errors import GraphError
from policies.untrusted_text import shown

_TOLERANCE = 3e-2  # of the whole gradient's length, in float32: another gradient is far off, rounding is not


def check_gradient(
    model: nn.Module, logits_of: Callable[[torch.Tensor], torch.Tensor], graph: nn.Module, pictures: torch.Tensor
) -> list[str]:
    """Holds a graph's gradient of drawn pictures against its network's.

    Args:
        model: The network; gradients of its parameters are left as they were, None.
        logits_of: Its logits, (B, num_classes), of pictures.
        graph: The graph as a model, with the network's weights by their names.
        pictures: float32, (B, channels, height, width).

    Returns:
        What to tell where they differ although no function has a backward of its own.

    Raises:
        GraphError: They differ, and a function has one.
    """
    logits = logits_of(pictures)
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    try:
        wanted = _gradients(model, logits, weights)
    except RuntimeError:  # the network has none that could be compared
        return []
    found = _gradients(graph, graph(pictures), weights)
    own = torch.cat([one.flatten() for one in wanted.values()])
    other = torch.cat(
        [found[name].flatten() if name in found else torch.zeros(one.numel()) for name, one in wanted.items()]
    )
    if are_alike(own, other, of=logits):
        return []
    return [
        "The graph has another gradient than the network on drawn pictures. A hook that changes a gradient is no part "
        "of it, and of numbers that are equal torch may choose others than the first."
    ]


def are_alike(own: torch.Tensor, other: torch.Tensor, *, of: torch.Tensor) -> bool:
    """Whether a graph's gradient is the one that was written, as far as rounding lets it be told.

    Args:
        own: The gradient as it was written, of any shape.
        other: The graph's, of the same.
        of: What was computed and differentiated.

    Raises:
        GraphError: It is not, and a function that it was computed by has a backward of its own.
    """
    if not own.isfinite().all() or (own - other).norm() <= _TOLERANCE * own.norm().clamp(min=1e-6):
        return True
    if functions := _with_own_backward(of):
        raise GraphError(
            f"Gradients are computed by a function of its own, {', '.join(functions)}, and a graph has the gradient of "
            "what it computes. Write the gradient that is meant with detach(): x + (y - x).detach() has the numbers of "
            "y and the gradient of x."
        )
    return False


def _gradients(model: nn.Module, logits: torch.Tensor, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    (logits * weights).sum().backward()
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found[name] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = None
    return found


def _with_own_backward(value: torch.Tensor) -> list[str]:
    """Names of the functions with a backward of their own that a value was computed by."""
    seen, left, names = set(), [value.grad_fn], set[str]()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, BackwardCFunction):
            names.add(shown(type(node).__name__.removesuffix("Backward"), most=60))
        left += [one for one, _ in node.next_functions]
    return sorted(names)
