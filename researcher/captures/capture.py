"""Captures a network as a graph, and looks that the graph computes what the network does. At the researcher's only."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from datasites.training.book_keeping import BookKeeping
from datasites.training.graphs import GraphModel
from datasites.training.models import load_weights
from policies.errors import GraphError
from policies.graphs.graph import Graph
from policies.graphs.proof import Proof, prove, with_gradient
from policies.graphs.reading import read_graph
from policies.untrusted_text import shown
from researcher import atomic_file, weights_file
from researcher.captures.checks.gradients import check_gradient
from researcher.captures.exported import trace
from researcher.captures.replacements import replace_layers
from researcher.captures.translation import Translation

_TOLERANCE = 1e-3  # of the largest logit, in float32: another graph is far off, rounding is not


@dataclass(frozen=True)
class CapturedModel:
    """An own model as a graph, with the weights that it has now.

    Attributes:
        graph: The model.
        weights: Name → float32 array of each trained parameter; they are no part of the graph.
        notes: What was replaced or left out, for people.
        multiplications: For one picture, forward.
        activation_numbers: Numbers that a backward pass keeps for one picture.
    """

    graph: Graph
    weights: Mapping[str, np.ndarray]
    notes: tuple[str, ...]
    multiplications: int
    activation_numbers: int

    def save(self, path: Path | str) -> Path:
        """Writes the graph's text.

        Args:
            path: The file, `model.graph.json` say.

        Raises:
            ConfigError: The file cannot be written.
        """
        return atomic_file.write(path, self.graph.to_json())

    def save_weights(self, path: Path | str) -> str:
        """Writes the weights that the network has now, for a study to start from.

        Args:
            path: The file, `model.safetensors` say.

        Returns:
            Its SHA-256, in hexadecimal.

        Raises:
            ConfigError: The file cannot be written.
        """
        path = Path(path)
        return weights_file.write(path.parent, path.name, self.weights).sha256

    def build(self) -> nn.Module:
        """The graph as a model, as a hospital interprets it, with these weights; float32, in train mode."""
        model = GraphModel(prove(self.graph))
        load_weights(model, self.weights)
        return model


def capture(module: nn.Module, *, image_shape: tuple[int, int, int], num_classes: int) -> CapturedModel:
    """Captures a network as a graph, which hospitals can train without running a line of its code.

    The network itself is left as it is. In a copy, BatchNorm is replaced by GroupNorm, or where it is frozen by its
    running statistics, torch's own attention by one with the pictures first, the built-in scattering by its real
    numbers, and dropout and stochastic depth are taken out; `notes` say what computes something else. Parameters that
    need no gradient become constants.

    Args:
        module: Takes pictures, float32, (B, channels, height, width), and returns logits, (B, num_classes).
        image_shape: (height, width, channels) in pixels.
        num_classes: Logits of a picture.

    Raises:
        GraphError: The network cannot be traced, uses an operator that has no rule, lets pictures meet, or is too
            large: where in its own source, and what to use instead.
    """
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller is in: gradients are looked at too
        return _captured(module, image_shape, num_classes)


def _captured(module: nn.Module, image_shape: tuple[int, int, int], num_classes: int) -> CapturedModel:
    model, notes = replace_layers(_copied(module).cpu().float().train(), image_shape)
    traced = trace(model, image_shape)
    translation = Translation(traced)
    drawn = translation.graph(image_shape, num_classes)
    still = sorted(name for name in drawn.parameters if f"parameter:{name}" not in with_gradient(drawn.nodes))
    if still:
        trained_on = {node: name for node, name in traced.parameters.items() if name not in still}
        translation = Translation(replace(traced, parameters=trained_on))
        drawn = translation.graph(image_shape, num_classes)
        notes.append(_made_constant(still))
    graph = read_graph(drawn.to_json())
    proof = prove(graph)
    trained = {name: parameter for name, parameter in model.named_parameters() if name in graph.parameters}
    known = {*graph.parameters, *still}
    left = sorted(name for name, p in model.named_parameters() if p.requires_grad and name not in known)
    if left:
        many = "parameter takes" if len(left) == 1 else "parameters take"
        notes.append(f"Left out: {len(left)} {many} no part in the logits, {left[0]!r} first.")
    captured = CapturedModel(
        graph,
        {name: parameter.detach().numpy().copy() for name, parameter in trained.items()},
        (*notes, *dict.fromkeys(translation.notes)),
        proof.multiplications,
        proof.activation_numbers,
    )
    return replace(captured, notes=(*captured.notes, *_check(model, captured, proof)))


def _made_constant(names: list[str]) -> str:
    """What is told of parameters that nothing trains."""
    what = "1 parameter" if len(names) == 1 else f"{len(names)} parameters"
    becomes = "becomes a constant" if len(names) == 1 else "become constants"
    first = repr(names[0]) + ("" if len(names) == 1 else " first")
    return f"{what} without a gradient {becomes}: {first}. Comparisons and detach() pass none on."


def _copied(module: nn.Module) -> nn.Module:
    for name, part in module.named_modules():
        if any(nn.parameter.is_lazy(one) for one in part.parameters(recurse=False)):
            raise GraphError(
                f"Layer {name!r} ({type(part).__name__}) does not know its size yet. Call the network once with a "
                "picture before it is captured."
            )
        hooks = part._forward_pre_hooks.values()  # the older way to write it, torch.nn.utils.spectral_norm
        if type(part).__name__ == "_SpectralNorm" or any(type(one).__name__ == "SpectralNorm" for one in hooks):
            raise GraphError(
                f"Layer {name.partition('.parametrizations')[0]!r} is under spectral_norm, which keeps vectors between "
                "steps. Use torch.nn.utils.parametrizations.weight_norm in its place; clipping bounds each step anyway."
            )
    try:
        return copy.deepcopy(module)
    except RuntimeError as error:  # of a weight that was computed and stored beside its parameters
        raise GraphError(
            f"The network cannot be copied ({shown(error, most=100)}). torch.nn.utils.weight_norm and spectral_norm "
            "keep a computed weight in their layer; use torch.nn.utils.parametrizations.weight_norm in their place."
        ) from error


def _check(model: nn.Module, captured: CapturedModel, proof: Proof) -> list[str]:
    """Looks that the engine has a rule for everything, and that the graph computes what the network does.

    Returns:
        What is to be told besides.

    Raises:
        GraphError: It computes something else, or what is not finite; or has not the gradient that its author wrote.
        PlanError: The engine has no rule for something.
    """
    height, width, channels = proof.graph.image_shape
    interpreted = captured.build()
    BookKeeping(interpreted, 1.0).check(torch.empty(1, channels, height, width, device="meta"))
    pictures = torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        with _WithoutDropout():
            wanted = model(pictures)
        found = interpreted(pictures)
    if not wanted.isfinite().all():
        raise GraphError(
            "The network's logits of drawn pictures are not finite, so the graph cannot be held against them. Scale "
            "the weights that it begins with, and keep divisors and logarithms away from 0."
        )
    if not (wanted - found).abs().max() <= _TOLERANCE * wanted.abs().max().clamp(min=1e-6):  # also of no number
        raise GraphError(
            "The graph computes other logits than the network. Is there something in its forward that changes from "
            "call to call, or a random number?"
        )

    def logits_of(some: torch.Tensor) -> torch.Tensor:
        with _WithoutDropout(), torch.compiler.set_stance("force_eager"):
            found: torch.Tensor = model(some)
        return found

    return check_gradient(model, logits_of, interpreted, pictures[:1])


class _WithoutDropout(TorchFunctionMode):
    """Where dropout by a function, as `F.dropout` in a network's own forward, gives what it is given."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if func is nn.functional.scaled_dot_product_attention:
            return func(
                *args[:4], *(0.0 for _ in args[4:5]), *args[5:], **{n: v for n, v in named.items() if n != "dropout_p"}
            )
        if "dropout" in getattr(func, "__name__", ""):
            return args[0] if args else named["input"]
        return func(*args, **named)
