"""Norms of sums of outer products that are never written out, and how far rounding could make them too small.

A picture's gradient of a linear layer is the sum over positions t of g_t a_t^T, so its squared norm is the sum over
pairs (t, s) of <a_t, a_s> <g_t, g_s>: the ghost norm of Li et al. ("Large Language Models Can Be Strong
Differentially Private Learners", ICLR 2022). The figures here are argued for in docs/explanation-floating-point.md.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch

# Products that are added in one chain, and chains that are added up before they join the rest: an addition moves a sum
# by a unit in the last place at most, and short chains, made of short chains, have few of them.
CHAIN = 64
_CHAINS_JOINED = 16
# The same where as many positions as `_FEW_POSITIONS` at most are told for each picture: terms that have nothing to do
# with each other are then at most 10 times as long as their sum, and half as many chains take less time.
_LONG_CHAIN = 128
_FEW_POSITIONS = 100
# Squares that are added in float32.
_SQUARES = 1024
# Products of inner products that are in float32 at one time, so that they stay in the processor's cache.
_BLOCK = 1 << 17
# Positions from which on half of a matrix of inner products is taken once; of fewer, calls take longer than they save.
_MANY_POSITIONS = 48
_LANES = 16  # numbers that a processor multiplies at once: the half ends where these do
# Further units in the last place: the product of two inner products, and the squares of errors.
_BESIDES = 4
# What `CLIP_MARGIN` forgives a squared norm.
_FORGIVEN = 2.0**-9
# Error of an inner product by numbers that are too small for float32.
_LOST = 2.0**-100
# Error of the square of a number that is too small for float32's normal ones, as processors that skip those make it.
_LOST_OF_A_SQUARE = 2.0**-126
# A norm counts as at least its terms' lengths over this, so that the terms of a clipped sum stay small beside it.
MOST_CANCELLATION = 16
# Positions whose terms, where they have nothing to do with each other, are together 14 times as long as their sum, the
# root of their number: near where something is added to a ghost norm.
_MOST_UNRELATED = 200
# The largest squared length of a factor of a single product: a clipped product's other factor is then at least 2^-84
# long, far above what float32 holds in full.
_LARGEST_SQUARE = 2.0**128
# Multiplications that take as long as writing one number, reading it for its norm and again for the sum; measured.
_MULTIPLICATIONS_PER_NUMBER = 40.0
# How much slower the multiplications are when each picture has its own product, not one over the batch; measured.
_SLOWER_APART = 1.6
# How many times the size of its inputs and outputs a layer's written gradients may take.
_MEMORY = 4
# Inner products of a layer up to which they wait for other layers' and are measured with these: a call on so few takes
# longer than its work.
_FEW = 1 << 16


@dataclass(frozen=True)
class InnerProducts:
    """What a layer's ghost norms are made of.

    Attributes:
        inputs: float32, (B, T, T), inner products of a picture's inputs, as `gram` or `lower_gram` gives them.
        grad_output: float32, (B, T, T), those of the gradients with respect to its outputs, by `gram` or, doubled, by
            `lower_gram`, as inputs from there need it.
        rounded: How far the inner products of both can be off together, in units in the last place: see `roundings`.
    """

    inputs: torch.Tensor
    grad_output: torch.Tensor
    rounded: int

    @property
    def are_few(self) -> bool:
        """Whether they are better measured with those of other layers."""
        return self.inputs.numel() <= _FEW

    def square_norms(self) -> torch.Tensor:
        """See `square_norms_of`."""
        return square_norms_of(self.inputs, self.grad_output, rounded=self.rounded)


class GhostNorms(ABC):
    """Gradients whose norms are made of inner products."""

    @abstractmethod
    def inner_products(self) -> InnerProducts | None:
        """Of each picture's inputs, and of the gradients with respect to its outputs; None where norms need none."""

    def square_norms(self) -> torch.Tensor:
        """See `PerSampleGradient.square_norms`."""
        if (found := self.inner_products()) is None:
            raise NotImplementedError
        return found.square_norms()


