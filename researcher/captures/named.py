"""A network or a loss that a command line names, of the researcher's own code. None of that goes to a hospital."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from torch import nn

from policies.errors import GraphError
from researcher.captures.capture import CapturedModel, capture
from researcher.captures.loss_capture import CapturedLoss, capture_loss


def capture_named(name: str, *, image_shape: tuple[int, int, int], num_classes: int) -> CapturedModel:
    """Captures the network that a function makes.

    Args:
        name: `MODULE:FUNCTION`, to be imported from the current folder or from what is installed.
        image_shape: (height, width, channels) in pixels.
        num_classes: Logits of a picture.

    Raises:
        GraphError: There is no such function, it makes no `torch.nn.Module`, or as `capture`.
    """
    make = _imported(name)
    network = make() if callable(make) and not isinstance(make, nn.Module) else make
    if not isinstance(network, nn.Module):
        raise GraphError(f"{name!r} must make a torch.nn.Module, got {type(network).__name__}.")
    return capture(network, image_shape=image_shape, num_classes=num_classes)


def capture_named_loss(name: str, *, num_classes: int, label_kind: str) -> CapturedLoss:
    """Captures the loss that a name stands for.

    Args:
        name: `MODULE:FUNCTION` of the function itself, of a `torch.nn.Module`, or of a class that makes one without
            arguments.
        num_classes: Outputs of a picture.
        label_kind: `single` or `multi`.

    Raises:
        GraphError: There is none of that name, or as `capture_loss`.
    """
    found = _imported(name)
    function = found() if isinstance(found, type) and issubclass(found, nn.Module) else found
    return capture_loss(function, num_classes=num_classes, label_kind=label_kind)


def _imported(name: str) -> Any:
    """What `MODULE:FUNCTION` names, imported from the current folder or from what is installed."""
    module, _, function = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise GraphError(f"Expected MODULE:FUNCTION that can be imported here, got {name!r}: {error}.") from error
