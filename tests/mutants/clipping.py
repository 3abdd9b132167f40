"""Faults of how long a picture's gradient is taken to be, and of how it is clipped and summed."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from datasites.training import engines
from datasites.training.book_keeping.book import Book
from datasites.training.book_keeping.embedding import _Rows
from datasites.training.book_keeping.gram import GhostNorms, InnerProducts
from datasites.training.book_keeping.patches import Patches
from datasites.training.book_keeping.product_sums import SumOfOuterProducts
from datasites.training.dp_sgd import opacus_hooks
from datasites.training.dp_sgd.engine_contract import CLIP_MARGIN, clipping_factors
from datasites.training.dp_sgd.opacus_hooks import OpacusHooks
from datasites.training.losses import summed_loss
from mutants.mutant import Mutant, Patch, everywhere

_NO_BOUND = 1e9  # longer than any gradient here


def factors_by(wrong: Callable[..., torch.Tensor]) -> Callable[[Patch], None]:
    """Replaces what says by how much each gradient is multiplied: (norms, bound, counted) → factors."""

    def build_in(patch: Patch) -> None:
        def factors(norms, max_grad_norm, counted=None):
            return wrong(norms, max_grad_norm, counted)

        everywhere(patch, clipping_factors, factors)

    return build_in


def first_unclipped(norms, bound, counted):
    factors = clipping_factors(norms, bound, counted).clone()
    return torch.where(torch.arange(len(factors), device=factors.device) == 0, (factors > 0).to(factors.dtype), factors)


def as_long_as_the_mean(norms, bound, counted):
    usual = norms[torch.isfinite(norms)].mean()
    return clipping_factors(usual.expand(len(norms)), bound, counted)


def left_out(is_left_out: Callable[[str], bool]) -> Callable[[Patch], None]:
    """Leaves parameters out of the norms, by their names, in both engines. Their gradients stay in the sum."""

    def build_in(patch: Patch) -> None:
        enter, make = Book._enter, OpacusHooks.__init__
        names: list[str] = []

        def enter_some(self, parameter, use):
            if is_left_out(self.names[id(parameter)]):
                self._kept.setdefault(id(parameter), []).append(use)
            else:
                enter(self, parameter, use)

        def make_with_names(self, model, max_grad_norm, loss=summed_loss):
            names[:] = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
            make(self, model, max_grad_norm, loss)

        norms = opacus_hooks._norms

        def norms_of_some(gradients):
            return norms([g for n, g in zip(names, gradients, strict=True) if not is_left_out(n)] or gradients)

        patch.setattr(Book, "_enter", enter_some)
        patch.setattr(OpacusHooks, "__init__", make_with_names)
        patch.setattr(opacus_hooks, "_norms", norms_of_some)

    return build_in


def is_norm(name: str) -> bool:
    return "norm" in name


class Wrapped:
    """An engine around a sound one.

    Args:
        make: Makes the sound one, for (model, bound).
        model: The model.
        bound: max_grad_norm.
    """

    def __init__(self, make, model, bound, loss=summed_loss):
        self.sound, self.model, self.bound = make(model, bound, loss), model, bound

    def norms(self, images, labels, views=1):
        return self.sound.norms(images, labels, views)

    def norms_and_sum(self, images, labels, counted=None):
        norms, _ = self.sound.norms_and_sum(images, labels, counted)
        return norms, self.clipped_sum(images, labels, counted)


def wrapped(kind: type[Wrapped], *, bound: Callable[[float], float] = lambda bound: bound) -> Callable[[Patch], None]:
    """Replaces both engines by one that is wrapped around them."""

    def build_in(patch: Patch) -> None:
        for name, make in engines.ENGINES.items():
            patch.setitem(
                engines.ENGINES, name, lambda model, c, loss=summed_loss, make=make: kind(make, model, bound(c), loss)
            )

    return build_in


class Loosely(Wrapped):
    """Another bound than the plan's."""

    def clipped_sum(self, images, labels, counted=None):
        return self.sound.clipped_sum(images, labels, counted)


class MeanClipped(Wrapped):
    """Clips the mean over the batch."""

    def __init__(self, make, model, bound, loss=summed_loss):
        super().__init__(make, model, _NO_BOUND, loss)
        self.true_bound = bound

    def clipped_sum(self, images, labels, counted=None):
        sums = self.sound.clipped_sum(images, labels, counted)
        pictures = max(1, len(labels) if counted is None else int(counted.sum()))
        norm = math.sqrt(sum(float(s.detach().square().sum()) for s in sums)) / pictures
        return [s * min(1.0, self.true_bound / max(norm, 1e-30)) for s in sums]


class SumClippedByLayer(Wrapped):
    """Clips the sum of each layer to the bound, in place of each picture's gradient."""

    def __init__(self, make, model, bound, loss=summed_loss):
        super().__init__(make, model, _NO_BOUND, loss)
        self.true_bound = bound

    def clipped_sum(self, images, labels, counted=None):
        sums = self.sound.clipped_sum(images, labels, counted)
        return [s * min(1.0, self.true_bound / max(float(s.detach().norm()), 1e-30)) for s in sums]


