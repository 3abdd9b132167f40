"""Weights of models: drawn, read, and loaded after a check. Only a run's noised update takes them out of a hospital."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from datasites.training.graphs.first_weights import first_weights
from datasites.training.models.catalog import build_model
from policies.errors import InputRefused
from policies.graphs.own_model import proof_of
from policies.plans.training import ModelSpec

# Values that are looked at in one go: with what is made of them they stay in a core's own cache.
_CACHED_VALUES = 1 << 16


def initial_weights(spec: ModelSpec, seed: int) -> dict[str, np.ndarray]:
    """Returns the weights that a study starts from; the same for the same spec and seed.

    Args:
        spec: The model.
        seed: Of torch's generator.

    Returns:
        Name → float32 array, each of its parameter's shape.

    Raises:
        PlanError: As `build_model`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if spec.is_own:
            return {name: drawn.numpy() for name, drawn in first_weights(proof_of(spec)).items()}
        model = build_model(spec)
    return read_weights(model)


def read_weights(model: nn.Module) -> dict[str, np.ndarray]:
    """Returns a copy of every parameter.

    Args:
        model: Any model.

    Returns:
        Name → float32 array, each of its parameter's shape.
    """
    return {
        name: parameter.detach().to("cpu", torch.float32, copy=True).numpy()
        for name, parameter in model.named_parameters()
    }


def load_weights(model: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Puts weights into a model, if they are exactly its parameters.

    Args:
        model: Gets the weights.
        weights: Name → float32 array, each of its parameter's shape.

    Raises:
        InputRefused: A name too many or missing, another shape or dtype, or a value that is not finite.
    """
    check_weights(model, weights)
    put_weights(model, weights)


def put_weights(model: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Puts weights into a model that `check_weights` has found to be its parameters.

    Args:
        model: Gets the weights.
        weights: Name → float32 array, each of its parameter's shape; they may be closed to writing.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            array = np.asarray(weights[name])
            if parameter.device.type == "cpu" and parameter.dtype == torch.float32:
                np.copyto(parameter.detach().numpy(), array)
            else:
                parameter.copy_(torch.from_numpy(array if array.flags.writeable else array.copy()))


def check_weights(model: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Refuses weights that are not exactly a model's parameters.

    Args:
        model: Whose parameters they should be.
        weights: Name → float32 array, each of its parameter's shape.

    Raises:
        InputRefused: As `load_weights`.
    """
    parameters = dict(model.named_parameters())
    if wrong := sorted(set(weights) ^ set(parameters)):
        kind = "missing" if wrong[0] in parameters else "unknown"
        raise InputRefused(f"The weights do not fit the plan's model: parameter {wrong[0]!r} is {kind}.")
    for name, parameter in parameters.items():
        array, shape = np.asarray(weights[name]), tuple(parameter.shape)
        if array.dtype != np.float32 or array.shape != shape:
            raise InputRefused(
                f"Parameter {name!r} must be float32 of shape {shape}, got {array.dtype} of shape {array.shape}."
            )
        if not _is_finite(array):
            raise InputRefused(f"Parameter {name!r} holds values that are not finite.")


def _is_finite(array: np.ndarray) -> bool:
    """As numpy's isfinite and all, without memory for an answer a value: in parts that a core's cache holds."""
    flat = array.reshape(-1)
    parts = range(0, flat.size, _CACHED_VALUES)
    return all(np.isfinite(flat[begin : begin + _CACHED_VALUES]).all() for begin in parts)
