"""The book of one backward pass: per-sample gradients of each parameter, until they are summed. It never leaves.

A `PerSampleGradient` is of one parameter in one call of a layer. It knows each picture's gradient without having to
instantiate it: it can say how long each is, and add them up weighted.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import nn

from datasites.training.book_keeping.gram import GhostNorms, InnerProducts, square_norms_together
from datasites.training.book_keeping.product_sums import ProductsBeside, SumOfOuterProducts
from datasites.training.dp_sgd.weighted_sums import square_norms, weighted_sum

# Numbers of a gradient up to which it is measured and summed beside others: a call for each takes longer than its work.
_SMALL = 1 << 12
_SMALL_OF_ALL = 1 << 17  # numbers of all pictures' gradients, up to which they are likewise


class PerSampleGradient(Protocol):
    """One parameter in one call of a layer: each picture's gradient of it, without having to be written out."""

    def square_norms(self) -> torch.Tensor:
        """Each picture's squared gradient norm: the truth or, where rounding could hide it, more.

        Returns:
            float64, (B,), or (parts, B), parts that are to be added up.
        """

    def per_picture(self) -> torch.Tensor:
        """Each picture's gradient, float32, (B, *shape)."""

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """Returns the sum of the pictures' gradients, each times its factor.

        A picture of factor 0 adds exactly nothing, also where its gradient is not finite.

        Args:
            factors: float64, (B,).

        Returns:
            float64, or float32 where it was added up in that, of the parameter's shape.
        """


class InstantiatedGradient:
    """Gradients that are held one by one.

    Args:
        gradients: float32, (B, *shape).
    """

    def __init__(self, gradients: torch.Tensor) -> None:
        self._gradients = gradients

    @property
    def numbers(self) -> int:
        """Of each picture's gradient."""
        return math.prod(self._gradients.shape[1:])

    @property
    def is_small(self) -> bool:
        """Whether a picture's gradient has few numbers, or those of all have."""
        return self.numbers <= _SMALL or self._gradients.numel() <= _SMALL_OF_ALL

    @property
    def rows(self) -> torch.Tensor:
        """The gradients as rows, (B, numbers)."""
        return self._gradients.flatten(1) if self._gradients.dim() > 1 else self._gradients.unsqueeze(1)

    def square_norms(self) -> torch.Tensor:
        """See `PerSampleGradient.square_norms`."""
        return square_norms(self.rows)

    def per_picture(self) -> torch.Tensor:
        """See `PerSampleGradient.per_picture`."""
        return self._gradients

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """See `PerSampleGradient.weighted_sum`."""
        return weighted_sum(self.rows, factors).view(self._gradients.shape[1:])