def square_norms_together(layers: Sequence[InnerProducts]) -> torch.Tensor:
    """Squared norms of several layers, each as `square_norms_of` gives it.

    Args:
        layers: L, all of B pictures and T positions.

    Returns:
        float64, (L, B).
    """
    inputs, grad_output = torch.cat([one.inputs for one in layers]), torch.cat([one.grad_output for one in layers])
    pictures = len(layers[0].inputs)
    # Filled where they are: a number that comes from the processor would wait there, and could not be recorded.
    rounded = [one.inputs.new_full((pictures,), one.rounded, dtype=torch.float64) for one in layers]
    return square_norms_of(inputs, grad_output, rounded=torch.cat(rounded)).view(-1, pictures)


def chain_for(positions: int) -> int:
    """How many products of two numbers are added in one chain, of layers that are linear on each position.

    Args:
        positions: Of a picture.
    """
    return _LONG_CHAIN if positions <= _FEW_POSITIONS else CHAIN


def gram(vectors: torch.Tensor, *, chain: int = CHAIN) -> torch.Tensor:
    """Inner products of all pairs of positions: (B, T, d) → (B, T, T). `roundings` tells how exact they are."""
    return _products(vectors, vectors, chain)


def lower_gram(vectors: torch.Tensor, *, doubled: bool = False, chain: int = CHAIN) -> torch.Tensor:
    """As `gram`, with zeros where a position of the first half is paired with one of the second.

    Each such pair stands below the diagonal as well, so that a quarter of the multiplications is saved. Of few
    positions it is the whole matrix.

    Args:
        vectors: float32, (B, T, d).
        doubled: Whether a pair that stands there once counts twice, as one of two matrices has it whose product is
            added up.
        chain: As `gram` takes it: products that are added in one.

    Returns:
        float32, (B, T, T).
    """
    positions = vectors.shape[1]
    if positions < _MANY_POSITIONS:
        return gram(vectors, chain=chain)
    half = math.ceil(positions / 2 / _LANES) * _LANES
    out = vectors.new_empty(len(vectors), positions, positions)
    out[:, :half, half:] = 0.0
    out[:, :, :half] = _products(vectors, vectors[:, :half], chain)
    out[:, half:, half:] = _products(vectors[:, half:], vectors[:, half:], chain)
    if doubled:
        out[:, half:, :half] *= 2.0
    return out


def _products(left: torch.Tensor, right: torch.Tensor, chain: int) -> torch.Tensor:
    """Inner products of positions: (B, T, d) and (B, S, d) → (B, T, S)."""
    joined, across = chain * _CHAINS_JOINED, right.transpose(1, 2)
    if left.shape[2] <= joined:
        return _joined(left, across, chain)
    first, *others = zip(left.split(joined, dim=2), across.split(joined, dim=1), strict=True)
    total = _joined(*first, chain)
    for parts in others:
        total += _joined(*parts, chain)
    return total


def _joined(left: torch.Tensor, right: torch.Tensor, chain: int) -> torch.Tensor:
    first, *others = zip(left.split(chain, dim=2), right.split(chain, dim=1), strict=True)
    total = torch.bmm(*first)
    for one, other in others:
        total.baddbmm_(one, other)
    return total


def roundings(width: int, chain: int = CHAIN) -> int:
    """How far an inner product that `gram` takes of `width` numbers can be off, whatever the numbers are.

    Args:
        width: Numbers of a position.
        chain: As `gram` was given it.

    Returns:
        Units in the last place of the product of both vectors' lengths.
    """
    joined = min(width, chain * _CHAINS_JOINED)
    return min(joined, chain) + math.ceil(joined / chain) + math.ceil(width / (chain * _CHAINS_JOINED)) - 2