class SummedViews(Wrapped):
    """Adds up a picture's views in place of taking their mean."""

    def clipped_sum(self, images, labels, counted=None):
        rows = len(images[0] if isinstance(images, tuple) else images)
        views = rows // max(1, len(labels) if counted is None else len(counted))
        sound = F.cross_entropy
        try:
            F.cross_entropy = lambda *inputs, **settings: views * sound(*inputs, **settings)
            return self.sound.clipped_sum(images, labels, counted)
        finally:
            F.cross_entropy = sound


class LastTwice(Wrapped):
    """Adds each batch's first picture once more."""

    def clipped_sum(self, images, labels, counted=None):
        sums = self.sound.clipped_sum(images, labels, counted)
        only = torch.arange(len(labels) if counted is None else len(counted), device=labels.device) == 0
        again = self.sound.clipped_sum(images, labels, only if counted is None else only & counted)
        return [s + a for s, a in zip(sums, again, strict=True)]


def each_layer_alone(patch: Patch) -> None:
    """Clips each parameter's gradient alone, with the whole bound."""
    names: list[str] = []
    only: list[str] = []

    class ByLayer(Wrapped):
        def __init__(self, make, model, bound, loss=summed_loss):
            names[:] = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
            super().__init__(make, model, bound, loss)

        def clipped_sum(self, images, labels, counted=None):
            out = []
            for place, name in enumerate(list(names)):
                only[:] = [name]
                out.append(self.sound.clipped_sum(images, labels, counted)[place])
            return out

    left_out(lambda name: name not in only)(patch)
    wrapped(ByLayer)(patch)


def without_guard(kind: type[GhostNorms]) -> Callable[[Patch], None]:
    """Takes off what rounding can hide from the norms of one kind of layer."""

    class Bare(InnerProducts):
        are_few = False

        def square_norms(self):
            found = torch.linalg.vecdot(self.inputs.double().flatten(1), self.grad_output.double().flatten(1))
            return found.clamp(min=0)

    sound = kind.inner_products

    def inner_products(self):
        found = sound(self)
        return found and Bare(found.inputs, found.grad_output, found.rounded)

    return lambda patch: patch.setattr(kind, "inner_products", inner_products)


EVERYWHERE = {
    "clipping off": factors_by(lambda norms, bound, counted: clipping_factors(norms, _NO_BOUND, counted)),
    "bound doubled": wrapped(Loosely, bound=lambda bound: 2 * bound),
    "bound 10 % too large": wrapped(Loosely, bound=lambda bound: 1.1 * bound),
    "bound as if it were its square": wrapped(Loosely, bound=math.sqrt),
    "margin below the bound left off": wrapped(Loosely, bound=lambda bound: bound / (1 - CLIP_MARGIN)),
    "norm not squared back": factors_by(lambda n, bound, counted: clipping_factors(n.sqrt(), bound, counted)),
    "norms in half precision": factors_by(lambda n, bound, counted: clipping_factors(n.half().to(n), bound, counted)),
    "short gradients made longer": factors_by(lambda n, bound, counted: clipping_factors(n, bound, counted).mul(bound)),
    "first of a batch not clipped": factors_by(first_unclipped),
    "all clipped by the batch's mean norm": factors_by(as_long_as_the_mean),
    "what is no number passes": factors_by(
        lambda n, bound, counted: torch.where(n.isfinite(), clipping_factors(n, bound, counted), 1.0)
    ),
    "places that do not count counted": factors_by(lambda n, bound, counted: clipping_factors(n, bound)),
    "biases left out of the norm": left_out(lambda name: name.endswith("bias")),
    "norm layers left out of the norm": left_out(is_norm),
    "embedding left out of the norm": left_out(lambda name: "words" in name),
    "convolutions left out of the norm": left_out(lambda name: "convolution" in name),
    "linear layers left out of the norm": left_out(lambda name: "head" in name or "mix" in name),
    "head's bias left out of the norm": left_out(lambda name: name == "head.bias"),
    "each layer clipped alone": each_layer_alone,
    "sum clipped by layer": wrapped(SumClippedByLayer),
    "mean of the batch clipped": wrapped(MeanClipped),
    "views added up": wrapped(SummedViews),
    "first of a batch counted twice": wrapped(LastTwice),
}
BY_BOOK_KEEPING = {
    "rounding's allowance missing in linear layers": without_guard(SumOfOuterProducts),
    "rounding's allowance missing in convolutions": without_guard(Patches),
    "rounding's allowance missing in embeddings": without_guard(_Rows),
}

MUTANTS = [
    *(Mutant(name, "gradients", build_in) for name, build_in in EVERYWHERE.items()),
    *(Mutant(name, "gradients", build_in, ("book_keeping",)) for name, build_in in BY_BOOK_KEEPING.items()),
]
