"""Captures a loss as a graph, and looks that the graph computes what the function does. At the researcher's only."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import nn

from datasites.training.graphs import OwnLoss
from policies.errors import GraphError
from policies.graphs.losses.loss_graph import INPUTS, OUTPUT, LossGraph, read_loss
from policies.graphs.losses.loss_proof import LossProof, prove_loss
from researcher import atomic_file
from researcher.captures.checks.gradients import are_alike
from researcher.captures.exported import trace_loss
from researcher.captures.loss_translation import LossTranslation
from researcher.captures.writer import Ref

LossFunction = Callable[..., torch.Tensor]
_TOLERANCE = 1e-3  # of the largest loss, in float32: another graph is far off, rounding is not
_TRIED = 16  # pictures


@dataclass(frozen=True)
class CapturedLoss:
    """An own loss as a graph.

    Attributes:
        graph: The loss.
        notes: What was taken off, for people.
        multiplications: For one picture.
    """

    graph: LossGraph
    notes: tuple[str, ...]
    multiplications: int

    def save(self, path: Path | str) -> Path:
        """Writes the loss's text.

        Args:
            path: The file, `loss.graph.json` say.

        Raises:
            ConfigError: The file cannot be written.
        """
        return atomic_file.write(path, self.graph.to_json())


def capture_loss(function: LossFunction, *, num_classes: int, label_kind: str = "single") -> CapturedLoss:
    """Captures a loss as a graph, which hospitals can lower without running a line of its code.

    A mean or a sum over the pictures, as torch's own losses have it, is taken off; `notes` say so.

    Args:
        function: Takes the outputs, float32, (B, num_classes), and the label, float32, (B, num_classes), which is 1 at
            a picture's class and 0 elsewhere; returns a loss for each picture, (B,), or their mean or sum. With
            findings it takes the label, 1 where a finding is present, and as a third which are known, 1 or 0.
        num_classes: Outputs of a picture.
        label_kind: `single`, a picture has one of the classes; `multi`, each class is a finding.

    Raises:
        GraphError: The function cannot be traced, uses an operator that has no rule, lets pictures meet, is too large,
            or has no gradient: where in its own source, and what to use instead.
    """
    if label_kind not in INPUTS or not isinstance(num_classes, int) or num_classes < 2:
        raise GraphError(
            f"label_kind must be one of {', '.join(INPUTS)} and num_classes at least 2, got {label_kind!r} and "
            f"{num_classes!r}."
        )
    model = _as_module(function, label_kind)
    inputs = [Ref(name, (1, num_classes), 0, trained=name == OUTPUT) for name in INPUTS[label_kind]]
    translation = LossTranslation(trace_loss(model, inputs))
    loss = read_loss(translation.loss(label_kind, num_classes).to_json())
    proof = prove_loss(loss)
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller is in
        _check(model, proof)
    return CapturedLoss(loss, tuple(dict.fromkeys(translation.notes)), proof.multiplications)


class _OfClasses(nn.Module):
    def __init__(self, function: LossFunction) -> None:
        super().__init__()
        self.function = function

    def forward(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return self.function(output, label)


class _OfFindings(_OfClasses):
    def forward(self, output: torch.Tensor, label: torch.Tensor, known: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.function(output, label, known)


def _as_module(function: Any, label_kind: str) -> nn.Module:
    if not callable(function):
        raise GraphError(f"A loss must be a function of outputs and label, got {type(function).__name__}.")
    if isinstance(function, nn.Module):
        function = copy.deepcopy(function).cpu().float()
        if any(parameter.requires_grad for parameter in function.parameters()):
            raise GraphError(
                "A loss has no trained parameters: its numbers are the same in every round. Freeze them, or make them "
                "a part of the network."
            )
    elif isinstance(function, FunctionType):
        function = _as_forward(function)
    return _OfFindings(function) if label_kind == "multi" else _OfClasses(function)


def _as_forward(function: FunctionType) -> FunctionType:
    """The same function under the name by which torch's tracer tells the lines that people wrote."""
    code = function.__code__.replace(co_name="forward")
    named = FunctionType(code, function.__globals__, "forward", function.__defaults__, function.__closure__)
    named.__kwdefaults__ = function.__kwdefaults__
    return named


def _check(model: nn.Module, proof: LossProof) -> None:
    """Looks that the graph gives each of some drawn pictures the function's own loss, and a gradient to train by.

    Raises:
        GraphError: It computes something else, what is not finite, or what has no gradient, or another than is written.
    """
    logits, labels = _drawn(proof.loss)
    given = [logits.requires_grad_(), *_as_given(proof.loss, labels)]
    wanted = torch.stack([model(*(one[i : i + 1] for one in given)).reshape(()) for i in range(len(logits))])
    found = OwnLoss(proof).rows(logits, labels)
    if not wanted.isfinite().all():
        raise GraphError(
            "The loss of drawn outputs is not finite, so the graph cannot be held against the function. Keep divisors "
            "and logarithms away from 0: log_softmax in place of the logarithm of softmax, for example."
        )
    if not (wanted - found).abs().max() <= _TOLERANCE * wanted.abs().max().clamp(min=1e-6):  # also of no number
        raise GraphError(
            "The graph computes another loss than the function. Does it depend on the other pictures, on a random "
            "number, or on something that changes from call to call?"
        )
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    if not gradient.isfinite().all() or not gradient.any():
        raise GraphError(
            "The loss of drawn outputs has no gradient, or one that is not finite, so nothing could be trained by it."
        )
    if wanted.requires_grad:
        (own,) = torch.autograd.grad(wanted.sum(), logits)
        are_alike(own, gradient, of=wanted)


def _drawn(loss: LossGraph) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs, (_TRIED, K), and labels as hospitals have them; of findings some unknown."""
    made = torch.Generator().manual_seed(0)
    logits = torch.randn(_TRIED, loss.num_classes, generator=made)
    if loss.label_kind == "single":
        return logits, torch.arange(_TRIED) % loss.num_classes
    return logits, torch.randint(-1, 2, (_TRIED, loss.num_classes), generator=made, dtype=torch.int8)


def _as_given(loss: LossGraph, labels: torch.Tensor) -> list[torch.Tensor]:
    if loss.label_kind == "single":
        return [torch.nn.functional.one_hot(labels, loss.num_classes).float()]
    return [(labels > 0).float(), (labels >= 0).float()]
