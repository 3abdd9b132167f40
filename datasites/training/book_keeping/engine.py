"""Book-keeping DP-SGD: one backward pass, in which every layer notes what its clipped gradient can be made of.

Bu, Wang, Zha and Karypis, "Differentially Private Optimization on Large Foundation Models at Small Cost", ICML 2023.
In the pass each layer computes the gradient of its inputs alone and keeps either its per-picture gradients or its
inputs and output gradients, whichever is cheaper. Then each picture's clipping factor is known, and every weight
gradient is taken once, already clipped. No sum that is not clipped is ever formed, and nothing here leaves the process
without noise.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from datasites.training.book_keeping.book import Book, InstantiatedGradient
from datasites.training.book_keeping.interception import Interception
from datasites.training.book_keeping.support import check_model, check_pictures_stay_apart, copied_parameters
from datasites.training.dp_sgd.engine_contract import Inputs, clipping_factors, for_each_row, pictures_and_views
from datasites.training.dp_sgd.weighted_sums import full_precision
from datasites.training.gpu import readiness
from datasites.training.losses import Loss, summed_loss


class BookKeeping:
    """The engine that hospitals run unless a plan names another. See `dp_sgd.ClippedGradients`.

    Args:
        model: In train mode; its weights are read, its `grad` left None.
        max_grad_norm: L2 bound C.
        loss: Of the plan.

    Raises:
        PlanError: A layer whose per-picture gradients it cannot tell, with its name and what to use instead.
    """

    def __init__(self, model: nn.Module, max_grad_norm: float, loss: Loss = summed_loss) -> None:
        check_model(model)
        self._loss = loss
        self._model = model
        self._max_grad_norm = max_grad_norm
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._copied = copied_parameters(model)
        self._checked: set[tuple[torch.Size, ...]] = set()

    def check(self, images: Inputs) -> None:
        """Checks the model on inputs of this shape, before it sees any of them; a shape that passed is not tried again.

        Args:
            images: As `clipped_sum` takes them; only their shapes and types are read.

        Raises:
            PlanError: A layer whose per-picture gradients it cannot tell, with its name and what to use instead.
        """
        shapes = tuple(part.shape[1:] for part in (images if isinstance(images, tuple) else (images,)))
        if shapes not in self._checked:
            check_pictures_stay_apart(self._model, images)
            self._checked.add(shapes)

    def clipped_sum(
        self, images: Inputs, labels: torch.Tensor, counted: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """See `ClippedGradients.clipped_sum`."""
        return self.norms_and_sum(images, labels, counted)[1]

    def norms_and_sum(
        self, images: Inputs, labels: torch.Tensor, counted: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """See `ClippedGradients.norms_and_sum`."""
        book = self._pass(images, labels, *pictures_and_views(images, labels, counted))
        with full_precision(labels.device.type), torch.no_grad():
            norms = book.square_norms().sqrt()
            return norms, book.weighted_sums(clipping_factors(norms, self._max_grad_norm, counted))

    def norms(self, images: Inputs, labels: torch.Tensor, views: int = 1) -> torch.Tensor:
        """See `ClippedGradients.norms`."""
        rows = len(images[0] if isinstance(images, tuple) else images)
        book = self._pass(images, labels, rows // views, views)
        with full_precision(labels.device.type), torch.no_grad():
            return book.square_norms().sqrt()

    def _pass(self, images: Inputs, labels: torch.Tensor, pictures: int, views: int) -> Book:
        """The forward and the backward pass; what is known of each parameter afterwards."""
        kernels = readiness.kernels_run_on(labels.device)
        book = Book(self._parameters, pictures=pictures, views=views, kernels=kernels)
        if pictures == 0:
            return book
        self.check(images)
        rows = pictures * views
        anchor = torch.zeros((), device=labels.device, requires_grad=True)
        copies = {name: _copies_of(self._parameters[name], rows) for name in self._copied}
        with torch.enable_grad(), Interception(book, anchor, copies):
            # Without copies the call itself is quicker: torch looks at all modules for what to put in their place.
            logits = torch.func.functional_call(self._model, copies, (images,)) if copies else self._model(images)
        loss = self._loss(logits, for_each_row(labels, pictures, views)) / views
        wanted = [anchor, *copies.values()]
        found = torch.autograd.grad(loss, wanted, allow_unused=True)
        _enter_copies(book, {n: self._parameters[n] for n in copies}, dict(zip(copies, found[1:], strict=True)))
        return book


def _copies_of(parameter: nn.Parameter, rows: int) -> torch.Tensor:
    """One copy of a parameter for each row of the batch, (rows, ...), all reading the same memory."""
    return parameter.detach().expand(rows, *parameter.shape[1:]).requires_grad_()


def _enter_copies(
    book: Book, parameters: Mapping[str, nn.Parameter], gradients: Mapping[str, torch.Tensor | None]
) -> None:
    for name, gradient in gradients.items():
        if gradient is None:
            continue
        rows = gradient.to(torch.float32) if gradient.dtype != torch.float64 else gradient
        if book.views > 1:
            rows = rows.view(book.views, book.pictures, *rows.shape[1:]).sum(0)
        book.announce(parameters[name])
        book.enter(parameters[name], InstantiatedGradient(rows.unsqueeze(1)))