class Computed:
    """A weight that the model computes from parameters, as weight standardisation does.

    Args:
        value: The weight as the layer gets it, of the layer's shape.
        sources: The parameters that it is computed from.
    """

    def __init__(self, value: torch.Tensor, sources: list[nn.Parameter]) -> None:
        self.value = value
        self.sources = sources

    def back_to_sources(self, gradients: torch.Tensor) -> list[torch.Tensor | None]:
        """Carries each picture's gradient, (B, *value.shape), back to the sources, (B, *source.shape) each.

        A source that the value has no gradient to, as one that is compared with, gets None.
        """
        used: list[bool] = []

        def back(gradient: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = torch.autograd.grad(self.value, self.sources, gradient, retain_graph=True, allow_unused=True)
            used[:] = [one is not None for one in found]
            return tuple(one for one in found if one is not None)

        # `is_grads_batched` would take the older vmap, which does most functions picture by picture.
        with _slow_ones_unsaid():
            carried = iter(torch.func.vmap(back)(gradients.to(self.value.dtype)))
        return [next(carried) if one else None for one in used]


@contextmanager
def _slow_ones_unsaid() -> Iterator[None]:
    """Without torch's warnings of the few functions whose way back it does picture by picture."""
    functorch: Any = torch._C._functorch
    functorch._set_vmap_fallback_warning_enabled(False)
    try:
        yield
    finally:
        functorch._set_vmap_fallback_warning_enabled(True)


class Book:
    """The per-sample gradients of one pass over one physical batch.

    Args:
        parameters: The trained parameters by name.
        pictures: B, the number of pictures.
        views: How many views of each picture the batch holds, the views being the slow axis: a picture's gradient
            is the sum over its views.
        kernels: Whether the layers' rules may use the kernels of `training.gpu`.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], *, pictures: int, views: int, kernels: bool = False
    ) -> None:
        self.pictures = pictures
        self.views = views
        self.kernels = kernels
        self.names = {id(parameter): name for name, parameter in parameters.items()}
        self.computed: dict[int, Computed] = {}
        self._parameters = list(parameters.values())
        self._kept: dict[int, list[PerSampleGradient]] = {}
        self._announced: Counter[int] = Counter()
        self._square_norms: list[torch.Tensor] = []
        # What is small waits until the pass is over, and is measured and summed as one.
        self._small: dict[int, int] = {}
        self._beside: torch.Tensor | None = None
        self._products: list[int] = []
        self._products_beside: ProductsBeside | None = None
        self._inner_products: defaultdict[object, list[InnerProducts]] = defaultdict(list)

    def is_trained(self, tensor: object) -> bool:
        """Whether `tensor` is a trained parameter or computed from such alone."""
        return id(tensor) in self.names or id(tensor) in self.computed

    def announce(self, weight: torch.Tensor) -> None:
        """Counts, in the forward pass, that a layer uses a weight.

        Args:
            weight: A trained parameter or one computed from such, of any shape.
        """
        for parameter in self._behind(weight):
            self._announced[id(parameter)] += 1

    def is_used_once(self, weight: torch.Tensor) -> bool:
        """Whether gradients need not be instantiated, since the parameter is used in one call alone.

        Args:
            weight: A parameter, or a weight computed from parameters, of any shape.
        """
        return id(weight) in self.names and self._announced[id(weight)] == 1

    def enter(self, weight: torch.Tensor, gradient: PerSampleGradient) -> None:
        """Enters, in the backward pass, what a layer's call knows of the gradients of a weight.

        Args:
            weight: As `announce` was given it, of any shape.
            gradient: Each picture's gradient with respect to the weight.
        """
        if id(weight) in self.computed:
            sources = self.computed[id(weight)]
            carried = sources.back_to_sources(gradient.per_picture())
            for source, gradients in zip(sources.sources, carried, strict=True):
                if gradients is not None:
                    self._enter(source, InstantiatedGradient(gradients.to(torch.float32)))
        else:
            self._enter(weight, gradient)

    def square_norms(self) -> torch.Tensor:
        """Returns each picture's squared gradient norm over all parameters. Call once, after the pass.

        Returns:
            float64, (B,).
        """
        for key, kept in self._kept.items():
            if self._announced[key] > 1:  # of gradients that add up, norms alone do not say how long the sum is
                together = InstantiatedGradient(kept[0].per_picture())
                self._kept[key] = [together]
                self._measure(key, together)
        if self._small:
            self._beside = torch.cat([self._kept.pop(key).pop().rows for key in self._small], dim=1)  # type: ignore[attr-defined]
            self._add(square_norms(self._beside))
        if len(self._products) > 1:
            self._products_beside = ProductsBeside([self._kept.pop(key).pop() for key in self._products])  # type: ignore[misc]
            self._add(self._products_beside.square_norms())
        elif self._products:
            self._add(self._kept[self._products[0]][0].square_norms())
        for layers in self._inner_products.values():
            self._add(square_norms_together(layers) if len(layers) > 1 else layers[0].square_norms())
        self._inner_products.clear()
        if not self._square_norms:
            device = self._parameters[0].device if self._parameters else torch.device("cpu")
            return torch.zeros(self.pictures, dtype=torch.float64, device=device)
        return torch.cat([part.view(-1, self.pictures) for part in self._square_norms]).sum(dim=0)

    def weighted_sums(self, factors: torch.Tensor) -> list[torch.Tensor]:
        """Returns the sum of the pictures' gradients, each times its factor. Call once: it drops what it sums.

        Args:
            factors: float64, (B,).

        Returns:
            float64, or float32 where that holds the same number; one of each parameter's shape, in their order.
        """
        sums = []
        small = self._small_sums(factors) | self._sums_of_products(factors)
        for parameter in self._parameters:
            kept = self._kept.pop(id(parameter), [])
            if id(parameter) in small:
                sums.append(small[id(parameter)].view(parameter.shape))
            elif kept:
                sums.append(kept.pop().weighted_sum(factors).view(parameter.shape))
            else:
                sums.append(torch.zeros_like(parameter, dtype=torch.float64, memory_format=torch.contiguous_format))
        return sums

    def _enter(self, parameter: torch.Tensor, gradient: PerSampleGradient) -> None:
        kept = self._kept.setdefault(id(parameter), [])
        if kept:  # used again, as in each step of a recurrent layer: added at once, so that one sum is held, not all
            gradient = InstantiatedGradient(kept.pop().per_picture() + gradient.per_picture())
        kept.append(gradient)
        if self._announced[id(parameter)] == 1:
            self._measure(id(parameter), gradient)

    def _measure(self, key: int, gradient: PerSampleGradient) -> None:
        """Adds a gradient's squared norms; one that is small waits, to be measured with others like it."""
        if isinstance(gradient, InstantiatedGradient) and gradient.is_small:
            self._small[key] = gradient.numbers
        elif isinstance(gradient, SumOfOuterProducts) and gradient.is_one_small_product:
            self._products.append(key)
        else:
            found = gradient.inner_products() if isinstance(gradient, GhostNorms) else None
            if found is None:
                self._add(gradient.square_norms())
            elif found.are_few:
                self._inner_products[found.inputs.shape[1], found.inputs.dtype].append(found)
            else:
                self._add(found.square_norms())

    def _add(self, square_norms: torch.Tensor) -> None:
        self._square_norms.append(square_norms)

    def _small_sums(self, factors: torch.Tensor) -> dict[int, torch.Tensor]:
        """The sums of all small gradients, by parameter."""
        if self._beside is None:
            return {}
        together = weighted_sum(self._beside, factors)
        self._beside = None
        return dict(zip(self._small, together.split(list(self._small.values())), strict=True))

    def _sums_of_products(self, factors: torch.Tensor) -> dict[int, torch.Tensor]:
        """The sums of all single products that are small, by parameter."""
        if self._products_beside is None:
            return {}
        found = self._products_beside.weighted_sums(factors)
        self._products_beside = None
        return dict(zip(self._products, found, strict=True))

    def _behind(self, weight: torch.Tensor) -> list[nn.Parameter]:
        computed = self.computed.get(id(weight))
        return [weight] if computed is None else computed.sources  # type: ignore[list-item]
