"""The self-check of a run's device, on made-up pictures and weights, before a private picture is read.

The bound on what one picture adds holds for gradients as they are computed. So it is relied on that on one device, in
batches of one shape, a picture at one place has the same gradient, bit by bit, whoever is at the others. No maker of
kernels promises that; so each run looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from datasites.training.dp_sgd.engine_contract import Inputs, for_each_row
from datasites.training.dp_sgd.loader import Batch
from datasites.training.dp_sgd.step_engine import StepEngine
from datasites.training.pictures.reports import empty_inputs, to_inputs
from policies.errors import NotRepeatable, PlanError
from policies.plans.tokeniser import text_form
from policies.plans.training import ModelSpec

_SEED = 20_261_101  # of pictures and weights: public, the same in every run


def check_places(engine: StepEngine, batch: Batch, others: Batch) -> torch.Tensor | None:
    """Looks whether a picture's gradient depends on its place, on the other places or on the pass.

    Guarantees:
        If it returns, then of the pictures tried none had other bits in another pass or beside others; and if it
        returns norms, none had others at another place, neither its norm nor what it adds to a sum.

    Args:
        engine: To be looked at, of a model whose weights are nobody's.
        batch: Made up, of the size that is tried.
        others: Likewise.

    Returns:
        float64, (places,), the gradients' norms; None where they depend on the place.

    Raises:
        NotRepeatable: A picture's gradient depended on the pass, or on who else was computed.
        OutOfMemory: Memory did not hold the batch.
        PlanError: A picture's gradient is no number, so that nothing could be looked at.
    """
    count = len(batch.counted)
    first, last, turned = torch.zeros_like(batch.counted), torch.zeros_like(batch.counted), _turned(batch)
    first[0], last[count - 1] = True, True
    norms, sums = engine.norms_and_sum(replace(batch, counted=first))  # takes most memory, so it is tried first
    if norms.isnan().any():
        raise PlanError(
            "The gradient of a made-up picture is no number, so whether pictures stay apart cannot be looked at. Keep "
            "divisors, roots and logarithms of an own model or an own loss away from 0."
        )
    again = engine.norms(_mixed(batch, others))
    if not torch.equal(norms[::2], again[::2]):
        raise _not_repeatable(f"{int((norms[::2] != again[::2]).sum())} of {count} places differ")
    elsewhere, turned_sums = engine.norms_and_sum(replace(turned, counted=last))
    alike = all(torch.equal(one, other) for one, other in zip(sums, turned_sums, strict=True))
    if alike and torch.equal(elsewhere, norms.flip(0)):
        return norms
    if count == 1:
        raise _not_repeatable("a single place differs")
    return None


def _not_repeatable(private: str) -> NotRepeatable:
    return NotRepeatable(
        "On the hospital's device a picture's gradient depends on what is computed beside it, so the privacy of a "
        "training run cannot be kept there. Set run.device to 'cpu', or ask the hospital.",
        private=private,
    )


def made_up_batch(model: ModelSpec, places: int, views: int, device: str, *, number: int) -> Batch:
    """A batch of pictures of nobody, of the size that a step's batches have.

    Args:
        model: Says what pictures, reports or features it takes.
        places: Of the batch.
        views: How often each is looked at.
        device: Where.
        number: Which of such batches.
    """
    made = torch.Generator().manual_seed(_SEED + number)
    empty, form = empty_inputs(model, views * places), text_form(model)
    pictures = torch.randn(_parts(empty)[0].shape, generator=made)
    words = None
    if form is not None:
        words = torch.randint(form.vocabulary, (views * places, form.length), generator=made, dtype=torch.int32).numpy()
    labels = for_each_row(_made_up_labels(model, places, made), places, views).to(device)
    return Batch(to_inputs(pictures, words, device), labels, torch.ones(places, dtype=torch.bool, device=device))


def _made_up_labels(model: ModelSpec, places: int, made: torch.Generator) -> torch.Tensor:
    """Classes, or findings of which the first is known at each place: no picture shall be without a gradient."""
    if model.label_kind == "single":
        return torch.randint(model.num_classes, (places,), generator=made)
    labels = torch.randint(-1, 2, (places, model.num_classes), generator=made, dtype=torch.int8)
    labels[:, 0].clamp_(min=0)
    return labels


@torch.no_grad()
def make_up_weights(model: nn.Module) -> None:
    """Gives every parameter numbers of nobody, none of them zero, so that no part of the model is without effect."""
    made = torch.Generator().manual_seed(_SEED)
    for parameter in model.parameters():
        inputs = parameter.numel() / len(parameter) if parameter.dim() > 1 else 4.0
        drawn = torch.randn(parameter.shape, generator=made).mul_(inputs**-0.5)
        parameter.copy_(drawn.add_(1.0) if parameter.dim() == 1 else drawn)


def _turned(batch: Batch) -> Batch:
    """The same pictures from last to first."""
    return _changed(batch, batch, lambda rows, same: rows.flip(1))


def _mixed(batch: Batch, others: Batch) -> Batch:
    """The batch, with others at every second place."""
    second = torch.arange(len(batch.counted), device=batch.counted.device) % 2 == 1
    return _changed(batch, others, lambda rows, other: torch.where(_along(second, rows), other, rows))


def _along(places: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return places.view(1, -1, *[1] * (rows.dim() - 2))


def _changed(batch: Batch, others: Batch, change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Batch:
    """Changes rows, (views, places, ...), of the inputs and the labels."""
    places = len(batch.counted)

    def rows(part: torch.Tensor) -> torch.Tensor:
        return part.view(-1, places, *part.shape[1:])

    def changed(part: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return change(rows(part), rows(other)).flatten(0, 1).contiguous()

    pairs = zip(_parts(batch.inputs), _parts(others.inputs), strict=True)
    found = tuple(changed(part, other) for part, other in pairs)
    inputs = found if isinstance(batch.inputs, tuple) else found[0]
    return Batch(inputs, changed(batch.labels, others.labels), batch.counted)


def _parts(inputs: Inputs) -> tuple[torch.Tensor, ...]:
    return inputs if isinstance(inputs, tuple) else (inputs,)
