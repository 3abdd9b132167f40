"""Norms of sums of outer products that are never written out, and how far rounding could make them too small.

A picture's gradient of a linear layer is the sum over positions t of g_t a_t^T, so its squared norm is the sum over
pairs (t, s) of <a_t, a_s> <g_t, g_s>: the ghost norm of Li et al. ("Large Language Models Can Be Strong
Differentially Private Learners", ICLR 2022).
"""

from __future__ import annotations

import torch

# Error of a float32 dot product over the product of the vectors' lengths, with room: 64 units in the last place.
_ROUNDING = 2.0**-18
# What `CLIP_MARGIN` forgives a squared norm, with room.
_FORGIVEN = 1e-3


def gram(vectors: torch.Tensor) -> torch.Tensor:
    """Inner products of all pairs of positions: (B, T, d) → (B, T, T)."""
    return torch.bmm(vectors, vectors.transpose(1, 2))


def square_norms_of(inputs: torch.Tensor, outgoing: torch.Tensor) -> torch.Tensor:
    """Squared norms of the sums of outer products, from the two matrices of inner products.

    Guarantees:
        Where terms cancel so far that rounding could make a norm too small by more than the clipping's margin, what
        rounding can hide is added: the result is then too large, never too small. No picture and no weights can
        make a gradient seem short that is not.

    Args:
        inputs: float32, (B, T, T), inner products of a picture's inputs.
        outgoing: float32, (B, T, T), those of the gradients with respect to its outputs.

    Returns:
        float64, (B,).
    """
    inputs, outgoing = inputs.to(torch.float64), outgoing.to(torch.float64)
    norms = torch.linalg.vecdot(inputs.flatten(1), outgoing.flatten(1))
    lengths = inputs.diagonal(dim1=1, dim2=2) * outgoing.diagonal(dim1=1, dim2=2)
    hidden = lengths.clamp(min=0).sqrt().sum(dim=1).square() * _ROUNDING
    return torch.where(hidden > _FORGIVEN * norms, norms.clamp(min=0) + hidden, norms)
