"""Checks that the book-keeping engine can train a model, from its layers alone, before any picture is read."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from datasites.training.book_keeping.book import Book
from datasites.training.book_keeping.interception import Interception
from datasites.training.dp_sgd.engine_contract import takes_the_batchs_statistics
from datasites.training.dp_sgd.memory import memory_is_told_of
from datasites.training.graphs.copies import Holder
from datasites.training.graphs.graph_model import GraphModel
from policies.errors import PlanError

_MIXES_PICTURES = "it mixes the pictures of a batch. Use GroupNorm in its place"
_PICTURES_SECOND = (
    "it may keep the pictures on another axis than the first. Use an attention of Linear layers and "
    "torch.nn.functional.scaled_dot_product_attention"
)
_UNSUPPORTED: dict[type[nn.Module], str] = {
    nn.modules.batchnorm._BatchNorm: _MIXES_PICTURES,
    nn.RNNBase: "its steps are hidden in one function. Use convolutions or attention over the positions",
    nn.MultiheadAttention: _PICTURES_SECOND,
    nn.modules.instancenorm._InstanceNorm: "it has no per-picture rule. Use GroupNorm with one group for each channel",
    nn.modules.conv._ConvTransposeNd: "it has no per-picture rule. Use upsampling and a convolution",
    nn.EmbeddingBag: "it has no per-picture rule. Use Embedding and a mean over its positions",
}
_ROWS, _FEW_ROWS = (5, 7), (2, 3)  # of batches that are tried: without numbers, and with
_WITH_RULES = (nn.modules.conv._ConvNd, nn.Linear, nn.GroupNorm, nn.LayerNorm, nn.Embedding, GraphModel, Holder)


def check_model(model: nn.Module) -> None:
    """Refuses layers that are known to have no per-picture gradient here.

    Raises:
        PlanError: The layer's name and kind, why, and what to use instead.
    """
    for name, module in model.named_modules():
        trained = any(parameter.requires_grad for parameter in module.parameters(recurse=False))
        if not trained and not takes_the_batchs_statistics(module):
            continue
        for kind, why in _UNSUPPORTED.items():
            if isinstance(module, kind):
                raise PlanError(
                    f"Layer {name!r} ({type(module).__name__}) cannot be trained with differential privacy: {why}."
                )


def copied_parameters(model: nn.Module) -> list[str]:
    """Names of the parameters of which each picture gets a copy of its own: class tokens, positional embeddings.

    They belong to no layer that has a rule, and spread over the pictures along a first axis of length 1.
    """
    return [
        f"{name}.{own}" if name else own
        for name, module in model.named_modules()
        if not isinstance(module, _WITH_RULES)
        for own, parameter in module.named_parameters(recurse=False)
        if parameter.requires_grad and parameter.dim() > 1 and parameter.shape[0] == 1
    ]


def check_pictures_stay_apart(model: nn.Module, images: Any) -> None:
    """Runs the model on two batch sizes, so that an axis of the same length by chance is found out.

    It runs without numbers. For what torch needs to do so it imports its compiler, as long as itself; so on a
    processor, in front of a batch that takes more memory, it runs on a few empty pictures.

    Raises:
        PlanError: A parameter is used in a way that has no rule, or a layer's first axis is not the pictures.
        OutOfMemory: The processor's memory does not hold them.
    """
    given = images if isinstance(images, tuple) else (images,)
    tensors = [*model.named_parameters(), *model.named_buffers()]
    on_processor = all(tensor.device.type == "cpu" for tensor in (*given, *(tensor for _, tensor in tensors)))
    with_numbers = on_processor and len(given[0]) >= max(_FEW_ROWS)
    device, sizes = ("cpu", _FEW_ROWS) if with_numbers else ("meta", _ROWS)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    everything = {
        name: (tensor.detach().clone() if with_numbers else torch.empty_like(tensor, device="meta"))
        for name, tensor in tensors
    }
    for name in trained:
        everything[name].requires_grad_()
    for rows in sizes:
        parts = tuple(torch.zeros(rows, *part.shape[1:], dtype=part.dtype, device=device) for part in given)
        parameters = {name: everything[name] for name in trained}
        book = Book(parameters, pictures=rows, views=1)  # type: ignore[arg-type]
        copies = {
            name: torch.zeros(rows, *everything[name].shape[1:], device=device, requires_grad=True)
            for name in copied_parameters(model)
        }
        anchor = torch.zeros((), device=device, requires_grad=True)
        with torch.enable_grad(), memory_is_told_of(), Interception(book, anchor, copies):
            inputs = parts if isinstance(images, tuple) else parts[0]
            logits = torch.func.functional_call(model, {**everything, **copies}, (inputs,))
        if logits.dim() != 2 or logits.shape[0] != rows:
            raise PlanError(
                f"The model returns {tuple(logits.shape)} for {rows} pictures. It must return logits for each, (B, K)."
            )
