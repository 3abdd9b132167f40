"""The meaning of a model's outputs: the loss that training lowers, and probabilities. None of it leaves by itself.

The one place where the kinds of labels differ in training. Classes exclude each other: cross-entropy. Findings do not:
binary cross-entropy of each, over those that are known.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812


def summed_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Returns the sum of the rows' losses.

    A row's loss of K findings is the sum over those that are known, divided by K, not by how many are known. So a known
    label weighs the same whatever else is known of its picture, and a picture of which less is known says less; and
    where nothing is known, the gradient is exact zeros without a division. With all known it is the mean, as torch
    takes it.

    Guarantees:
        A row's gradient depends on its own logits and labels alone. An unknown finding adds nothing to it.

    Args:
        logits: Real, (rows, K).
        labels: int64, (rows,), classes; or int8, (rows, K), 0 or 1 for each finding, -1 where it is unknown.
    """
    logits = logits.float()
    if labels.dim() == 1:
        return F.cross_entropy(logits, labels, reduction="sum")
    known = (labels >= 0).to(logits.dtype)
    present = (labels > 0).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, present, weight=known, reduction="sum") / labels.shape[1]


def probabilities(logits: torch.Tensor, label_kind: str) -> torch.Tensor:
    """Returns the probability of each class, each row adding up to 1; or of each finding by itself.

    Args:
        logits: float32, (rows, K).
        label_kind: Of the model's spec.

    Returns:
        float32, (rows, K).
    """
    return torch.sigmoid(logits) if label_kind == "multi" else torch.softmax(logits, dim=1)
