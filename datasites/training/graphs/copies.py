"""Two functions by which a model hands its parameters to an engine: a copy for each picture, and a computed weight.

Without an engine they compute what their names say. An engine sees both (`torch.overrides`) and carries them out by
its own rules, so that each picture's gradient stays its own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.overrides import handle_torch_function, has_torch_function


class Holder(nn.Module):
    """A module that holds parameters under their names and computes nothing: its model hands each one to the engine."""


def for_each_picture(value: torch.Tensor, rows: int) -> torch.Tensor:
    """Returns a copy of a value for each row of a batch, all reading the same memory: (rows, *value.shape).

    Args:
        value: A parameter, or computed from parameters alone by `computed_from`; of any shape.
        rows: Of the batch.
    """
    if has_torch_function((value,)):
        copies: torch.Tensor = handle_torch_function(for_each_picture, (value,), value, rows)
        return copies
    return value.unsqueeze(0).expand(rows, *value.shape)


def computed_from(compute: Callable[..., torch.Tensor], *parameters: torch.Tensor) -> torch.Tensor:
    """Returns what is computed from parameters alone.

    Args:
        compute: From the parameters to one new tensor; it may read constants besides.
        parameters: One at least, of any shapes.
    """
    if has_torch_function(parameters):
        found: torch.Tensor = handle_torch_function(computed_from, parameters, compute, *parameters)
        return found
    return compute(*parameters)
