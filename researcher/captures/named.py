"""A network or a loss that a command line names, of the researcher's own code. None of that goes to a hospital."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from torch import nn

from policies.errors import GraphError
from researcher.captures.capture import CapturedModel, capture
from researcher.captures.composed.places import raised_at
from researcher.captures.loss_capture import CapturedLoss, capture_loss

_EXPECTED = "Expected MODULE:FUNCTION that can be imported here"


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
    network = _made(name, make) if callable(make) and not isinstance(make, nn.Module) else make
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
    function = _made(name, found) if isinstance(found, type) and issubclass(found, nn.Module) else found
    return capture_loss(function, num_classes=num_classes, label_kind=label_kind)


def _imported(name: str) -> Any:
    """What `MODULE:FUNCTION` names, imported from the current folder or from what is installed."""
    module, _, function = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = importlib.import_module(module)
    except Exception as error:  # whatever the researcher's own module raises
        raise GraphError(f"{_EXPECTED}, got {name!r}{raised_at(error)}.") from error
    if not hasattr(found, function):
        raise GraphError(f"{_EXPECTED}, got {name!r}: module {module!r} has no attribute {function!r}.")
    return getattr(found, function)


def _made(name: str, make: Callable[[], Any]) -> Any:
    """What a function or class of the researcher's own makes, called without arguments."""
    try:
        return make()
    except Exception as error:  # whatever it raises
        raise GraphError(
            f"{name!r}, called without arguments, makes nothing{raised_at(error)}. Mend that, or name a function that "
            "takes no argument."
        ) from error
