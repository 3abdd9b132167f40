"""Public pretrained weights, made to fit a plan's model. Public numbers in, public numbers out.

What fits is taken over and what was changed is told: BatchNorm's weight and bias become GroupNorm's (both scale
and shift a normalised channel), BatchNorm's running statistics have no place, the first convolution is made for
other channels, a vision transformer's patches and positions for another size. A head for other classes, and a
first convolution of another kernel, start at random.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from datasites.training.models.public.own_layers import own_layers
from datasites.training.models.weights import initial_weights
from datasites.training.pictures.data import PIXEL_UNIT, PIXEL_ZERO
from policies.errors import InputRefused
from policies.graphs.own_model import proof_of
from policies.graphs.proof import Proof
from policies.plans.model_options import picture_encoder
from policies.plans.training import ModelSpec

Arrays = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Normalisation:
    """How bytes became numbers where weights were trained: (byte / 255 - mean) / std, channel by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class FittedWeights:
    """Initial weights of a study, and what became of the public ones.

    Attributes:
        weights: float32 by name, exactly the model's parameters.
        changed: Parameter → how its public values were changed.
        not_loaded: Parameter that starts at random → why.
        not_used: Names of public arrays that have no place in the model.
    """

    weights: dict[str, np.ndarray] = field(repr=False)
    changed: dict[str, str]
    not_loaded: dict[str, str]
    not_used: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    """Where a model differs from its library's: last layer, first convolution, names."""

    head: str = "head"
    first: str = ""
    rename: Callable[[Arrays], Arrays] = dict


def fit_weights(
    spec: ModelSpec, public: Mapping[str, torch.Tensor], *, seed: int = 0, normalisation: Normalisation | None = None
) -> FittedWeights:
    """Returns weights for the plan's model that start from public ones.

    Args:
        spec: The model. One of pictures and reports may take its picture encoder's public weights.
        public: Arrays by the names of timm, torchvision or this platform, of the shapes that they have there.
        seed: Of what starts at random.
        normalisation: How pictures were normalised for the public weights; None if as on this platform.

    Raises:
        PlanError, GraphError: As `build_model`.
        InputRefused: The public weights are of another model, or not finite.
    """
    encoder = picture_encoder(spec)
    if encoder is not None and not set(public) >= {"head.weight", "text.words.weight"}:
        return _beside_reports(spec, fit_weights(encoder, public, seed=seed, normalisation=normalisation), seed)
    layout, drawn = _LAYOUTS.get(spec.name, _Layout()), initial_weights(spec, seed)
    if spec.is_own:
        return fit_own_weights(proof_of(spec), public, drawn, normalisation=normalisation)
    arrays, counters = _numbers(public)
    arrays, changed = layout.rename(arrays), dict[str, str]()
    _fit_first(f"{layout.first}.", arrays, drawn, normalisation, changed)
    _fit_positions(spec, arrays, drawn, changed)
    choose = f"Choose the weights of {spec.name!r}, or other options."
    return _taken(layout, drawn, arrays, counters, changed, choose)


def fit_own_weights(
    proof: Proof,
    public: Mapping[str, torch.Tensor],
    drawn: Mapping[str, np.ndarray],
    *,
    normalisation: Normalisation | None = None,
) -> FittedWeights:
    """Returns weights for an own model that start from public ones, which have the names that its graph has.

    Args:
        proof: Of the graph.
        public: Arrays by the names of the network that was captured, of the shapes that they have there.
        drawn: float32 by name, exactly the graph's parameters: what starts at random.
        normalisation: How pictures were normalised for the public weights; None if as on this platform. It is fitted
            where a convolution is given the pictures themselves.

    Raises:
        InputRefused: The public weights are of another network or size, or not finite.
    """
    layers = own_layers(proof)
    (arrays, counters), changed = _numbers(public), dict[str, str]()
    if layers.first:
        _fit_first(f"{layers.first}.", arrays, drawn, normalisation, changed)
    elif normalisation is not None:
        changed["pictures"] = "no convolution is given the pictures themselves; their public scale has no place"
    for name in layers.group_norms:
        if f"{name}.running_mean" in public:
            changed[f"{name}.weight"] = "BatchNorm's scale and shift became GroupNorm's; its statistics have no place"
    choose = "Choose weights of the network that was captured, in the same size, or capture that which they are of."
    return _taken(_Layout(layers.head, layers.first), drawn, arrays, counters, changed, choose)


def _numbers(public: Mapping[str, torch.Tensor]) -> tuple[Arrays, set[str]]:
    """Public arrays in float32, and the names of those that hold no such numbers: counters."""
    counters = {name for name, array in public.items() if not array.is_floating_point()}
    return {name: a.detach().float() for name, a in public.items() if name not in counters}, counters


def _taken(
    layout: _Layout,
    drawn: Mapping[str, np.ndarray],
    arrays: Arrays,
    counters: set[str],
    changed: dict[str, str],
    choose: str,
) -> FittedWeights:
    """What fits is taken, what may start at random does, and anything else is refused."""
    weights: dict[str, np.ndarray] = {}
    not_loaded: dict[str, str] = {}
    for name, start in drawn.items():
        value = arrays.get(name)
        if value is not None and tuple(value.shape) == start.shape:
            weights[name] = np.array(value, dtype=np.float32, order="C")
            continue
        weights[name] = start
        if name.startswith(f"{layout.head}."):
            not_loaded[name] = "made for other classes"
        elif name == f"{layout.first}.weight" and value is not None:
            not_loaded[name] = f"made for another first layer, {_sides(value)} instead of {start.shape[2:]} pixels"
        else:
            came = "none" if value is None else f"shape {tuple(value.shape)}"
            raise InputRefused(
                f"The public weights are not of the plan's model: parameter {name!r} needs shape {start.shape}, "
                f"got {came}. {choose}"
            )
    _check(weights, not_loaded)
    return FittedWeights(weights, changed, not_loaded, tuple(sorted((set(arrays) | counters) - set(drawn))))


