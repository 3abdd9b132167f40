"""A network that a command line names, made by the researcher's own function. Nothing of it goes to a hospital."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from torch import nn

from policies.errors import GraphError
from researcher.captures.capture import CapturedModel, capture


def capture_named(name: str, *, image_shape: tuple[int, int, int], num_classes: int) -> CapturedModel:
    """Captures the network that a function makes.

    Args:
        name: `MODULE:FUNCTION`, to be imported from the current folder or from what is installed.
        image_shape: (height, width, channels) in pixels.
        num_classes: Logits of a picture.

    Raises:
        GraphError: There is no such function, it makes no `torch.nn.Module`, or as `capture`.
    """
    module, _, function = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        make: Any = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise GraphError(f"Expected MODULE:FUNCTION that can be imported here, got {name!r}: {error}.") from error
    network = make() if callable(make) and not isinstance(make, nn.Module) else make
    if not isinstance(network, nn.Module):
        raise GraphError(f"{name!r} must make a torch.nn.Module, got {type(network).__name__}.")
    return capture(network, image_shape=image_shape, num_classes=num_classes)