def square_norms_of(inputs: torch.Tensor, grad_output: torch.Tensor, *, rounded: int | torch.Tensor) -> torch.Tensor:
    """Squared norms of the sums of outer products, from the two matrices of inner products.

    Guarantees:
        Where terms cancel so far that rounding could make a norm too small by more than the clipping's margin, what
        rounding can hide is added, and everywhere what numbers too small for float32 can hide: the result is then too
        large, never too small. It is at least the terms' lengths, added up, over `MOST_CANCELLATION`, squared. No
        picture and no weights can make a gradient seem short that is not; where inner products leave float32's range,
        the result is not finite.

    Args:
        inputs: float32, (B, T, T), inner products of a picture's inputs: see `InnerProducts`.
        grad_output: float32, (B, T, T), those of the gradients with respect to its outputs.
        rounded: How far the inner products of both can be off together, in units in the last place: see `roundings`.
            For all pictures, or float64, (B,).

    Returns:
        float64, (B,).
    """
    positions = inputs.shape[1]
    norms = _sum_of_products(inputs, grad_output)
    first, second = (matrix.diagonal(dim1=1, dim2=2).to(torch.float64) for matrix in (inputs, grad_output))
    lengths = (first * second).sqrt().sum(dim=1).square()
    hidden = lengths * ((rounded + _BESIDES) * torch.finfo(inputs.dtype).eps / 2)
    lost = _LOST * positions * (positions + first.sum(dim=1) + second.sum(dim=1))
    found = torch.where(hidden > _FORGIVEN * norms, norms.clamp(min=0) + hidden, norms)
    found = torch.where(norms.isfinite(), found, torch.inf)  # a product that left float32 downwards tells no length
    return torch.maximum(found, lengths / MOST_CANCELLATION**2) + lost


def square_lengths(rows: torch.Tensor) -> torch.Tensor:
    """Squared lengths of single factors.

    Guarantees:
        Less than the true one by at most 2^-13 of it, whatever the numbers and the order in which they are added; not
        finite where it is above float32's range. Numbers too small for float32's squares count as more than they are.

    Args:
        rows: float32, (B, ...); float64 ones are added in float64.

    Returns:
        float64, (B,).
    """
    rows = rows.flatten(1)
    total = rows.new_full((len(rows),), rows.shape[1] * _LOST_OF_A_SQUARE, dtype=torch.float64)
    for part in rows.split(_SQUARES, dim=1):  # squares do not cancel: of so many, additions take 2^-14 at most
        total += torch.linalg.vector_norm(part, dim=1).to(torch.float64).square_()
    return total


def square_norms_of_one(inputs: torch.Tensor, grad_output: torch.Tensor) -> torch.Tensor:
    """Squared norms of single outer products, from the squared lengths of both factors.

    Guarantees:
        Not finite where a factor is longer than 2^64: of the other, times what clips it, float32 would keep too few
        bits.

    Args:
        inputs: float64, (B,), squared lengths of the pictures' inputs, as `square_lengths` gives them.
        grad_output: float64, (B,), those of the gradients with respect to its outputs.

    Returns:
        float64, (B,).
    """
    held = (inputs <= _LARGEST_SQUARE) & (grad_output <= _LARGEST_SQUARE)  # which NaN is not
    return torch.where(held, inputs * grad_output, torch.inf)


def _sum_of_products(inputs: torch.Tensor, grad_output: torch.Tensor) -> torch.Tensor:
    """Over all pairs of positions, in float64: (B, T, T) twice → (B,)."""
    rows = max(1, _BLOCK // max(1, inputs.shape[0] * inputs.shape[2]))
    pairs = zip(inputs.split(rows, dim=1), grad_output.split(rows, dim=1), strict=True)
    return torch.stack([(a * g).flatten(1).sum(dim=1, dtype=torch.float64) for a, g in pairs]).sum(dim=0)


def writing_out_is_better(*, positions: int, product: int, numbers: int, ghost: int, kept: int) -> bool:
    """Whether to hold a layer's per-picture gradients rather than take their ghost norms, by its shapes alone.

    Per picture, with T positions, d inputs and p outputs at each: writing the gradient out costs T d p, the
    multiplications of the weight gradient itself, so that only handling its d p numbers comes on top; the ghost norm
    costs about T^2 (d + p) and leaves the weight gradient still to be done. From some positions on, terms that have
    nothing to do with each other are so much longer than their sum that ghost norms err upwards.

    Args:
        positions: T.
        product: Multiplications of the weight gradient, for each picture.
        numbers: Size of the weight.
        ghost: Multiplications of the ghost norm, for each picture.
        kept: Size of the layer's inputs and outputs, for each picture, which the ghost norm has to keep.
    """
    if numbers > _MEMORY * kept:
        return False
    if positions > _MOST_UNRELATED:
        return True
    return _SLOWER_APART * product + _MULTIPLICATIONS_PER_NUMBER * numbers < product + ghost