def _beside_reports(spec: ModelSpec, fitted: FittedWeights, seed: int) -> FittedWeights:
    """A picture encoder's public weights in the model that reads reports too; the rest starts at random."""
    drawn, place = initial_weights(spec, seed), "picture."
    known = {place + name: name for name in fitted.weights}
    taken = {name: known[name] for name in drawn if name in known}
    return FittedWeights(
        weights={name: fitted.weights[taken[name]] if name in taken else start for name, start in drawn.items()},
        changed={name: fitted.changed[own] for name, own in taken.items() if own in fitted.changed},
        not_loaded={
            **{name: fitted.not_loaded[own] for name, own in taken.items() if own in fitted.not_loaded},
            **{name: "not of the picture encoder" for name in drawn if name not in taken},
        },
        not_used=tuple(sorted({*fitted.not_used, *(own for name, own in known.items() if name not in taken)})),
    )


def _check(weights: Mapping[str, np.ndarray], not_loaded: Mapping[str, str]) -> None:
    if set(weights) == set(not_loaded):
        raise InputRefused("Nothing of the public weights fits the plan's model. Choose others.")
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise InputRefused(f"The public weights hold values in {name!r} that are not finite.")


def _fit_first(
    layer: str,
    arrays: Arrays,
    drawn: Mapping[str, np.ndarray],
    normalisation: Normalisation | None,
    changed: dict[str, str],
) -> None:
    """Makes the first convolution take pictures as this platform makes them, with the plan's channels."""
    name, bias = f"{layer}weight", f"{layer}bias"
    if name not in arrays or name not in drawn:
        return
    weight, told = arrays[name], []
    if normalisation is not None:
        scale, shift = _from_ours(normalisation, weight.shape[1])
        if bias in arrays:
            arrays[bias] = arrays[bias] + torch.einsum("ochw,c->o", weight, shift)
        weight = weight * scale[:, None, None]
        told.append("scaled to this platform's pixels" + ("" if bias in arrays else "; their mean has no place"))
    channels, sides = drawn[name].shape[1], drawn[name].shape[2:]
    if weight.shape[1] != channels:
        told.append(f"summed over {weight.shape[1]} channels and spread over {channels}")
        weight = (weight.sum(dim=1, keepdim=True) / channels).repeat(1, channels, 1, 1)
    if tuple(weight.shape[2:]) != sides and "positions.weight" in drawn:
        from timm.layers import resample_patch_embed

        told.append(f"patches resized from {_sides(weight)} to {sides} pixels")
        weight = resample_patch_embed(weight, list(sides))
    arrays[name] = weight
    if told:
        changed[name] = "; ".join(told)


def _from_ours(normalisation: Normalisation, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(scale, shift), float32, (channels,): their pixel is scale times ours plus shift."""
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (normalisation.mean, normalisation.std))
    if len(mean) != channels or len(std) != channels:
        raise InputRefused(f"The public weights take {channels} channels, their normalisation is for {len(mean)}.")
    return (PIXEL_UNIT / 255 / std).float(), ((PIXEL_ZERO / 255 - mean) / std).float()


def _fit_positions(spec: ModelSpec, arrays: Arrays, drawn: Mapping[str, np.ndarray], changed: dict[str, str]) -> None:
    """Resizes a vision transformer's table of positions; its first row, the class token, stays."""
    name = "positions.weight"
    if name not in arrays or name not in drawn or len(arrays[name]) == len(drawn[name]):
        return
    from timm.layers import resample_abs_pos_embed

    old = math.isqrt(len(arrays[name]) - 1)
    if old**2 != len(arrays[name]) - 1:
        raise InputRefused(f"The public weights have {len(arrays[name]) - 1} positions, which are no square.")
    sides = drawn["patches.weight"].shape[2:]
    grid = [math.ceil(size / side) for size, side in zip(spec.image_shape[:2], sides, strict=True)]
    arrays[name] = resample_abs_pos_embed(arrays[name][None], grid, num_prefix_tokens=1)[0]
    changed[name] = f"resized from {old} x {old} to {grid[0]} x {grid[1]} positions"


def _norm_in_a_pair(arrays: Arrays) -> Arrays:
    """timm's EfficientNet keeps a norm and its activation as one layer, ours as two."""
    return {re.sub(r"\b(bn\d)\.(?!norm\.)", r"\1.norm.", name): array for name, array in arrays.items()}


def _one_table(arrays: Arrays) -> Arrays:
    """timm's ViT keeps class token and positions apart, ours as one table."""
    renamed = {name.replace("patch_embed.proj.", "patches."): array for name, array in arrays.items()}
    if "cls_token" in renamed and "pos_embed" in renamed:
        table = renamed.pop("pos_embed")[0].clone()
        table[0] += renamed.pop("cls_token")[0, 0]
        renamed["positions.weight"] = table
    return renamed


def _sides(weight: torch.Tensor) -> tuple[int, ...]:
    return tuple(weight.shape[2:])


_MOBILENET = _Layout(head="classifier.3", first="features.0.0")
_RESNET = _Layout(head="fc", first="conv1")
_LAYOUTS = {
    "efficientnet_lite0": _Layout(head="classifier", first="conv_stem", rename=_norm_in_a_pair),
    "mobilenet_v3_large": _MOBILENET,
    "mobilenet_v3_small": _MOBILENET,
    "resnet18": _RESNET,
    "resnet50": _RESNET,
    "small_cnn": _Layout(first="convolution_1"),
    "vit_small": _Layout(first="patches", rename=_one_table),
}
