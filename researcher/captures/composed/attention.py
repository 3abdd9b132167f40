"""torch's own attention with the pictures first: the same numbers, without bringing them to the second axis between."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class PicturesFirst(nn.MultiheadAttention):
    """An `nn.MultiheadAttention` whose forward keeps the pictures first; parameters and settings are those that it had.

    torch's own brings the positions to the first axis and makes one axis of them and the pictures, whatever
    `batch_first` says, so that no proof could follow the pictures.
    """

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `nn.MultiheadAttention` says, without dropout.

        Args:
            query: (B, T, E), or (T, B, E) where the pictures are not first.
            key: (B, S, kdim) or (S, B, kdim).
            value: (B, S, vdim) or (S, B, vdim).
            key_padding_mask: None; a mask of each picture's own has no rule.
            need_weights: Whether weights are given.
            attn_mask: (T, S), the same for all pictures: true where nothing is looked at, or numbers to add.
            average_attn_weights: Whether weights are means over the heads.
            is_causal: Whether `attn_mask` is causal, which it says itself.

        Returns:
            What the queries make of the values, of the shape of `query`; and weights, (B, T, S) or
            (B, heads, T, S), or None.

        Raises:
            ValueError: A mask of each picture's own, or values of another number of axes.
        """
        if key_padding_mask is not None or query.dim() != 3 or (attn_mask is not None and attn_mask.dim() != 2):
            raise ValueError("attention takes batches of three axes, and a mask that is the same for all, or none")
        same = query is key and key is value
        if not self.batch_first:
            query, key, value = (one.transpose(0, 1) for one in (query, key, value))
        q, k, v = (self._heads(one) for one in self._projected(query, key, value, same=same))
        mask = None
        if attn_mask is not None:
            mask = attn_mask.logical_not() if attn_mask.dtype == torch.bool else attn_mask
        found = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)
        found = F.linear(found, self.out_proj.weight, self.out_proj.bias)
        weights = _weights(q, k, attn_mask, average=average_attn_weights) if need_weights else None
        return (found if self.batch_first else found.transpose(0, 1)), weights

    def _projected(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, same: bool
    ) -> tuple[torch.Tensor, ...]:
        if same and self.in_proj_weight is not None:
            return F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        together = self.in_proj_weight
        weights = separate if together is None else together.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        parts = zip((query, key, value), weights, biases, strict=True)
        return tuple(F.linear(one, weight, bias) for one, weight, bias in parts)

    def _heads(self, value: torch.Tensor) -> torch.Tensor:
        """(B, T, E) → (B, heads, T, E / heads)."""
        return value.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)


def _weights(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, *, average: bool) -> torch.Tensor:
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(mask, -1e4) if mask.dtype == torch.bool else scores + mask
    found = scores.softmax(dim=-1)
    return found.mean(dim=1) if average else found


def can_be_pictures_first(module: nn.Module) -> bool:
    """Whether a module is torch's own attention, without keys and values that are added to those of the pictures."""
    own = type(module) is nn.MultiheadAttention
    return own and module.bias_k is None and not module.add_zero_attn
